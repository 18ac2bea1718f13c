"""Anomalies over a run: the losses, what was expected with its 90 % band, and the events marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.textpath import TextPath

from bayeslaw.errors import DataError
from bayeslaw.plots.style import (
    DATA,
    FORECAST,
    INK,
    LABELS,
    OBSERVED_ALPHA,
    blank,
    fitted,
    key,
    set_axis,
    shorten,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayeslaw.anomalies import Anomalies

#: most points drawn of one curve, most stretches of a band, and most events written out
POINTS, STRETCHES, NAMED = 4000, 600, 8
#: size of the figure (inches) and of the events' words (points), and the height of a line of them
SIZE, WORDS, LINE = (9.0, 5.4), 8, 12
#: residuals beyond so many sd are drawn there
CUT = 12
_BAD = "#b3261e"


def plot_anomalies(found: Anomalies, run: str | None = None) -> Figure:
    """Draw one run: above its losses and the band, below the residuals in sd of healthy noise, events marked in both.

    ``run``: which one; by default the one with the most events, then the largest. DataError if it was not judged.
    """
    rows, events = _choose(found, run)
    name = str(rows.attrs["run"])
    figure = blank(*SIZE, dpi=150)
    top, low = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    step, loss, z = (rows[c].to_numpy() for c in ("step", "loss", "z"))
    keep = _thin(z, POINTS)
    shared = int(np.sum((found.alignment["run"] == name).to_numpy()))
    _draw_band(top, rows, "from its siblings' losses" if shared else "")
    top.plot(step[keep], loss[keep], color=DATA, linewidth=0.6, label="loss", zorder=2)
    young = min(len(loss) - 1, max(20, len(loss) // 50))
    typical = np.quantile(loss[young:], [0.001, 0.98])
    span = max(float(typical[1] - typical[0]), 6 * float(np.median(rows["scale"])))
    high = typical[1] + 0.35 * span
    # the steep start is cut off by intent; what is cut off later may be what a reader looks for
    fallen = np.logical_or.accumulate(pd.Series(loss).rolling(9, min_periods=1).median().to_numpy() <= high)
    off = fallen & (loss > high)
    set_axis(top.yaxis, (float(typical[0] - 0.1 * span), float(high)), log=False, large=False)
    set_axis(low.xaxis, (0.0, float(step[-1]) * 1.01), log=False, large=True)
    bounded = np.clip(z, -CUT, CUT)
    low.plot(step[keep], bounded[keep], color=DATA, linewidth=0.5)
    low.axhspan(-1.645, 1.645, color=FORECAST, alpha=OBSERVED_ALPHA, linewidth=0)
    low.set_ylim(-CUT - 0.5, CUT + 0.5)
    for _, event in events.iterrows():
        left, right = float(event["start_step"]), float(event["end_step"])
        for ax in (top, low):
            ax.axvspan(left, max(right, left + 0.002 * step[-1]), color=_BAD, alpha=0.18, linewidth=0)
    lines = _name_events(top, events, float(step[-1]) * 1.01)
    judged = f"judged with {shared} {'run' if shared == 1 else 'runs'} of its data order" if shared else "judged alone"
    outside = f"; {int(off.sum())} {'loss' if off.sum() == 1 else 'losses'} above the picture" if off.any() else ""
    number = f"{len(events)} {'event' if len(events) == 1 else 'events'}"
    title = fitted(lambda most: f"{shorten(name, most)}: {number}, {judged}{outside}", 50, 580, 9.5)
    top.set_title(title, fontsize=9.5, color=INK, loc="left", pad=6 + LINE * lines)
    top.set_ylabel(LABELS["loss"], fontsize=9.5, color=INK)
    cut = f",\ncut off at {CUT}" if np.abs(z).max() > CUT else ""
    low.set_ylabel(f"residual (sd of noise{cut})", fontsize=9.5, color=INK)
    low.set_xlabel(LABELS["step"], fontsize=9.5, color=INK)
    key(top, top.get_legend_handles_labels()[0], loc="lower left", fontsize=8.5)
    for ax in (top, low):
        tidy(ax)
    return figure


def _draw_band(ax: Any, rows: Any, source: str) -> None:
    """The band of 90 %, behind the losses, and its edges before them, where it would be hidden.

    What siblings foretell jumps from row to row as the losses do: where rows are many, the band goes from the lowest
    to the highest of each stretch.
    """
    step, expected, scale = (rows[c].to_numpy(float) for c in ("step", "expected", "scale"))
    many = -(-len(step) // STRETCHES)
    first = np.arange(0, len(step), many)
    low = np.fmin.reduceat(expected - 1.645 * scale, first)
    high = np.fmax.reduceat(expected + 1.645 * scale, first)
    label = " ".join(["expected", source]).strip() + ", 90 % band"
    at, corners, width = step[np.minimum(first + many // 2, len(step) - 1)], None, 0.8
    if source and many > 1:
        label += f" (around each {many} rows)"
        at, corners, width = step[first], "post", 0.45
    ax.fill_between(
        at, low, high, color=FORECAST, alpha=2 * OBSERVED_ALPHA, linewidth=0, step=corners, label=label, zorder=1.5
    )
    for edge in (low, high):
        drawn = "default" if corners is None else f"steps-{corners}"
        ax.plot(at, edge, color=FORECAST, linewidth=width, drawstyle=drawn, zorder=3)


def _name_events(ax: Any, events: Any, right: float) -> int:
    """Write the largest events above the axes, each from its own line rightwards; how many lines of words that makes.

    From the last one back, each stands on the first line above all that begin under its words, so that the stroke
    which leads to one event crosses the words of no other.
    """
    largest = events.reindex(events["magnitude_sd"].abs().sort_values(ascending=False).index).index[:NAMED]
    named = events.loc[events.index.isin(largest)].sort_values("start_step", ascending=False)
    points = 0.9 * 72 * SIZE[0]  # the axes' width, about
    placed: list[tuple[float, int]] = []
    for _, event in named.iterrows():
        words = str(event["kind"]).replace("_", " ")
        if np.isfinite(event["magnitude"]):
            words += f" {event['magnitude']:+.2g}"
        at = float(event["start_step"])
        end = at + (TextPath((0, 0), words, size=WORDS).get_extents().width + 8) / points * right
        line = 1 + max((line for start, line in placed if start < end), default=-1)
        placed.append((at, line))
        ax.annotate(
            words, (at, 1.0), xycoords=("data", "axes fraction"), xytext=(3, 3 + LINE * line),
            textcoords="offset points", fontsize=WORDS, color=_BAD, ha="left", va="bottom", annotation_clip=False,
        )  # fmt: skip
        ax.annotate(
            "", (at, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3 + LINE * (line + 0.8)),
            textcoords="offset points", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": _BAD, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
    return 1 + max((line for _, line in placed), default=-1)


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
