"""Pictures of plans: the frontier with its bands, the regret of a size, the probability of a target, isoFLOP panels.

What lies beyond the data is drawn dashed on a grey ground, with the decades written there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from bayeslaw.data.units import human
from bayeslaw.plots.style import (
    CURVE_ALPHA,
    DATA,
    FORECAST,
    GIVEN,
    INK,
    OBSERVED_ALPHA,
    blank,
    set_axis,
    tidy,
    told_apart,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_plan(plan: Any, frontier: pd.DataFrame) -> Figure:
    """Loss and parameters on the frontier against budget, and regret against size, of a plan."""
    figure = blank(11.4, 3.9)
    left, middle, right = figure.subplots(1, 3)
    draw_frontier(left, frontier, "loss", "loss at the optimum (nats per token)", log=False)
    draw_frontier(middle, frontier, "n_params", "compute-optimal parameters", log=True, legend=False)
    for ax, name in ((left, "loss"), (middle, "n_params")):
        row = plan.frame.loc[name]
        ax.errorbar(
            [plan.flops], [row["median"]], [[row["median"] - row["lo90"]], [row["hi90"] - row["median"]]],
            color=INK, marker="o", markersize=4.5, capsize=3, zorder=5, clip_on=False,
        )  # fmt: skip
    draw_regret(right, plan)
    return figure


def draw_frontier(ax: Any, frontier: pd.DataFrame, name: str, label: str, *, log: bool, legend: bool = True) -> None:
    """One quantity against budget: 50 and 90 % bands; solid where the data are, dashed beyond."""
    c = frontier["flops"].to_numpy()
    inside = frontier["inside"].to_numpy(bool)
    for level, alpha in (("90", OBSERVED_ALPHA), ("50", CURVE_ALPHA)):
        ax.fill_between(c, frontier[f"{name}_lo{level}"], frontier[f"{name}_hi{level}"], color=FORECAST, alpha=alpha,
                        linewidth=0, label=f"{level} % band")  # fmt: skip
    middle = frontier[f"{name}_median"].to_numpy()
    ax.plot(c[inside], middle[inside], color=FORECAST, linewidth=1.6, label="median")
    low, high = float(frontier[f"{name}_lo90"].to_numpy().min()), float(frontier[f"{name}_hi90"].to_numpy().max())
    margin = (high / low) ** 0.05 if log else 0.05 * (high - low)
    limits = (low / margin, high * margin) if log else (low - margin, high + margin)
    for beyond, end in ((c > c[inside].max(), c[inside].max()), (c < c[inside].min(), c[inside].min())):
        if inside.any() and beyond.any():
            mine = beyond | (c == end)
            ax.plot(c[mine], middle[mine], color=FORECAST, linewidth=1.6, linestyle=(0, (3, 2)))
            span = (c[beyond].min(), c[beyond].max())
            ax.axvspan(min(end, span[0]), max(end, span[1]), color=GIVEN, zorder=-3)
            decades = abs(np.log10((span[1] if span[1] > end else span[0]) / end))
            if decades > 0.3:
                # in the corner that the curve leaves free: it runs high there, or low; inwards from the picture's edge
                above = span[1] > end
                low_corner = above == (middle[-1] > middle[0])
                ax.text(0.99 if above else 0.01, 0.015 if low_corner else 0.985,
                        f"beyond the data,\n{decades:.1f} decades", transform=ax.transAxes,
                        ha="right" if above else "left", va="bottom" if low_corner else "top",
                        fontsize=8, color=INK)  # fmt: skip
    tidy(ax)
    compute_axis(ax.xaxis, c.min(), c.max())
    set_axis(ax.yaxis, limits, log, large=log)
    ax.set_xlabel("training compute (FLOP)", fontsize=10, color=INK)
    ax.set_ylabel(label, fontsize=10, color=INK)
    if legend:
        # in the corner that the curve leaves free, and clear of the words for what lies before the data
        corner, room = ("lower", 0.0) if middle[-1] < middle[0] else ("upper", 1.0)
        if inside.any() and not inside[0]:
            room += 0.11 if corner == "lower" else -0.11
        ax.legend(loc=f"{corner} left", bbox_to_anchor=(0.0, room), frameon=False, fontsize=8.5, labelcolor=INK)


def compute_axis(axis: Any, low: float, high: float) -> None:
    """A log axis of FLOP, all of its ticks written 1e+20: prefixes end in the middle of such a range."""
    set_axis(axis, (low, high), True, large=True, most=5)
    write = told_apart(lambda value, digits: f"{value:.{digits - 3}e}", list(axis.get_majorticklocs()))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))


def draw_regret(ax: Any, plan: Any) -> None:
    """Regret of a size at the plan's budget, in thousandths of a nat; a sentence where there is no other size."""
    r = plan.regret
    n, chosen = r["n_params"].to_numpy(), human(plan.choice.n_params)
    if len(n) < 2:
        ax.text(0.5, 0.5, f"There is one size to choose, {chosen},\nso none to regret.", ha="center", va="center",
                transform=ax.transAxes, fontsize=9, color=INK)  # fmt: skip
        ax.set_axis_off()
        return
    for level, alpha in (("90", OBSERVED_ALPHA), ("50", CURVE_ALPHA)):
        ax.fill_between(n, 1e3 * r[f"lo{level}"], 1e3 * r[f"hi{level}"], color=DATA, alpha=alpha, linewidth=0,
                        label=f"{level} % band")  # fmt: skip
    ax.plot(n, 1e3 * r["mean"], color=DATA, linewidth=1.6, label="mean")
    ax.axvline(plan.choice.n_params, color=INK, linewidth=1.0, linestyle=(0, (1, 2)), ymax=0.9)
    top = 1e3 * float(r["hi90"][np.isfinite(r["hi90"])].max())
    left = np.log(plan.choice.n_params / n.min()) < 0.6 * np.log(n.max() / n.min())
    ax.text(plan.choice.n_params, 0.88, f" least expected \n loss: {chosen} ", va="top", fontsize=8,
            transform=ax.get_xaxis_transform(), color=INK, ha="left" if left else "right")  # fmt: skip
    tidy(ax)
    set_axis(ax.xaxis, (n.min(), n.max()), True, large=True, most=5)
    # the curves keep below the words, which stand in two storeys over them
    set_axis(ax.yaxis, (0, 1.4 * top), False, large=False)
    ax.set_xlabel(f"parameters, at {human(plan.flops)} FLOP", fontsize=10, color=INK)
    ax.set_ylabel("regret (thousandths of a nat)", fontsize=10, color=INK)
    ax.legend(loc="upper center", ncols=3, frameon=False, fontsize=8.5, labelcolor=INK, columnspacing=1.2)


