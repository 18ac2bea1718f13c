"""What stands in the page, as plain values: each section has its tables, pictures and sentences, or says why not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslaw.backtest_told import same_model, told
from bayeslaw.data.units import human
from bayeslaw.diagnostics import counted
from bayeslaw.errors import BayeslawError
from bayeslaw.laws import get_law
from bayeslaw.report.outlook import outlook, part
from bayeslaw.report.pictures import inline

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs
    from bayeslaw.fit import Fit

#: events told
MOST_EVENTS = 40
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
        "forecast": outlook(fit, runs, asked, backtest, seed, number),
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
        "verdict": [first, *(s for each in parts.values() for s in each["verdict"])],
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


def _events(fit: Fit, runs: Runs | None, number: Any) -> dict:
    from bayeslaw.anomalies import anomalies
    from bayeslaw.plots.anomalies import plot_anomalies

    if runs is None:
        return part(absent="Not looked for: the report was made without the runs' logs.")
    try:
        found = anomalies(runs)
    except BayeslawError as error:
        return part(absent=str(error))
    others = _strangers(fit, runs)
    notes = [*others, *found.notes]
    if not len(found):
        return part(absent="None were found.", verdict=others or ["No anomalies in the logs."], notes=notes)
    out = part(verdict=others, notes=notes, header=["run", "kind", "steps", "peak, nats"])
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


def _strangers(fit: Fit, runs: Runs) -> list[str]:
    """A sentence where runs of the logs are not the fit's: what befell them is no news of the fit."""
    there = [name for name in runs.names if name not in fit.runs]
    if not there:
        return []
    some = ", ".join(there[:3]) + (", ..." if len(there) > 3 else "")
    if len(there) < len(runs.names):
        return [f"Of the {len(runs.names)} runs in the logs {len(there)} are not in the fit: {some}."]
    return [f"The logs hold none of the fit's runs: they are of {some}, and say nothing of what was fitted."]


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
        return part(absent=absent, verdict=["How well such bands hold on these data has not been measured."])
    # of no rows in particular: whether the backtest is of this model, and of these data
    notes = told(backtest, fit, fit.problem.bins.iloc[:0])
    mine = same_model(backtest.meta.get("models", {}), fit.card)
    if mine is None:
        return part(absent=notes[0], verdict=notes)
    level = "raw" if ((backtest.points["model"] == mine) & (backtest.points["level"] == "raw")).any() else "curve"
    out = part(notes=notes, header=["", "losses", "90 % band holds", "95 % interval", "width"])
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
        if row["model"] == mine and row["level"] == level:
            out["verdict"].append(
                f"Held back and forecast, {row['cover90']:.0%} of {what} losses lay in their 90 % band."
            )
    out["pictures"].append(inline(plot_calibration(backtest), next(number), "Coverage of the bands in the backtest"))
    return out


def _plan(fit: Fit, flops: float | str | None, seed: int, number: Any) -> dict:
    from bayeslaw.plan import plan
    from bayeslaw.plan.costs import cost_of
    from bayeslaw.plan.frontier import frontier_about
    from bayeslaw.plan.reach import reach_of
    from bayeslaw.plan.surface import Surface
    from bayeslaw.plots.planning import draw_frontier, draw_regret
    from bayeslaw.plots.style import blank

    try:
        if flops is None:
            surface = Surface(fit)
            found = plan(fit, 10 * reach_of(surface, cost_of(surface)).flops[1], seed=seed)
        else:
            found = plan(fit, flops, seed=seed)
        line = frontier_about(fit, found, group=found.group, seed=seed)
    except BayeslawError as error:
        if flops is not None:
            raise
        return part(absent=str(error))
    said = str(found).splitlines()
    out = part(header=["", "median", "50 % interval", "90 % interval"], notes=said[-2 - len(found.notes) :])
    for name, row in found.frame.to_dict(orient="index").items():
        if name == "recurrence" and row["lo90"] == row["hi90"] == 1:
            continue
        spell = "{:.4f}".format if str(name).startswith("loss") else human
        spans = [f"{spell(row['lo' + level])} – {spell(row['hi' + level])}" for level in ("50", "90")]
        out["rows"].append([_QUANTITIES[str(name)], spell(row["median"]), *spans])
    n, d = found.frame.loc["n_params"], found.frame.loc["tokens"]
    loops = found.frame.loc["recurrence", "median"] if "recurrence" in found.frame.index else 1
    out["verdict"].append(
        f"A budget of {found.rates.say(found.flops)} is spent best on {human(n['median'])} parameters (90 % "
        f"{human(n['lo90'])} to {human(n['hi90'])}) and {human(d['median'])} tokens"
        f"{f', at {loops:g} recurrent steps' if loops != 1 else ''}."
    )
    for draw, alt in (
        (
            lambda ax: draw_frontier(ax, line, "loss", "loss at the optimum (nats per token)", log=False),
            "Loss by budget",
        ),
        (lambda ax: draw_frontier(ax, line, "n_params", "compute-optimal parameters", log=True), "Size by budget"),
        (lambda ax: draw_regret(ax, found), "Regret of other sizes"),
    ):
        figure = blank(5.2, 3.8)
        draw(figure.subplots())
        out["pictures"].append(inline(figure, next(number), alt))
    return out


def _parameters(fit: Fit) -> list[list[str]]:
    law = get_law(fit.card.law)
    return [
        [str(name), law.symbol(str(name)).meaning, f"{row['mean']:.4g}", _two(row["sd"]),
         f"{row['lo90']:.4g} – {row['hi90']:.4g}", law.symbol(str(name)).unit]
        for name, row in fit.summary().to_dict(orient="index").items()
    ]  # fmt: skip


def _two(value: float) -> str:
    """Two digits that count, and no power of ten where a number is as short: 0.13, 83, 110."""
    return f"{float(f'{value:.2g}'):g}"


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
