"""Forecast bands over training: the data so far, and where they are going.

figure = plot_band(band, runs, given=prefix)
figure.savefig("band.png")
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bayeslaw.errors import DataError
from bayeslaw.plots.points import draw_points
from bayeslaw.plots.series import Series, check_level, pick_x, split_series, suffix
from bayeslaw.plots.style import (
    CURVE_ALPHA,
    DATA,
    FORECAST,
    GIVEN,
    INK,
    LABELS,
    OBSERVED_ALPHA,
    blank,
    fitted,
    key,
    set_axis,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayeslaw.data.runs import Runs
    from bayeslaw.forecast import Band


def plot_band(
    band: Band,
    runs: Runs | None = None,
    *,
    given: Runs | None = None,
    x: str | None = None,
    log: Sequence[bool] | None = None,
    level: float = 0.9,
    max_runs: int = 12,
) -> Figure:
    """Draw a forecast with its data.

    Parameters
    ----------
    band : what ``forecast`` returned.
    runs : data to draw in the same panels, nats per token; their kept rows.
    given : what the forecast was told; its end separates the given from the forecast region. Left out, the region
        ends at a run's last data row before its first forecast row.
    x : ``"tokens"``, ``"step"``, ``"flops"`` or ``"n_params"``; by default the first of these that band and
        data know.
    log : one panel per entry, False for linear axes and True for logarithmic ones; by default both for up to three
        runs and linear ones for more.
    level : level of the band of observed losses (and of the curve), in (0, 1); it must be one of the forecast's.
    max_runs : runs drawn, the band's first ones; the legend says how many were left out.

    Returns
    -------
    Figure, drawn without pyplot. One panel (or pair) per run; where every run is a single point, one row per run.

    Raises
    ------
    DataError
        The band is empty, has no such level, or has nothing to be drawn against.
    """
    frame = band.frame
    if not len(frame):
        raise DataError("The band has no rows, so there is nothing to draw. Give `at` at least one row.")
    check_level(frame, level)
    x = x or pick_x(frame, runs)
    series = split_series(frame, runs, given, x)
    if all(len(one.forecast) == 1 and len(one.data) <= 1 for one in series):
        return draw_points(series, level)
    shown = series[:max_runs]
    scales = tuple(log) if log is not None else (False, True) if len(shown) <= 3 else (False,)
    columns = len(scales) if len(scales) > 1 else min(len(shown), 4 if len(shown) > 6 else 3)
    rows = math.ceil(len(shown) * len(scales) / columns)
    width, height = (4.6, 3.3) if columns <= 2 else (3.1, 2.5)
    figure = blank(width * columns + 0.4, height * rows + 0.9)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    narrow = columns > 2
    for i, (one, logarithmic) in enumerate((one, scale) for one in shown for scale in scales):
        _draw_panel(grid[i], one, x, level, logarithmic, narrow)
        again = logarithmic and i % len(scales) > 0
        size, room = (8.5, 185) if narrow else (9.5, 280)
        title = "the same, logarithmic axes" if again else fitted(one.label, 60, room, size)
        grid[i].set_title(title, fontsize=size, color=INK, loc="left")
    for ax in grid[len(shown) * len(scales) :]:
        ax.set_visible(False)
    figure.supxlabel(LABELS.get(x, x), fontsize=10, color=INK)
    figure.supylabel(LABELS["loss"], fontsize=10, color=INK)
    _legend(figure, shown, level, total=len(series), columns=columns)
    return figure


def _draw_panel(ax: Any, one: Series, x: str, level: float, log: bool, narrow: bool) -> None:
    at, rows, name = one.forecast[x].to_numpy(float), one.forecast, suffix(level)
    # The curve's band and the median lie over the data: dense noisy data would hide them.
    for low, high, alpha, width, height in (
        (f"lo{name}", f"hi{name}", OBSERVED_ALPHA, 9.0, 1.5),
        (f"curve_lo{name}", f"curve_hi{name}", CURVE_ALPHA, 4.0, 2.5),
    ):
        if low not in rows:
            continue
        if len(rows) == 1:
            ax.vlines(at, rows[low], rows[high], color=FORECAST, alpha=alpha, linewidth=width, zorder=height)
        else:
            ax.fill_between(at, rows[low], rows[high], color=FORECAST, alpha=alpha, linewidth=0, zorder=height)
    style, width = ("o-", 1.4) if len(one.data) <= 30 else ("-", 0.8)
    ax.plot(one.data[x], one.data["loss"], style, color=DATA, linewidth=width, markersize=3, zorder=2)
    late = one.data[one.data[x] > one.until] if one.until is not None else one.data[:0]
    if len(late) <= 30 < len(one.data):  # sparse rows held back from a dense run: dots, as elsewhere
        ax.plot(late[x], late["loss"], "o", color=DATA, markersize=3, zorder=2)
    ax.plot(at, rows["median"], "D" if len(rows) == 1 else "--", color=FORECAST, linewidth=1.7, markersize=4, zorder=3)
    xs, ys = _limits(one, x, name, log)
    if one.until is not None:
        ax.axvspan(xs[0], one.until, color=GIVEN, linewidth=0, zorder=0)
        ax.axvline(one.until, color="#9a9a95", linewidth=0.8, zorder=1)
    tidy(ax)
    set_axis(ax.xaxis, xs, log, large=True, most=5 if narrow else 6)
    set_axis(ax.yaxis, ys, log, large=False, most=6)
    fallen = xs[0] if log else xs[0] + 0.04 * (xs[1] - xs[0])  # the first steep fall is cut off by intent
    above = int((one.data.loc[one.data[x].between(fallen, xs[1]), "loss"] > ys[1]).sum())
    if above and len(one.data) > 30:  # said, for what is cut off may be what the reader looks for
        spikes = "1 loss above" if above == 1 else f"{above:,} losses above"
        ax.text(0.985, 0.975, f"↑ {spikes}", transform=ax.transAxes, ha="right", va="top", fontsize=8, color=INK)


def _limits(one: Series, x: str, name: str, log: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """Axis limits that leave out the first steep fall, beside which all the rest would look flat.

    On a linear axis that is the first twenty-fifth; a logarithmic one begins two decades before the forecast.
    """
    at, known = one.forecast[x].to_numpy(float), one.data[x].to_numpy(float)
    xs = np.concatenate([at, known])
    if log:
        xs = xs[xs >= at[at > 0].min() / 100]
        (left, right), shown_from = (xs.min() / 1.15, xs.max() * 1.15), xs.min()
    else:
        room = 0.03 * (np.ptp(xs) or abs(xs.max()) or 1.0)
        left, right = max(xs.min() - room, 0.0), xs.max() + room
        shown_from = left + 0.04 * (right - left)
    ends = one.forecast[[f"lo{name}", f"hi{name}"]].to_numpy(float).ravel()
    losses = np.concatenate([_without_spikes(one.data["loss"])[known >= shown_from], ends])
    losses = losses[np.isfinite(losses) & (losses > 0)]
    low, high = losses.min(), losses.max()
    margin = 0.06 * ((high - low) or 0.1 * high)
    return (left, right), (max(low - margin, 0.5 * low), high + margin)


def _without_spikes(loss: Any) -> np.ndarray:
    """Losses with short spikes taken out: a single one of several nats would flatten all the rest.

    A spike stands above what came before it; the steep start of a curve does not, and is kept.
    """
    if len(loss) <= 30:
        return loss.to_numpy(float)
    around, before = (loss.rolling(9, center=middle, min_periods=1).median() for middle in (True, False))
    return np.maximum(around, np.minimum(loss, before)).to_numpy(float)


def _legend(figure: Figure, shown: list[Series], level: float, total: int, columns: int) -> None:
    name = suffix(level)
    entries: list[Any] = [Line2D([], [], color=FORECAST, linestyle="--", linewidth=1.6, label="forecast, median")]
    if f"curve_lo{name}" in shown[0].forecast:
        entries.append(Patch(color=FORECAST, alpha=CURVE_ALPHA + OBSERVED_ALPHA / 2, label=f"curve, {name} % band"))
    entries.append(Patch(color=FORECAST, alpha=OBSERVED_ALPHA, label=f"observed loss, {name} % band"))
    if any(len(one.data) for one in shown):
        entries.insert(0, Line2D([], [], color=DATA, linewidth=1.4, label="data"))
    if any(one.until is not None for one in shown):
        entries.insert(1, Patch(facecolor=GIVEN, edgecolor="#9a9a95", linewidth=0.8, label="given"))
    left_out = f"the first {len(shown)} of {total} runs" if total > len(shown) else None
    wide = len(entries) if columns > 1 else 2
    key(figure, entries, title=left_out, loc="outside upper center", ncols=wide, fontsize=9, title_fontsize=9)
