"""The look that all pictures share: colours, ticks that people can read, axes with units, names as they are written.

Data are solid blue, predictions dashed orange; the darker band is the curve's, the lighter one an observation's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from bayeslaw.data.units import human

DATA, FORECAST, GIVEN, INK, PAPER = "#1f66ad", "#e8710a", "#f1f1ef", "#3a3a3a", "#ffffff"
CURVE_ALPHA, OBSERVED_ALPHA = 0.45, 0.20

#: axis label of a covariate, unit included
LABELS = {
    "tokens": "training tokens",
    "step": "optimizer step",
    "n_params": "parameters",
    "flops": "training compute (FLOP)",
    "loss": "loss (nats per token)",
}
_SUBS = ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7), tuple(range(1, 10)))


class Picture(Figure):
    """A figure on paper of its own: a style sheet in force, such as a dark one, leaves its ground as it is."""

    def savefig(self, fname: Any, **options: Any) -> None:
        super().savefig(fname, **{"facecolor": "auto", "edgecolor": "auto", **options})


def blank(width: float, height: float, dpi: float = 110) -> Picture:
    """An empty picture of so many inches, laid out so that nothing is cut off."""
    return Picture(figsize=(width, height), dpi=dpi, layout="constrained", facecolor=PAPER)


def key(owner: Any, handles: Sequence[Any], *, title: str | None = None, **where: Any) -> None:
    """The legend of a figure or of axes, without a frame; what it says is in ink, its title too."""
    made = owner.legend(handles=handles, frameon=False, labelcolor=INK, title=title, **where)
    made.get_title().set_color(INK)


def tick_values(low: float, high: float, log: bool, most: int = 6) -> list[float]:
    """Between three and ``most`` round numbers inside [low, high], where there are such."""
    if log:
        for subs in _SUBS:
            decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            ticks = [sub * 10.0**decade for decade in decades for sub in subs if low <= sub * 10.0**decade <= high]
            if len(ticks) > most:
                break
            if len(ticks) >= 3:
                return ticks
        decades = [tick for tick in ticks if math.log10(tick).is_integer()]
        if len(decades) >= 3:
            return decades[:: math.ceil(len(decades) / most)]
    found: list[float] = []
    for parts in range(most - 1, 2 * most):
        ticks = MaxNLocator(nbins=parts, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        finer = [float(tick) for tick in ticks if low <= tick <= high]
        found = finer if not found or len(finer) <= most else found
        if len(found) >= 3 or len(finer) > most:
            break
    return found


def set_axis(axis: Any, limits: tuple[float, float], log: bool, *, large: bool, most: int = 6) -> None:
    """Scale, limits and ticks of one axis (``ax.xaxis`` or ``ax.yaxis``); ``large`` numbers are written 70B, 1.4T.

    Limits that are one number are set apart around it.
    """
    which, limits = axis.axis_name, apart(*limits, log=log)
    getattr(axis.axes, f"set_{which}scale")("log" if log else "linear")
    getattr(axis.axes, f"set_{which}lim")(*limits)
    ticks = tick_values(*limits, log=log, most=most)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    wide = log and ticks[-1] >= 100 * ticks[0]  # 0.01 to 100: no number of decimals suits them all
    write = told_apart(human, ticks) if large else (lambda v: f"{v:g}") if wide else lambda v: _decimal(v, ticks)
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))


def apart(low: float, high: float, *, log: bool) -> tuple[float, float]:
    """Limits of an axis; around a single number, half of it (a factor of two on a log axis) to either side."""
    if high - low > 1e-9 * abs(high):
        return low, high
    return (low / 2, high * 2) if log else (low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0))


def told_apart(write: Callable[[float, int], str], ticks: Sequence[float]) -> Callable[[float], str]:
    """``write`` (a number, its digits) with the fewest digits, from 3, that give no two ticks the same label."""
    enough = (digits for digits in range(3, 12) if len({write(tick, digits) for tick in ticks}) == len(ticks))
    digits = next(enough, 12)
    return lambda value: write(value, digits)


def _decimal(value: float, ticks: list[float]) -> str:
    """All ticks of an axis with the same number of decimals, as few as tell them apart."""
    for decimals in range(6):
        if all(math.isclose(tick, round(tick, decimals), rel_tol=1e-9) for tick in ticks):
            return f"{value:.{decimals}f}"
    return f"{value:.6g}"


def tidy(ax: Any) -> None:
    """Two spines and a faint grid behind the data."""
    ax.set_facecolor(PAPER)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#8a8a8a")
    ax.tick_params(colors=INK, labelsize=8)
    ax.grid(True, color="#e3e3e0", linewidth=0.6)
    ax.set_axisbelow(True)


def shorten(text: str, most: int) -> str:
    """``text``, with its middle left out if it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def plain(text: str) -> str:
    """``text`` on one line, to be drawn letter by letter: names come from strangers, and two dollars are no formula."""
    return " ".join(text.split()).replace("$", r"\$")


def fitted(write: Callable[[int], str], most: int, width: float, size: float) -> str:
    """``plain`` of what ``write`` makes of a number of letters, ``most`` or as many as take ``width`` points.

    ``size`` is that of the letters, in points.
    """
    while True:
        text = plain(write(most))
        taken = TextPath((0, 0), text, size=size).get_extents().width if text else 0.0
        if taken <= width or most <= 8:
            return text
        most = max(8, min(most - 1, int(most * width / taken)))
