"""Anomalies over a run: the losses, what was expected with its 90 % band, and the events marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from bayeslaw.errors import DataError
from bayeslaw.plots.style import DATA, FORECAST, INK, LABELS, OBSERVED_ALPHA, set_axis, shorten, tidy

if TYPE_CHECKING:
    from bayeslaw.anomalies import Anomalies

#: most points drawn of one curve, and most events written out
POINTS, NAMED = 4000, 8
_BAD = "#b3261e"


def plot_anomalies(found: Anomalies, run: str | None = None) -> Figure:
    """Draw one run: above its losses and the band, below the residuals in sd of healthy noise, events marked in both.

    ``run``: which one; by default the one with the most events, then the largest. DataError if it was not judged.
    """
    rows, events = _choose(found, run)
    name = str(rows.attrs["run"])
    figure = Figure(figsize=(9, 5.4), dpi=150, layout="constrained")
    top, low = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    step, loss = rows["step"].to_numpy(), rows["loss"].to_numpy()
    expected, scale, z = (rows[c].to_numpy() for c in ("expected", "scale", "z"))
    keep = _thin(z, POINTS)
    shared = int(np.sum((found.alignment["run"] == name).to_numpy()))
    from_siblings = " from its siblings' losses" if shared else ""
    top.fill_between(
        step[keep], (expected - 1.645 * scale)[keep], (expected + 1.645 * scale)[keep], color=FORECAST,
        alpha=2 * OBSERVED_ALPHA, linewidth=0, label=f"expected{from_siblings}, 90 % band", zorder=3,
    )  # fmt: skip
    top.plot(step[keep], loss[keep], color=DATA, linewidth=0.6, label="loss", zorder=2)
    young = min(len(loss) - 1, max(20, len(loss) // 50))
    typical = np.quantile(loss[young:], [0.001, 0.98])
    span = max(float(typical[1] - typical[0]), 6 * float(np.median(scale)))
    high = typical[1] + 0.35 * span
    off = loss[young:] > high
    set_axis(top.yaxis, (float(typical[0] - 0.1 * span), float(high)), log=False, large=False)
    set_axis(low.xaxis, (0.0, float(step[-1]) * 1.01), log=False, large=True)
    bounded = np.clip(z, -12, 12)
    low.plot(step[keep], bounded[keep], color=DATA, linewidth=0.5)
    low.axhspan(-1.645, 1.645, color=FORECAST, alpha=OBSERVED_ALPHA, linewidth=0)
    low.set_ylim(-12.5, 12.5)
    largest = events.reindex(events["magnitude_sd"].abs().sort_values(ascending=False).index).index[:NAMED]
    height = 0
    for i, event in events.iterrows():
        left, right = float(event["start_step"]), float(event["end_step"])
        for ax in (top, low):
            ax.axvspan(left, max(right, left + 0.002 * step[-1]), color=_BAD, alpha=0.18, linewidth=0)
        if i in largest:
            label = str(event["kind"]).replace("_", " ")
            if np.isfinite(event["magnitude"]):
                label += f" {event['magnitude']:+.2g}"
            right_half = left > 0.85 * step[-1]
            top.annotate(
                label, (left, 1.0), xycoords=("data", "axes fraction"),
                xytext=(-3 if right_half else 3, -9 - 11 * (height % 4)),
                textcoords="offset points", fontsize=7, color=_BAD, ha="right" if right_half else "left", va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6}, zorder=6,
            )  # fmt: skip
            height += 1
    judged = f"judged with {shared} {'run' if shared == 1 else 'runs'} of its data order" if shared else "judged alone"
    outside = f"; {int(off.sum())} {'loss' if off.sum() == 1 else 'losses'} above the picture" if off.any() else ""
    number = f"{len(events)} {'event' if len(events) == 1 else 'events'}"
    top.set_title(f"{shorten(name, 50)}: {number}, {judged}{outside}", fontsize=9, color=INK, loc="left")
    top.set_ylabel(LABELS["loss"], fontsize=8, color=INK)
    low.set_ylabel("residual (sd of noise)", fontsize=8, color=INK)
    low.set_xlabel(LABELS["step"], fontsize=8, color=INK)
    top.legend(loc="lower left", fontsize=7, frameon=False)
    for ax in (top, low):
        tidy(ax)
    return figure


def _choose(found: Anomalies, run: str | None) -> tuple[Any, Any]:
    if run is None:
        counts = found.frame["run"].value_counts()
        named = [name for name in counts.index if name in found.rows]
        run = str(named[0]) if named else next(iter(found.rows))
    if run not in found.rows:
        raise DataError(f"There is no judged run {run!r}. There are {', '.join(map(repr, list(found.rows)[:5]))}.")
    rows = found.rows[run]
    rows.attrs["run"] = run
    return rows, found.frame[found.frame["run"] == run]


def _thin(z: np.ndarray, most: int) -> np.ndarray:
    """Positions to draw: evenly spread, and every row that stands out."""
    every = max(1, len(z) // most)
    keep = np.zeros(len(z), bool)
    keep[::every] = True
    return np.flatnonzero(keep | (np.abs(z) > 4))
