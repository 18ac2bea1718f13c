"""The section on what lies ahead: the runs' forecasts with their bands, in pictures, a table and a sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslaw.data.columns import CANONICAL
from bayeslaw.data.units import human
from bayeslaw.errors import BayeslawError, DataError
from bayeslaw.forecast import forecast
from bayeslaw.laws import get_law
from bayeslaw.onward import ahead
from bayeslaw.reach import fitted_rows
from bayeslaw.report.pictures import inline

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs
    from bayeslaw.fit import Fit

#: runs drawn and tabled
MOST_RUNS = 4
#: rows of one run's table
ROWS = 8


def part(**given: Any) -> dict[str, Any]:
    """A section as the template reads it: what is ``given``, the rest empty."""
    return {"verdict": [], "pictures": [], "notes": [], "absent": "", "header": [], "rows": [], **given}


def outlook(fit: Fit, runs: Runs | None, asked: Mapping[str, Any], backtest: Any, seed: int, number: Any) -> dict:
    from bayeslaw.plots.bands import plot_band

    if fit.problem.layout.likelihood == "points" and not any(value is not None for value in asked.values()):
        return _points(fit)
    try:
        rows = asked["at"] if asked["at"] is not None else _rows_ahead(fit, runs, asked)
        band = forecast(fit, at=rows, seed=seed, backtest=backtest)
    except BayeslawError as error:
        if any(value is not None for value in asked.values()):
            raise
        return part(absent=str(error))
    told: Any = band.frame
    out = part(notes=list(band.notes))
    # a looped run has a curve at every exit
    frame = told.assign(run=_curves(told))
    names = list(dict.fromkeys(frame["run"]))
    if len(names) > MOST_RUNS:
        out["notes"].append(f"The first {MOST_RUNS} of {len(names)} runs are drawn.")
    for name in names[:MOST_RUNS]:
        mine = frame["run"] == name
        one = type(band)(
            told[mine].reset_index(drop=True),
            band.curve[:, mine.to_numpy()],
            band.observed[:, mine.to_numpy()],
            band.levels,
        )
        run = str(told.loc[mine, "run"].iloc[0])
        known = runs.select(run) if runs is not None and run in runs.names else None
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


def _curves(frame: Any) -> list[str]:
    """What the rows' curves are called: by their run, and by the exit where they have one."""
    if "exit_step" not in frame:
        return frame["run"].astype(str).tolist()
    pairs = zip(frame["run"], frame["exit_step"], strict=True)
    return [f"{run}, exit {exit_step:g}" if exit_step == exit_step else str(run) for run, exit_step in pairs]


def _points(fit: Fit) -> dict:
    """Of a table of single points, none of which goes on: how closely the law follows all of them."""
    bins: Any = fit.problem.bins
    law = get_law(fit.card.law)
    band = forecast(fit, bins[[c for c in bins if c in CANONICAL and c != "loss"]], backtest=False)
    apart = np.quantile(np.abs(bins["loss"].to_numpy(float) / np.median(band.curve, axis=0) - 1), [0.5, 0.9])
    return part(
        absent="The fit is of single points, and a single point says nothing of where its run goes. Rows to forecast "
        "are given as a table (at, or --at); where a budget goes stands under Plan.",
        verdict=[
            f"{law.title}, {law.formula}: half of the {len(bins):,} losses fitted lie within {apart[0]:.1%} of it, and "
            f"90 % within {apart[1]:.1%}."
        ],
    )


def _rows_ahead(fit: Fit, runs: Runs | None, asked: Mapping[str, Any]) -> Any:
    """The runs' rows up to the target; without one, to twice as far as the farthest has come."""
    if asked["tokens"] is not None or asked["step"] is not None:
        return ahead(fit, tokens=asked["tokens"], step=asked["step"])
    bins: Any = fitted_rows(fit)
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
    return ahead(fit, tokens=far, names=names) if axis == "tokens" else ahead(fit, step=far, names=names)
