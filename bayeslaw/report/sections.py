"""What stands in the page, as plain values: each section has its tables, pictures and sentences, or says why not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslaw.data.units import human
from bayeslaw.diagnostics import counted
from bayeslaw.errors import BayeslawError, DataError
from bayeslaw.forecast import forecast
from bayeslaw.laws import get_law
from bayeslaw.onward import ahead
from bayeslaw.report.pictures import inline

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs
    from bayeslaw.fit import Fit

#: runs drawn and tabled in the forecast, and events told
MOST_RUNS, MOST_EVENTS = 4, 40
#: rows of one run's table
ROWS = 8
_QUANTITIES = {
    "n_params": "parameters",
    "tokens": "tokens",
    "recurrence": "recurrent steps",
    "tokens_per_param": "tokens per parameter",
    "loss": "loss there",
    "loss_observed": "loss of one run",
}


def content(
    fit: Fit,
    runs: Runs | None,
    asked: Mapping[str, Any],
    flops: float | str | None,
    backtest: Any,
    title: str | None,
    seed: int,
) -> dict[str, Any]:
    """Everything the template reads."""
    number = count(1)
    parts = {
        "forecast": _forecast(fit, runs, asked, backtest, seed, number),
        "events": _events(fit, runs, number),
        "calibration": _calibration(fit, backtest, number),
        "plan": _plan(fit, flops, seed, number),
    }
    check = fit.check()
    law = get_law(fit.card.law)
    first = str(check).splitlines()[0]
    return {
        "title": title or f"{fit.card.name} on {_some(fit.runs)}",
        "subtitle": f"{counted(len(fit.runs), 'run')}, {counted(len(fit.problem.bins), 'point')}, {law.title}",
        "ok": check.ok,
        "verdict": [first, *(s for part in parts.values() for s in part["verdict"])],
        **parts,
        "parameters": _parameters(fit),
        "law": {"title": law.title, "formula": law.formula, "reference": law.reference, "name": law.name},
        "card": {"name": fit.card.name, "summary": fit.card.summary, "text": str(fit.card)},
        "check": str(check),
        "notes": list(fit.problem.notes),
        "provenance": _provenance(fit, runs),
        "facts": _facts(runs),
    }


def _some(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else counted(len(names), "run")


def _part(**given: Any) -> dict[str, Any]:
    return {"verdict": [], "pictures": [], "notes": [], "absent": "", "header": [], "rows": [], **given}


def _forecast(fit: Fit, runs: Runs | None, asked: Mapping[str, Any], backtest: Any, seed: int, number: Any) -> dict:
    from bayeslaw.plots.bands import plot_band

    try:
        rows = asked["at"] if asked["at"] is not None else _rows_ahead(fit, runs, asked)
        band = forecast(fit, at=rows, seed=seed, backtest=backtest)
    except BayeslawError as error:
        if any(value is not None for value in asked.values()):
            raise
        return _part(absent=str(error))
    frame: Any = band.frame
    out = _part(notes=list(band.notes))
    names = list(dict.fromkeys(frame["run"]))
    if len(names) > MOST_RUNS:
        out["notes"].append(f"The first {MOST_RUNS} of {len(names)} runs are shown.")
    log = runs if runs is not None else None
    for name in names[:MOST_RUNS]:
        mine = frame["run"] == name
        one = type(band)(
            frame[mine].reset_index(drop=True),
            band.curve[:, mine.to_numpy()],
            band.observed[:, mine.to_numpy()],
            band.levels,
        )
        known = log.select(name) if log is not None and name in log.names else None
        if mine.sum() > 1 or known is not None:
            figure = plot_band(one, known, log=(False,))
            figure.set_size_inches(6.2, 4.2)
            out["pictures"].append(inline(figure, next(number), f"Forecast of run {name} with its bands"))
    last = frame[~frame["run"].duplicated(keep="last")]
    shown = frame if len(names) == 1 else last
    stride = max(-(-len(shown) // ROWS), 1) if len(names) == 1 else 1
    shown = shown[(len(shown) - 1 - np.arange(len(shown))) % stride == 0][: 10 * ROWS]
    axis = "tokens" if frame["tokens"].notna().all() else "step" if "step" in frame else None
    several = ["run"] if len(names) > 1 or axis is None else []
    out["header"] = [*several, *([axis] if axis else []), "median", "50 % band", "90 % band"]
    for row in shown.to_dict(orient="records"):
        far = [] if axis is None else [human(row[axis], 4) if axis == "tokens" else f"{row[axis]:,.0f}"]
        bands = [f"{row['lo' + level]:.4f} – {row['hi' + level]:.4f}" for level in ("50", "90")]
        out["rows"].append([*([str(row["run"])] if several else []), *far, f"{row['median']:.4f}", *bands])
    for row in last.head(MOST_RUNS).to_dict(orient="records"):
        where = "" if axis is None else f" at {human(row[axis], 4)} {'tokens' if axis == 'tokens' else 'steps'}"
        out["verdict"].append(
            f"{row['run']}{where}: {row['median']:.3f} nats per token, with probability 90 % between "
            f"{row['lo90']:.3f} and {row['hi90']:.3f}."
        )
    return out


def _rows_ahead(fit: Fit, runs: Runs | None, asked: Mapping[str, Any]) -> Any:
    """The runs' rows up to the target; without one, to twice as far as the farthest has come."""
    source = fit
    if asked["tokens"] is not None or asked["step"] is not None:
        return ahead(source, tokens=asked["tokens"], step=asked["step"])
    bins: Any = fit.problem.bins
    if "schedule" in get_law(fit.card.law).covariates:
        raise DataError(
            "This law reads the learning rate, and what it does ahead is not known to the fit: give rows to forecast "
            "(at)."
        )
    axis = next((name for name in ("tokens", "step") if name in bins and bins[name].notna().all()), None)
    if axis is None:
        raise DataError("The runs count neither tokens nor steps, so nothing says what lies ahead of them.")
    # the farthest runs, of the largest size where sizes are known
    order = bins.sort_values([c for c in ("n_params", axis) if c in bins])
    names = [str(order["run"].iloc[-1])]
    far = 2 * float(bins.loc[bins["run"] == names[0], axis].max())
    return ahead(source, tokens=far, names=names) if axis == "tokens" else ahead(source, step=far, names=names)


