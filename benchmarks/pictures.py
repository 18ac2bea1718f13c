"""The picture of a calibration study: for every quantity, the ECDF of its ranks minus that of uniform ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from ranks import ecdf_band

COLUMNS = 6
COLOURS = ("#1f66ad", "#e8710a", "#2a9d5c", "#8a4fbf", "#b03a48", "#5a5a5a", "#c9a227", "#3aa6b9", "#7a5c3e")


def picture(ranks: pd.DataFrame, draws: int, title: str, path: Path) -> None:
    """One panel per quantity, a vector's members together; the band holds a uniform sample's whole line 95 times in
    a hundred. A line above the band tells of truths that lie low among their draws, an S of a width that is wrong."""
    panels: dict[str, list[str]] = {}
    for name in ranks:
        panels.setdefault(str(name).partition("[")[0], []).append(str(name))
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(2.1 * COLUMNS, 1.75 * rows + 0.9), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    z, low, high = ecdf_band(len(ranks), draws)
    for ax, (name, members) in zip(axes.flat, panels.items(), strict=False):
        ax.fill_between(z, low, high, color="#d9d9d6", linewidth=0, step="mid")
        ax.axhline(0, color="#9a9a9a", linewidth=0.6)
        for i, member in enumerate(members):
            below = np.searchsorted(np.sort(ranks[member]), np.arange(draws), side="right") / len(ranks)
            ax.plot(z, below - z, color=COLOURS[i % len(COLOURS)], linewidth=1.0)
        ax.set_title(name if len(members) == 1 else f"{name} (all {len(members)})", fontsize=9)
        ax.tick_params(labelsize=8)
        ax.set_xticks([0, 0.5, 1])
        ax.spines[["top", "right"]].set_visible(False)
    for i, ax in enumerate(axes.flat):
        ax.tick_params(labelbottom=i + COLUMNS >= len(panels))
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    figure.suptitle(f"{title}; {len(ranks)} data sets. Grey: 95 % simultaneous band", fontsize=11)
    figure.supxlabel("rank of the truth among the posterior draws, as a share", fontsize=9)
    figure.supylabel("ECDF minus uniform", fontsize=9)
    figure.savefig(path, dpi=110, metadata={"Software": None})
