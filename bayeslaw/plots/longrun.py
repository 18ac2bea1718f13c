"""One long run: its loss over steps on a logarithmic axis, tokens above, the forecast, the spikes, and its asymptote.

figure = plot_long_run(band, runs, spikes=spikes, asymptote=band_at_endless_tokens)
figure.savefig("long_run.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslaw.data.units import human
from bayeslaw.errors import DataError
from bayeslaw.plots.series import check_level, suffix
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
    shorten,
    tidy,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from bayeslaw.data.runs import Runs
    from bayeslaw.forecast import Band

SPIKE = "#b3261e"


def plot_long_run(
    band: Band,
    runs: Runs | None = None,
    *,
    given: Runs | None = None,
    spikes: pd.DataFrame | None = None,
    asymptote: Band | None = None,
    run: str | None = None,
    level: float = 0.9,
) -> Figure:
    """Draw one run from its early steps to its end and beyond.

    Parameters
    ----------
    band : a forecast whose rows have ``step`` (and ``tokens``, for the axis above); the picture begins at its first.
    runs : data to draw, nats per token; their kept rows.
    given : what fit or forecast were told; a line marks its end.
    spikes : a table with ``peak_step``, and ``run`` if there are several; each is marked at its step, and those that
        leave the axes at the top by an open mark there.
    asymptote : the forecast of one row of the run at a number of tokens so large that its token term is gone; the
        curve's median and band are drawn across the picture.
    run : the run to draw; by default the band's first.
    level : level of the bands, in (0, 1); it must be one of the forecast's.

    Returns
    -------
    Figure, drawn without pyplot.

    Raises
    ------
    DataError
        The band has no such run or level, or knows no steps.
    """
    check_level(band.frame, level)
    run = str(band.frame["run"].iloc[0]) if run is None else run
    rows = band.frame.loc[band.frame["run"] == run]
    if not len(rows):
        raise DataError(f"The band has no run {run!r}.")
    if "step" not in rows or bool(rows["step"].isna().any()):
        raise DataError(f"The band knows no step for some rows of run {run!r}; give `at` a step column.")
    rows, data, name = rows.sort_values("step"), _of_run(runs, run), suffix(level)
    figure = blank(8.4, 4.6)
    ax = figure.subplots()
    floor = _floor(asymptote, name)
    limits = _limits(rows, data, name, floor)
    if len(data):
        ax.plot(data["step"], data["loss"], "-", color=DATA, linewidth=0.7, label="real", zorder=2)
    at = rows["step"].to_numpy(float)
    for low, high, alpha, what in (
        (f"lo{name}", f"hi{name}", OBSERVED_ALPHA, "observed loss"),
        (f"curve_lo{name}", f"curve_hi{name}", CURVE_ALPHA, "curve"),
    ):
        if low in rows:
            ax.fill_between(at, rows[low], rows[high], color=FORECAST, alpha=alpha, linewidth=0, zorder=2.5,
                            label=f"{what}, {name} % band")  # fmt: skip
    ax.plot(at, rows["median"], "--", color=FORECAST, linewidth=1.6, label="predicted, median", zorder=3)
    if floor is not None:
        _draw_floor(ax, floor, name)
    told = _of_run(given, run)
    if len(told):
        end = float(told["step"].to_numpy(float).max())
        ax.axvspan(limits[0][0], end, color=GIVEN, linewidth=0, zorder=0, label="fitted on", ec="#9a9a95")
        ax.axvline(end, color="#9a9a95", linewidth=0.8, zorder=1)
    if spikes is not None:
        _mark_spikes(ax, spikes, run, data, limits)
    tidy(ax)
    set_axis(ax.xaxis, limits[0], True, large=True, most=8)
    set_axis(ax.yaxis, limits[1], True, large=False, most=8)
    ax.set_xlabel(LABELS["step"], fontsize=10, color=INK)
    ax.set_ylabel(LABELS["loss"], fontsize=10, color=INK)
    size = f", N = {human(float(rows['n_params'].iloc[0]))}" if "n_params" in rows else ""
    title = fitted(lambda most: shorten(run, most) + size, 90, 560, 9.5)
    entries = ax.get_legend_handles_labels()[0]
    key(figure, entries, title=title, loc="outside upper center", ncols=3, fontsize=9, title_fontsize=9.5)
    _tokens_above(ax, rows, limits[0])
    return figure


def _of_run(runs: Runs | None, run: str) -> pd.DataFrame:
    import pandas as pd

    if runs is None:
        return pd.DataFrame({"step": pd.Series(dtype=float), "loss": pd.Series(dtype=float)})
    if "step" not in runs.frame:
        raise DataError("The data have no column step, over which a long run is drawn.")
    return runs.frame.loc[runs.frame["kept"] & (runs.frame["run"] == run)].sort_values("step")


def _floor(asymptote: Band | None, name: str) -> tuple[float, float, float] | None:
    """Lower bound, median and upper bound of the curve at endless tokens."""
    if asymptote is None:
        return None
    if f"curve_lo{name}" not in asymptote.frame or len(asymptote.frame) != 1:
        raise DataError(f"The asymptote is a forecast of one row with a {name} % level; this one is {asymptote!r}.")
    low, high = (float(asymptote.frame[f"curve_{side}{name}"].iloc[0]) for side in ("lo", "hi"))
    return low, float(np.median(asymptote.curve)), high


def _draw_floor(ax: Any, floor: tuple[float, float, float], name: str) -> None:
    low, middle, high = floor
    ax.axhspan(low, high, facecolor="none", edgecolor="#8a8a8a", hatch="////", linewidth=0, alpha=0.35, zorder=0.5)
    text = f"with endless tokens {middle:.2f} ({low:.2f} to {high:.2f}, {name} %)"
    ax.axhline(middle, color="#6a6a6a", linewidth=1.1, linestyle=(0, (1, 1.5)), zorder=1, label=text)


def _limits(
    rows: pd.DataFrame, data: pd.DataFrame, name: str, floor: tuple[float, float, float] | None
) -> tuple[tuple[float, float], tuple[float, float]]:
    """From the forecast's first step on; losses from the lowest band to the highest, single high rows cut off."""
    steps = rows["step"].to_numpy(float)
    first, last = float(steps.min()), float(steps.max())
    shown = data.loc[data["step"] >= first]
    ends = rows.loc[rows["step"] >= 1.5 * first, [f"lo{name}", f"hi{name}"]].to_numpy(float)
    high = max(
        float(rows["median"].to_numpy(float).max()), float(ends.max()), *shown["loss"].quantile([0.999]).dropna()
    )
    low = min(float(ends.min()), floor[0] if floor else np.inf)
    last = max([last, *shown["step"].tail(1)])
    return (first / 1.1, last * 1.15), (low / 1.04, high * 1.06)


