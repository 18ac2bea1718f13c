"""What-if: a run continued under several schedules, their losses above and their learning rates below.

figure = plot_what_if(bl.what_if(fit, "run", schedules=[...]))
figure.savefig("whatif.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from bayeslaw.errors import DataError
from bayeslaw.plots.series import check_level, suffix
from bayeslaw.plots.style import INK, LABELS, set_axis, shorten, tidy

if TYPE_CHECKING:
    from bayeslaw.whatif import WhatIf

#: told apart in grey print as well: light and dark alternate
COLOURS = ("#1f66ad", "#e8710a", "#2a8f57", "#a23b8f", "#6b5b2e", "#3a3a3a")


def plot_what_if(found: WhatIf, *, level: float = 0.9) -> Figure:
    """Bands of the curve at ``level`` and medians of every schedule's forecast, and the learning rates beneath.

    DataError if there are more schedules than can be told apart, or the bands lack the level.
    """
    if len(found.bands) > len(COLOURS):
        raise DataError(f"{len(found.bands)} schedules in one picture cannot be told apart; ask for {len(COLOURS)}.")
    figure = Figure(figsize=(7.6, 5.6), dpi=110, layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.1))
    name = suffix(level)
    handles: list[Any] = []
    for colour, (title, band) in zip(COLOURS, found.bands.items(), strict=False):
        check_level(band.frame, level)
        step = band.frame["step"].to_numpy(float)
        top.fill_between(
            step, band.frame[f"curve_lo{name}"], band.frame[f"curve_hi{name}"], color=colour, alpha=0.22, linewidth=0
        )
        handles += top.plot(step, band.frame["median"], color=colour, linewidth=1.6, label=shorten(title, 60))
        bottom.plot(step, band.frame["lr"], color=colour, linewidth=1.4)
    steps = np.concatenate([b.frame["step"].to_numpy(float) for b in found.bands.values()])
    set_axis(bottom.xaxis, (steps.min(), steps.max() + 0.02 * np.ptp(steps)), False, large=True)
    tidy(top)
    tidy(bottom)
    bottom.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    top.set_ylabel(f"{LABELS['loss']}; curve, {name} % band", fontsize=9.5, color=INK)
    bottom.set_ylabel("learning rate", fontsize=9.5, color=INK)
    bottom.set_xlabel(LABELS["step"], fontsize=9.5, color=INK)
    top.set_title(str(found.frame["run"].iloc[0]), fontsize=10, color=INK, loc="left")
    figure.legend(
        handles=handles, loc="outside upper center", ncols=1 if len(handles) > 2 else 2, frameon=False, fontsize=9,
        labelcolor=INK,
    )  # fmt: skip
    return figure
