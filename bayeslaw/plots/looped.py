"""Looped models: the total loss over depth and size, and the loss of each recurrent step, with forecasts and bands.

figure = plot_looped_total(band, runs)                       # maximum depth × size, total loss
figure = plot_looped_steps(band, runs, recurrence=4)         # recurrent step × size, for models of one maximum depth
figure.savefig("looped.png")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

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
    key,
    set_axis,
    tidy,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from bayeslaw.data.runs import Runs
    from bayeslaw.forecast import Band

#: share of a curve, from its start, that sets no axis limit: beside the first steep fall all the rest would look flat
STEEP = 0.08


@dataclass(frozen=True)
class _Cell:
    """What one panel shows: forecast and data rows of one run, sorted by tokens; ``until``, the last token given."""

    forecast: pd.DataFrame
    data: pd.DataFrame
    until: float | None


def plot_looped_total(
    band: Band, runs: Runs | None = None, *, given: Runs | None = None, group: str | None = None, level: float = 0.9
) -> Figure:
    """Total loss over tokens: a row of panels for each maximum depth T_m, a column for each size N.

    Parameters
    ----------
    band : forecast of total losses (rows without an exit step); it wants ``recurrence``, ``n_params`` and ``tokens``.
    runs : data to draw, nats per token; their kept rows.
    given : what fit and forecast were told, drawn as a grey region; a panel without one shows a run never seen, and
        says so.
    group : the group (corpus) to draw; by default the band's first.
    level : level of the bands, in (0, 1); it must be one of the forecast's.

    Returns
    -------
    Figure, drawn without pyplot. The panels of a column share their axes; of several runs in a cell (repeated seeds)
    the band's first is drawn.

    Raises
    ------
    DataError
        The band has no such rows, level or group.
    """
    frame = _rows(band.frame, group, ("recurrence", "n_params", "tokens"), level)
    frame = frame.loc[frame["exit_step"].isna()] if "exit_step" in frame else frame
    if not len(frame):
        raise DataError("The band has no rows of total loss (an empty exit_step). Draw it with plot_looped_steps.")
    return _draw_grid(frame, "recurrence", "maximum depth {:g}", runs, given, level)


def plot_looped_steps(
    band: Band,
    runs: Runs | None = None,
    *,
    recurrence: int,
    given: Runs | None = None,
    group: str | None = None,
    level: float = 0.9,
) -> Figure:
    """Loss of each recurrent step over tokens, for models of one maximum depth: a row per step, a column per size N.

    ``recurrence`` is that depth, T_m; the rest is as in ``plot_looped_total``, and the band's rows have an exit step.
    DataError where the band has no such rows, level or group.
    """
    frame = _rows(band.frame, group, ("recurrence", "exit_step", "n_params", "tokens"), level)
    frame = frame.loc[(frame["recurrence"] == recurrence) & frame["exit_step"].notna()]
    if not len(frame):
        raise DataError(f"The band has no rows of an exit step for a maximum depth of {recurrence}.")
    return _draw_grid(frame, "exit_step", f"step {{:g}} of {recurrence}", runs, given, level)


def _rows(frame: pd.DataFrame, group: str | None, needed: tuple[str, ...], level: float) -> pd.DataFrame:
    """The band's rows of one group, with the columns a grid of panels stands on."""
    missing = [name for name in needed if name not in frame or bool(frame[name].isna().all())]
    if missing:
        raise DataError(f"The band knows no {' or '.join(missing)}, which this picture is laid out by; give `at` some.")
    check_level(frame, level)
    if "group" not in frame:
        return frame
    wanted = frame["group"].iloc[0] if group is None else group
    if wanted not in set(frame["group"]):
        have = ", ".join(map(repr, frame["group"].unique()))
        raise DataError(f"The band has no group {wanted!r}; it has {have}.")
    return frame.loc[frame["group"] == wanted]


def _draw_grid(
    frame: pd.DataFrame, down: str, label: str, runs: Runs | None, given: Runs | None, level: float
) -> Figure:
    sizes, depths = sorted(frame["n_params"].unique()), sorted(frame[down].unique())
    cells: dict[Any, _Cell] = {
        key: _cell(rows, runs, given) for key, rows in frame.groupby([down, "n_params"], sort=False)
    }
    figure = blank(max(2.1 * len(sizes) + 0.9, 4.4), 1.75 * len(depths) + 1.0)
    axes = figure.subplots(len(depths), len(sizes), squeeze=False)
    for j, size in enumerate(sizes):
        column = [cells[depth, size] for depth in depths if (depth, size) in cells]
        limits = _limits(column, suffix(level))
        for i, depth in enumerate(depths):
            ax = axes[i, j]
            if (depth, size) in cells:
                _draw_cell(ax, cells[depth, size], limits, suffix(level), bottom=i == len(depths) - 1)
            else:
                ax.set_axis_off()
            if i == 0:
                ax.set_title(f"N = {human(size)}", fontsize=9.5, color=INK)
            if j == 0:
                ax.set_ylabel(label.format(depth), fontsize=9, color=INK)
            if (depth, size) in cells and given is not None and cells[depth, size].until is None:
                ax.text(
                    0.97, 0.96, "not fitted on", transform=ax.transAxes, ha="right", va="top", fontsize=8.5, color=INK
                )
    figure.supxlabel(LABELS["tokens"], fontsize=10, color=INK)
    figure.supylabel(LABELS["loss"], fontsize=10, color=INK)
    _legend(figure, frame, list(cells.values()), suffix(level))
    return figure


