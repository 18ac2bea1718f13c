"""Calibration of a backtest: how often bands of each level held, and where in its forecast each loss fell.

figure = plot_calibration(result)
figure.savefig("calibration.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from bayeslaw.errors import DataError
from bayeslaw.plots.style import DATA, FORECAST, INK, blank, key, plain, shorten, tidy
from bayeslaw.scores import pit_test, simultaneous_band

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayeslaw.backtest_result import Backtest

#: nominal levels drawn, and bars of the PIT histogram
NOMINAL, BARS = np.linspace(0.05, 0.95, 19), 10


def plot_calibration(
    result: Backtest, model: str | None = None, *, level: str | None = None, cluster: str = "run"
) -> Figure:
    """Coverage against nominal level, and the histogram of PIT values, with bands that hold for all points at once.

    Parameters
    ----------
    result : what ``backtest`` returned.
    model : the contestant; by default the first model.
    level : ``"raw"`` (observed losses) or ``"curve"`` (smoothed); by default both, a row each.
    cluster : column whose members share their errors; the 95 % bands draw whole ones again.

    Raises
    ------
    DataError
        There is no such contestant or level.
    """
    name = model or result.models[0]
    points = result.points[result.points["model"] == name]
    levels = [level] if level else list(dict.fromkeys(points["level"]))
    if not len(points) or not set(levels) <= set(points["level"]):
        raise DataError(f"The backtest has no {name!r} at level {level!r}; it has {', '.join(result.models)}.")
    figure = blank(8.4, 3.7 * len(levels) + 0.7)
    grid = figure.subplots(len(levels), 2, squeeze=False)
    for (left, right), each in zip(grid, levels, strict=True):
        mine = points[points["level"] == each]
        _coverage(left, mine, cluster)
        _histogram(right, mine, cluster)
        what = "observed losses" if each == "raw" else "smoothed curves"
        left.set_title(f"{what}: {_counted(mine, cluster)}", fontsize=9.5, color=INK, loc="left")
    handles: list[Any] = [
        Line2D([], [], color=DATA, linewidth=1.7, label=plain(shorten(str(name), 40))),
        Line2D([], [], color=FORECAST, linestyle="--", linewidth=1.4, label="honest"),
    ]
    if points[cluster].nunique() > 1:  # of one run nobody can say how runs differ: no band is drawn
        handles.insert(1, Patch(color=DATA, alpha=0.22, label=f"95 % over {cluster}s, all points at once"))
    key(figure, handles, loc="outside upper center", ncols=3, fontsize=9)
    return figure


def _counted(points: Any, cluster: str) -> str:
    count = points[cluster].nunique()
    return f"{count:,} {cluster}" + ("" if count == 1 else "s")


def _coverage(ax: Any, points: Any, cluster: str) -> None:
    # a central interval of level p holds the truth where its PIT is within p / 2 of the middle
    off = np.abs(points["pit"].to_numpy(float) - 0.5)
    inside = (off[:, None] <= NOMINAL / 2).astype(float)
    mean, low, high = simultaneous_band(inside, points[cluster], clip=lambda v: np.clip(v, 0, 1))
    ax.plot([0, 1], [0, 1], "--", color=FORECAST, linewidth=1.4, zorder=2)
    ax.fill_between(NOMINAL, low, high, color=DATA, alpha=0.22, linewidth=0, zorder=1)
    ax.plot(NOMINAL, mean, color=DATA, linewidth=1.7, zorder=3)
    tidy(ax)
    # a line along 0 or 100 % is drawn whole
    ax.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="nominal level of the band", ylabel="share of losses inside")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.label.set(color=INK, fontsize=9.5)


def _histogram(ax: Any, points: Any, cluster: str) -> None:
    pit = points["pit"].to_numpy(float)
    bar = np.minimum((pit * BARS).astype(int), BARS - 1)
    share = np.eye(BARS)[bar] * BARS
    mean, low, high = simultaneous_band(share, points[cluster], clip=lambda v: np.maximum(v, 0))
    centres = (np.arange(BARS) + 0.5) / BARS
    ax.bar(centres, mean, width=0.92 / BARS, color=DATA, alpha=0.55, linewidth=0, zorder=1)
    ax.vlines(centres, low, high, color=DATA, alpha=0.9, linewidth=1.6, zorder=3)
    ax.axhline(1.0, color=FORECAST, linestyle="--", linewidth=1.4, zorder=2)
    test = pit_test(pit, points[cluster])
    if np.isfinite(test.p):
        said = f"test of uniform: p = {test.p:.2g}; mean {0.5 + test.bias:.2f}, spread × {test.spread:.2f}"
        ax.set_title(said, fontsize=8.5, color=INK, loc="left")
    tidy(ax)
    top = float(np.nanmax(np.append(high, mean)))
    ax.set(xlim=(0, 1), ylim=(0, max(1.6, 1.08 * top)), ylabel="density")
    ax.set_xlabel("PIT: share of the forecast below the loss", fontsize=9.5, color=INK)
    ax.yaxis.label.set(color=INK, fontsize=9.5)