def plot_target(target: Any) -> Figure:
    """Probability of reaching a loss against budget; dashed beyond the data's compute."""
    figure = blank(5.6, 3.9)
    ax = figure.subplots()
    c, p = target.curve["flops"].to_numpy(), target.curve["p"].to_numpy()
    end = target.reach.flops[1]
    ax.axhline(0.5, color="#8a8a8a", linewidth=0.7)
    if (c <= end).any():
        ax.plot(c[c <= end], p[c <= end], color=FORECAST, linewidth=1.8, label="inside the data's compute")
    if (c > end).any():
        beyond = c >= (c[c <= end].max() if (c <= end).any() else c.min())
        words = f"beyond the data's compute, by up to {np.log10(c.max() / end):.1f} decades"
        ax.plot(c[beyond], p[beyond], color=FORECAST, linewidth=1.8, linestyle=(0, (3, 2)), label=words)
        ax.axvspan(max(end, c.min()), c.max(), color=GIVEN, zorder=-3)
    b = target.budget
    if np.isfinite(b["hi90"]):
        words = f"budget needed: {human(b['median'])}, 90 % {human(b['lo90'])} - {human(b['hi90'])} FLOP"
        ax.errorbar([b["median"]], [0.5], xerr=[[b["median"] - b["lo90"]], [b["hi90"] - b["median"]]], color=INK,
                    marker="o", markersize=4.5, capsize=3, linestyle="", label=words)  # fmt: skip
    tidy(ax)
    compute_axis(ax.xaxis, c.min(), c.max())
    set_axis(ax.yaxis, (0, 1.02), False, large=False)
    ax.set_xlabel("training compute (FLOP)", fontsize=10, color=INK)
    ax.set_ylabel(f"probability of a loss ≤ {target.loss:g}", fontsize=10, color=INK)
    figure.legend(loc="outside upper left", frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def plot_isoflop(parts: list[Any], curves: list[pd.DataFrame] | None = None) -> Figure:
    """IsoFLOP panels: losses against size, one panel a budget; dashed: the budget's own parabola.

    ``parts`` are profiles (``bayeslaw.plan.isoflop.profiles``), at most 12 of them are drawn; ``curves``, one frame a
    panel with n_params, median, lo90, hi90, are the fit's bands.
    """
    shown = parts[:12]
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = blank(2.9 * columns, 2.4 * rows + (0.6 if columns > 1 else 1.0))
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for ax, i in zip(axes, range(len(shown)), strict=False):
        part = shown[i]
        u = np.log(part.n_params)
        if curves is not None:
            f = curves[i]
            ax.fill_between(f["n_params"], f["lo90"], f["hi90"], color=FORECAST, alpha=CURVE_ALPHA, linewidth=0,
                            label="posterior, 90 % band of the curve")  # fmt: skip
            ax.plot(f["n_params"], f["median"], color=FORECAST, linewidth=1.2)
        if len(np.unique(np.round(u, 3))) >= 4:
            fine = np.linspace(u.min(), u.max(), 60)
            at = np.polyval(np.polyfit(u - u.mean(), part.loss, 2), fine - u.mean())
            ax.plot(np.exp(fine), at, color=INK, linewidth=1.0, linestyle=(0, (3, 2)), label="its own parabola")
        ax.scatter(part.n_params, part.loss, s=13, color=DATA, zorder=4, label="runs")
        tidy(ax)
        low, high = part.loss.min(), part.loss.max()
        if curves is not None:
            low, high = min(low, curves[i]["lo90"].min()), max(high, curves[i]["hi90"].max())
        margin = 0.08 * max(high - low, 1e-3)
        set_axis(ax.xaxis, (part.n_params.min() / 1.15, part.n_params.max() * 1.15), True, large=True, most=4)
        set_axis(ax.yaxis, (low - margin, high + margin), False, large=False, most=5)
        ax.set_title(f"{human(part.flops)} FLOP", fontsize=9.5, color=INK)
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    figure.supxlabel("parameters", fontsize=10, color=INK)
    figure.supylabel("loss (nats per token)", fontsize=10, color=INK)
    handles = axes[0].get_legend_handles_labels()
    wide = 3 if columns > 1 else 1
    figure.legend(*handles, loc="outside upper center", ncols=wide, frameon=False, fontsize=9, labelcolor=INK)
    return figure