def _cell(rows: pd.DataFrame, runs: Runs | None, given: Runs | None) -> _Cell:
    run = rows["run"].iloc[0]
    rows = rows.loc[rows["run"] == run].sort_values("tokens")
    step = float(rows["exit_step"].iloc[0]) if "exit_step" in rows else np.nan
    data, before = _of_run(runs, run, step), _of_run(given, run, step)
    until = float(before["tokens"].to_numpy(float).max()) if len(before) else None
    return _Cell(rows, data, until)


def _of_run(runs: Runs | None, run: str, step: float) -> pd.DataFrame:
    """Kept rows of a run at an exit step (NaN: the total loss), sorted by tokens; empty where there are none."""
    import pandas as pd

    if runs is None:
        return pd.DataFrame({"tokens": pd.Series(dtype=float), "loss": pd.Series(dtype=float)})
    rows = runs.frame.loc[runs.frame["kept"] & (runs.frame["run"] == run)]
    if "exit_step" in rows:
        rows = rows.loc[rows["exit_step"].isna() if np.isnan(step) else rows["exit_step"] == step]
    return rows.sort_values("tokens")


def _limits(cells: list[_Cell], name: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Axis limits that hold every curve of a column but for its first steep fall."""
    tables = [rows for cell in cells for rows in (cell.forecast, cell.data) if len(rows)]
    right, losses = max(float(rows["tokens"].to_numpy(float).max()) for rows in tables), []
    for cell in cells:
        for rows, columns in ((cell.forecast, [f"lo{name}", f"hi{name}"]), (cell.data, ["loss"])):
            losses.append(rows.loc[rows["tokens"] >= STEEP * right, columns].to_numpy(float).ravel())
    values = np.concatenate(losses)
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [0.0, 0.998]) if len(values) else (0.0, 1.0)
    room = 0.05 * ((high - low) or 0.1 * high)
    return (0.0, 1.03 * right), (float(low - room), float(high + room))


def _draw_cell(ax: Any, cell: _Cell, limits: Any, name: str, bottom: bool) -> None:
    rows, at = cell.forecast, cell.forecast["tokens"].to_numpy(float)
    style, width = ("o-", 1.2) if len(cell.data) <= 30 else ("-", 0.6)
    ax.plot(cell.data["tokens"], cell.data["loss"], style, color=DATA, linewidth=width, markersize=2.5, zorder=2)
    for low, high, alpha in (
        (f"lo{name}", f"hi{name}", OBSERVED_ALPHA),
        (f"curve_lo{name}", f"curve_hi{name}", CURVE_ALPHA),
    ):
        if low in rows:
            ax.fill_between(at, rows[low], rows[high], color=FORECAST, alpha=alpha, linewidth=0, zorder=2.5)
    ax.plot(at, rows["median"], "--", color=FORECAST, linewidth=1.6, zorder=3)
    if cell.until is not None:
        ax.axvspan(0.0, cell.until, color=GIVEN, linewidth=0, zorder=0)
        ax.axvline(cell.until, color="#9a9a95", linewidth=0.7, zorder=1)
    tidy(ax)
    set_axis(ax.xaxis, limits[0], False, large=True, most=4)
    set_axis(ax.yaxis, limits[1], False, large=False, most=5)
    ax.tick_params(labelbottom=bottom)


def _legend(figure: Figure, frame: pd.DataFrame, cells: list[_Cell], name: str) -> None:
    entries: list[Any] = [Line2D([], [], color=FORECAST, linestyle="--", linewidth=1.6, label="predicted, median")]
    if f"curve_lo{name}" in frame:
        shade = CURVE_ALPHA + OBSERVED_ALPHA / 2
        entries.append(Patch(color=FORECAST, alpha=shade, label=f"curve, {name} % band"))
    entries.append(Patch(color=FORECAST, alpha=OBSERVED_ALPHA, label=f"observed loss, {name} % band"))
    if any(len(cell.data) for cell in cells):
        entries.insert(0, Line2D([], [], color=DATA, linewidth=1.4, label="real"))
    if any(cell.until is not None for cell in cells):
        entries.append(Patch(facecolor=GIVEN, edgecolor="#9a9a95", linewidth=0.8, label="fitted on"))
    width = figure.get_figwidth()
    columns = len(entries) if width > 10 else 3 if width > 6.5 and len(entries) > 4 else 2
    key(figure, entries, loc="outside upper center", ncols=columns, fontsize=9)
