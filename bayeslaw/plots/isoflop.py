"""IsoFLOP sweeps of several corpora: loss over size at each budget, and the optimal size and tokens over compute.

figure = plot_isoflop_corpora({"marin": Sweep(parts, curves, frontier)})
figure.savefig("isoflop.png")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bayeslaw.data.units import human
from bayeslaw.plan.isoflop import Profile, bottom
from bayeslaw.plots.style import DATA, FORECAST, INK, OBSERVED_ALPHA, blank, fitted, key, set_axis, shorten, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: budgets whose valleys are drawn, spread over all there are; more would lie on one another
MOST = 5
#: points that a panel of valleys is wide and high, and that a budget's name takes there
ROOM, LETTERS = (222.0, 172.0), (36.0, 9.0)


@dataclass(frozen=True)
class Sweep:
    """One corpus: its ``profiles``; per profile a frame of n_params, median, lo90, hi90 of the predicted curve; and
    the ``frontier`` with flops, and {n_params, tokens}_{median, lo90, hi90}."""

    profiles: list[Profile]
    curves: list[pd.DataFrame]
    frontier: pd.DataFrame


def plot_isoflop_corpora(sweeps: Mapping[str, Sweep]) -> Figure:
    """A row of three panels for each corpus: losses over parameters, one valley a budget; optimal parameters over
    compute; optimal tokens over compute. Solid blue is real (dots: each budget's own parabola), dashed orange
    predicted, with 90 % bands. Returns a Figure, drawn without pyplot."""
    figure = blank(11.4, 3.1 * len(sweeps) + 0.5)
    axes = np.atleast_2d(figure.subplots(len(sweeps), 3))
    for (left, middle, right), (name, sweep) in zip(axes, sweeps.items(), strict=True):
        _valleys(left, sweep, name)
        for ax, what in ((middle, "n_params"), (right, "tokens")):
            _optima(ax, sweep, what)
    for ax, text in zip(axes[-1], ("parameters", "training compute (FLOP)", "training compute (FLOP)"), strict=True):
        ax.set_xlabel(text, fontsize=10, color=INK)
    entries = [
        Line2D([], [], color=DATA, marker="o", markersize=4, linewidth=1.1, label="real"),
        Line2D([], [], color=FORECAST, linestyle="--", linewidth=1.6, label="predicted, median"),
        Patch(color=FORECAST, alpha=OBSERVED_ALPHA, label="90 % band of the curve, of the optimum"),
    ]
    key(figure, entries, loc="outside upper center", ncols=3, fontsize=9)
    return figure


def _valleys(ax: Any, sweep: Sweep, name: str) -> None:
    shown = np.unique(np.linspace(0, len(sweep.profiles) - 1, min(MOST, len(sweep.profiles))).round().astype(int))
    losses, sizes = [], []
    for i in shown:
        part, curve = sweep.profiles[i], sweep.curves[i]
        ax.plot(part.n_params, part.loss, "o-", color=DATA, markersize=3, linewidth=1.1, zorder=3)
        ax.fill_between(curve["n_params"], curve["lo90"], curve["hi90"], color=FORECAST, alpha=OBSERVED_ALPHA,
                        linewidth=0)  # fmt: skip
        ax.plot(curve["n_params"], curve["median"], "--", color=FORECAST, linewidth=1.6, zorder=4)
        losses += [part.loss.min(), part.loss.max(), float(curve["lo90"].min()), float(curve["hi90"].max())]
        sizes += [part.n_params.min(), part.n_params.max()]
    room = 0.06 * (max(losses) - min(losses))
    tidy(ax)
    set_axis(ax.xaxis, (min(sizes) / 1.2, max(sizes) * 2.2), True, large=True, most=5)
    set_axis(ax.yaxis, (min(losses) - room, max(losses) + room), False, large=False, most=5)
    title = fitted(lambda most: f"{shorten(name, most)}, budgets in FLOP", 60, 215, 9.5)
    ax.set_title(title, fontsize=9.5, color=INK, loc="left")
    ax.set_ylabel("loss (nats per token)", fontsize=10, color=INK)
    _name_budgets(ax, [sweep.profiles[i] for i in shown])


def _name_budgets(ax: Any, parts: list[Profile]) -> None:
    """Each budget beside the right end of its valley, or above it where a lower one's would lie there."""
    left, right, low, high = *np.log(ax.get_xlim()), *ax.get_ylim()
    ends = sorted((float(part.loss[-1]), float(part.n_params[-1]), human(part.flops)) for part in parts)
    placed: list[tuple[float, float]] = []
    for loss, size, words in ends:
        x, y = (np.log(size) - left) / (right - left) * ROOM[0], (loss - low) / (high - low) * ROOM[1]
        beneath = [at for across, at in placed if abs(across - x) < LETTERS[0]]
        moved = max([y, *(at + LETTERS[1] for at in beneath)])
        placed.append((x, moved))
        ax.annotate(words, (size, loss), xytext=(4, moved - y), textcoords="offset points", fontsize=7.5, color=INK,
                    va="center")  # fmt: skip


def _optima(ax: Any, sweep: Sweep, what: str) -> None:
    table, flops = sweep.frontier, sweep.frontier["flops"].to_numpy(float)
    low, high = (table[f"{what}_{side}90"].to_numpy(float) for side in ("lo", "hi"))
    ax.fill_between(flops, low, high, color=FORECAST, alpha=OBSERVED_ALPHA, linewidth=0)
    ax.plot(flops, table[f"{what}_median"], "--", color=FORECAST, linewidth=1.6, zorder=3)
    found = [
        (part.flops, bottom(getattr(part, what), part.loss), getattr(part, what).min(), getattr(part, what).max())
        for part in sweep.profiles
    ]
    # a parabola whose bottom lies outside the sizes that were trained says nothing
    at = np.array([(c, b) for c, b, least, most in found if np.isfinite(b) and least <= b <= most]).reshape(-1, 2)
    ax.plot(at[:, 0], at[:, 1], "o-", color=DATA, markersize=3.5, linewidth=1.1, zorder=4)
    tidy(ax)
    every = np.concatenate([low, high, at[:, 1]])
    set_axis(ax.xaxis, (flops.min(), flops.max()), True, large=True, most=5)
    set_axis(ax.yaxis, (every.min() / 1.2, every.max() * 1.2), True, large=True, most=5)
    ax.set_title("optimal parameters" if what == "n_params" else "optimal tokens", fontsize=9.5, color=INK, loc="left")