def _mark_spikes(ax: Any, spikes: pd.DataFrame, run: str, data: pd.DataFrame, limits: Any) -> None:
    mine = spikes.loc[spikes["run"] == run] if "run" in spikes else spikes
    peaks = mine["peak_step"].to_numpy(float)
    if not len(peaks):
        return
    top = limits[1][1]
    if not len(data):  # how high they are is not known: at the bottom, by their steps alone
        ax.plot(
            peaks, np.full(len(peaks), limits[1][0] * 1.02), "^", color=SPIKE, markersize=5, zorder=4, label="spike"
        )
        return
    losses = np.interp(peaks, data["step"], data["loss"])
    inside = losses < top
    if inside.any():
        ax.plot(peaks[inside], losses[inside], "v", color=SPIKE, markersize=5, zorder=4, label="spike")
    style = {"markerfacecolor": "white", "markeredgecolor": SPIKE, "markersize": 5, "linestyle": "", "zorder": 4}
    if not inside.all():
        ax.plot(peaks[~inside], np.full((~inside).sum(), top / 1.03), "^", label="spike, beyond the axis", **style)


def _tokens_above(ax: Any, rows: pd.DataFrame, limits: tuple[float, float]) -> None:
    """A second x axis in tokens, where tokens are proportional to steps."""
    if "tokens" not in rows or bool(rows["tokens"].isna().any()):
        return
    ratio = rows["tokens"].to_numpy(float) / rows["step"].to_numpy(float)
    if np.ptp(ratio) > 0.01 * ratio.mean():
        return
    above = ax.twiny()
    above.spines[["right", "bottom"]].set_visible(False)
    above.spines[["top", "left"]].set_color("#8a8a8a")
    above.tick_params(colors=INK, labelsize=8)
    set_axis(above.xaxis, (limits[0] * ratio.mean(), limits[1] * ratio.mean()), True, large=True, most=8)
    above.set_xlabel(LABELS["tokens"], fontsize=10, color=INK)
