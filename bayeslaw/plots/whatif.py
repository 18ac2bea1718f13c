"""What-if: a run continued under several schedules, their losses above and their learning rates below.

figure = plot_what_if(bl.what_if(fit, "run", schedules=[...]))
figure.savefig("whatif.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslaw.errors import DataError
from bayeslaw.plots.series import check_level, suffix
from bayeslaw.plots.style import GIVEN, INK, LABELS, blank, fitted, key, set_axis, shorten, tidy

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from bayeslaw.whatif import WhatIf

#: told apart by the colour blind too, from each other and from the past
COLOURS = ("#1f66ad", "#e8710a", "#35b779", "#cc79b0", "#7a4a12", "#1c1c1c")
#: of the run so far: half as much as lies ahead is drawn, within these shares of it; the first half falls too steeply
LEAST, MOST = 0.25, 0.5
PAST = "#6f6f6c"


def plot_what_if(found: WhatIf, *, level: float = 0.9) -> Figure:
    """Bands of the curve at ``level`` and medians of every schedule's forecast, and the learning rates beneath; before
    them the end of the run so far, and a line at now.

    DataError if there are more schedules than can be told apart, or the bands lack the level.
    """
    if len(found.bands) > len(COLOURS):
        raise DataError(f"{len(found.bands)} schedules in one picture cannot be told apart; ask for {len(COLOURS)}.")
    figure = blank(7.6, 5.6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.1))
    name = suffix(level)
    for band in found.bands.values():
        check_level(band.frame, level)
    past, limits = _window(found, name)
    handles = [] if past is None else _draw_past(top, bottom, past, limits[0][0])
    wide = 2 if len(handles) + len(found.bands) <= 2 else 1
    for colour, (title, band) in zip(COLOURS, found.bands.items(), strict=False):
        step = band.frame["step"].to_numpy(float)
        top.fill_between(
            step, band.frame[f"curve_lo{name}"], band.frame[f"curve_hi{name}"], color=colour, alpha=0.22, linewidth=0
        )
        handles += top.plot(step, band.frame["median"], color=colour, linewidth=1.6, label=_name(title, 450 / wide, 9))
        bottom.plot(step, band.frame["lr"], color=colour, linewidth=1.4)
    tidy(top)
    tidy(bottom)
    set_axis(bottom.xaxis, limits[0], False, large=True)
    set_axis(top.yaxis, limits[1], False, large=False, most=8)
    bottom.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    top.set_ylabel(f"{LABELS['loss']}; curve, {name} % band", fontsize=9.5, color=INK)
    bottom.set_ylabel("learning rate", fontsize=9.5, color=INK)
    bottom.set_xlabel(LABELS["step"], fontsize=9.5, color=INK)
    top.set_title(_name(str(found.frame["run"].iloc[0]), 450, 10), fontsize=10, color=INK, loc="left")
    key(figure, handles, loc="outside upper center", ncols=wide, fontsize=9)
    return figure


def _name(text: str, width: float, size: float) -> str:
    return fitted(lambda most: shorten(text, most), 80, width, size)


def _window(found: WhatIf, name: str) -> tuple[pd.DataFrame | None, tuple[tuple[float, float], tuple[float, float]]]:
    """What is drawn of the run so far, and the limits of steps and losses; a lone high loss is cut off."""
    frames = [band.frame for band in found.bands.values()]
    steps = np.concatenate([frame["step"].to_numpy(float) for frame in frames])
    columns = ["median", f"curve_lo{name}", f"curve_hi{name}"]
    losses = np.concatenate([frame[columns].to_numpy(float).ravel() for frame in frames])
    left, right, past = float(steps.min()), float(steps.max()), None
    if found.past is not None:
        now = float(found.past["step"].iloc[-1])
        left = now - float(np.clip((right - now) / 2, LEAST * now, MOST * now))
        past = found.past.query("step >= @left")
        losses = np.append(losses, past["loss"].dropna().quantile([0.01, 0.99]).dropna())
    low, high = losses.min(), losses.max()
    room = 0.05 * ((high - low) or 0.1 * high)
    return past, ((left, right + 0.02 * (right - left)), (float(low - room), float(high + room)))


def _draw_past(top: Any, bottom: Any, past: pd.DataFrame, left: float) -> list[Any]:
    """The run up to now, in both panels, on grey; the entries of a legend."""
    now = float(past["step"].iloc[-1])
    logged = past.dropna(subset="loss")
    style = "o-" if len(logged) <= 60 else "-"
    handles = top.plot(
        logged["step"], logged["loss"], style, color=PAST, linewidth=0.9, markersize=3, label="losses so far"
    )
    bottom.plot(past["step"], past["lr"], color=PAST, linewidth=1.2)
    for ax in (top, bottom):
        ax.axvspan(left, now, color=GIVEN, linewidth=0, zorder=0)
        ax.axvline(now, color="#9a9a95", linewidth=0.8, zorder=1)
    top.text(now, 0.02, "now ", transform=top.get_xaxis_transform(), ha="right", va="bottom", fontsize=8.5, color=INK)
    return handles