def _events(fit: Fit, runs: Runs | None, number: Any) -> dict:
    from bayeslaw.anomalies import anomalies
    from bayeslaw.plots.anomalies import plot_anomalies

    if runs is None:
        return _part(absent="Not looked for: the report was made without the runs' logs.")
    try:
        found = anomalies(runs)
    except BayeslawError as error:
        return _part(absent=str(error))
    if not len(found):
        return _part(absent="None were found.", verdict=["No anomalies in the logs."], notes=list(found.notes))
    out = _part(notes=list(found.notes), header=["run", "kind", "steps", "peak, nats"])
    records = found.frame.to_dict(orient="records")
    for event in records[:MOST_EVENTS]:
        span = f"{event['start_step']:,.0f} – {event['end_step']:,.0f}"
        size = f"{event['magnitude']:+.3f}" if np.isfinite(event["magnitude"]) else "–"
        out["rows"].append([str(event["run"]), str(event["kind"]).replace("_", " "), span, size])
    if len(records) > MOST_EVENTS:
        out["notes"].append(f"The first {MOST_EVENTS} of {len(records):,} events are listed.")
    kinds = found.frame["kind"].value_counts()
    told = ", ".join(f"{n} {str(kind).replace('_', ' ')}" for kind, n in kinds.items())
    out["verdict"].append(f"{counted(len(found), 'event')} in the logs: {told}.")
    out["notes"] += [f"{e['run']}: {e['message']}" for e in _worst(records)]
    out["pictures"].append(inline(plot_anomalies(found), next(number), "Losses with the events found in them"))
    return out


def _worst(events: list[dict[str, Any]], most: int = 3) -> list[dict[str, Any]]:
    """The events of most evidence, in words."""
    return sorted(events, key=lambda e: -float(np.nan_to_num(e["evidence"])))[:most]


def _calibration(fit: Fit, backtest: Any, number: Any) -> dict:
    from bayeslaw.plots.calibration import plot_calibration

    if backtest is None:
        absent = "Not measured: bands of this fit were never held against losses that it had not seen. "
        absent += (
            "The command bayeslaw backtest does so, and a report made with what it saves (--backtest) tells the result."
        )
        return _part(absent=absent, verdict=["How well such bands hold on these data has not been measured."])
    out = _part(header=["", "losses", "90 % band holds", "95 % interval", "width"])
    for row in backtest.summary().to_dict(orient="records"):
        what = "observed" if row["level"] == "raw" else "smoothed"
        low, high = row["cover90_lo"], row["cover90_hi"]
        span = f"{low:.0%} – {high:.0%}" if np.isfinite(low) else "–"
        out["rows"].append(
            [
                str(row["model"]),
                f"{row['rows']:,} {what}",
                f"{row['cover90']:.0%}",
                span,
                f"{row['relative_width']:.1%}",
            ]
        )
        if row["model"] == backtest.models[0] and row["level"] == backtest.points["level"].iloc[0]:
            out["verdict"].append(
                f"Held back and forecast, {row['cover90']:.0%} of {what} losses lay in their 90 % band."
            )
    if fit.meta.get("fingerprint") != backtest.meta.get("fingerprint"):
        out["notes"].append("The backtest was made on other rows than the fit.")
    out["pictures"].append(inline(plot_calibration(backtest), next(number), "Coverage of the bands in the backtest"))
    return out


