"""Forecasts of single points, such as final losses: one row per run, the band as a bar, the data as a dot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from bayeslaw.data.units import human
from bayeslaw.plots.series import Series, suffix
from bayeslaw.plots.style import (
    CURVE_ALPHA,
    DATA,
    FORECAST,
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

MOST_ROWS = 40


def draw_points(series: list[Series], level: float) -> Figure:
    """A row per run: its name, size and tokens, the forecast with its bands, and the loss where it is known."""
    shown, name = series[:MOST_ROWS], suffix(level)
    figure = blank(7.6, 0.24 * len(shown) + 1.5)
    ax = figure.subplots()
    rows = np.arange(len(shown))
    handles: list[Any] = []
    for low, high, alpha, width, what in (
        ("lo", "hi", OBSERVED_ALPHA, 8.0, "observed loss"),
        ("curve_lo", "curve_hi", CURVE_ALPHA, 4.0, "curve"),
    ):
        if low + name not in shown[0].forecast:
            continue
        left, right = ([one.first(side + name) for one in shown] for side in (low, high))
        handles.append(
            ax.hlines(rows, left, right, color=FORECAST, alpha=alpha, linewidth=width, label=f"{what}, {name} % band")
        )
    medians = [one.first("median") for one in shown]
    ax.scatter(medians, rows, marker="|", s=70, color=FORECAST, linewidth=1.8)
    handles.append(Line2D([], [], color=FORECAST, marker="|", linestyle="", markersize=9, label="forecast, median"))
    known = [(one.data["loss"].iloc[0], row) for one, row in zip(shown, rows, strict=True) if len(one.data)]
    if known:
        ax.scatter(*zip(*known, strict=True), s=16, color=DATA, zorder=3)
        handles.append(Line2D([], [], color=DATA, marker="o", linestyle="", markersize=4, label="data"))
    tidy(ax)
    ax.grid(False, axis="y")
    low = min([one.first(f"lo{name}") for one in shown] + [loss for loss, _ in known])
    high = max([one.first(f"hi{name}") for one in shown] + [loss for loss, _ in known])
    margin = 0.04 * ((high - low) or 0.1)
    set_axis(ax.xaxis, (low - margin, high + margin), False, large=False)
    ax.set_yticks(rows, [_label(one) for one in shown], fontsize=8)
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.set_xlabel(LABELS["loss"], fontsize=10, color=INK)
    left_out = f"the first {len(shown)} of {len(series)} runs" if len(series) > len(shown) else None
    where = {"loc": "outside upper center", "ncols": len(handles), "fontsize": 9, "title_fontsize": 9}
    key(figure, handles[::-1], title=left_out, **where)
    return figure


def _label(one: Series) -> str:
    tokens = one.first("tokens")
    length = "" if math.isnan(tokens) else f", D = {human(tokens)}"
    return fitted(lambda most: one.label(most) + length, 60, 235, 8)