def _plan(fit: Fit, flops: float | str | None, seed: int, number: Any) -> dict:
    from matplotlib.figure import Figure

    from bayeslaw.plan import plan
    from bayeslaw.plan.costs import cost_of
    from bayeslaw.plan.frontier import frontier
    from bayeslaw.plan.reach import reach_of
    from bayeslaw.plan.surface import Surface
    from bayeslaw.plots.planning import draw_frontier, draw_regret

    try:
        if flops is None:
            surface = Surface(fit)
            found = plan(fit, 10 * reach_of(surface, cost_of(surface)).flops[1], seed=seed)
        else:
            found = plan(fit, flops, seed=seed)
        line = frontier(fit, high=max(found.flops * 3, found.reach.flops[1] * 3), group=found.group)
    except BayeslawError as error:
        if flops is not None:
            raise
        return _part(absent=str(error))
    said = str(found).splitlines()
    out = _part(header=["", "median", "50 % interval", "90 % interval"], notes=said[-2 - len(found.notes) :])
    for name, row in found.frame.to_dict(orient="index").items():
        if name == "recurrence" and row["lo90"] == row["hi90"] == 1:
            continue
        spell = "{:.4f}".format if str(name).startswith("loss") else human
        spans = [f"{spell(row['lo' + level])} – {spell(row['hi' + level])}" for level in ("50", "90")]
        out["rows"].append([_QUANTITIES[str(name)], spell(row["median"]), *spans])
    n, d = found.frame.loc["n_params"], found.frame.loc["tokens"]
    out["verdict"].append(
        f"A budget of {found.rates.say(found.flops)} is spent best on {human(n['median'])} parameters (90 % "
        f"{human(n['lo90'])} to {human(n['hi90'])}) and {human(d['median'])} tokens."
    )
    for draw, alt in (
        (
            lambda ax: draw_frontier(ax, line, "loss", "loss at the optimum (nats per token)", log=False),
            "Loss by budget",
        ),
        (lambda ax: draw_frontier(ax, line, "n_params", "compute-optimal parameters", log=True), "Size by budget"),
        (lambda ax: draw_regret(ax, found), "Regret of other sizes"),
    ):
        figure = Figure(figsize=(5.2, 3.8), dpi=110, layout="constrained")
        draw(figure.subplots())
        out["pictures"].append(inline(figure, next(number), alt))
    return out


def _parameters(fit: Fit) -> list[list[str]]:
    law = get_law(fit.card.law)
    return [
        [str(name), law.symbol(str(name)).meaning, f"{row['mean']:.4g}", f"{row['sd']:.2g}",
         f"{row['lo90']:.4g} – {row['hi90']:.4g}", law.symbol(str(name)).unit]
        for name, row in fit.summary().to_dict(orient="index").items()
    ]  # fmt: skip


def _provenance(fit: Fit, runs: Runs | None) -> list[list[str]]:
    meta = fit.meta
    chains, draws = fit.z.shape[:2]
    versions = dict(meta.get("versions", {}))
    table = [
        ["data", str(meta.get("source", "unknown"))],
        ["fingerprint of the data", str(meta.get("fingerprint", "unknown"))],
        ["sampling", f"NUTS, {chains} chains of {draws:,} draws after {meta.get('warmup', '?')} of warm-up"],
        ["seed", str(meta.get("seed", "unknown"))],
        ["versions", ", ".join(f"{name} {version}" for name, version in versions.items())],
    ]
    if runs is not None and runs.fingerprint != meta.get("fingerprint"):
        table.append(["the logs of this report", f"{runs.source}, {runs.fingerprint}: other rows than were fitted"])
    return table


def _facts(runs: Runs | None) -> list[list[str]]:
    if runs is None:
        return []
    return [[str(f["run"]), str(f["message"])] for f in runs.facts.head(50).to_dict(orient="records")]
