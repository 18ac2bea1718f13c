"""Card + runs → problem: the layout to compile and the padded arrays to give it.

Shapes are padded to a few sizes, so that tomorrow's data meets today's compilation. A series is one curve: a run, or
a run at one exit step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.cards import Card, Prior
from bayeslaw.data.runs import Runs
from bayeslaw.engine.budgets import wants_budgets, with_budgets
from bayeslaw.engine.exits import unread
from bayeslaw.engine.layout import Entry, Layout, Path
from bayeslaw.engine.levels import PATHS, levels_of, member_index
from bayeslaw.engine.rows import SEGMENTS, bucket, padded_rows, schedules_of
from bayeslaw.engine.series import series_table, usable
from bayeslaw.laws import Schedule, get_law


@dataclass(frozen=True)
class Problem:
    """What is fitted.

    Attributes
    ----------
    layout : what is compiled.
    data : pytree of padded arrays, the argument of the compiled functions.
    series : one row per series: run, its constant covariates, ``{level}_index``, ``row_noise`` (relative sd of one raw
        row about the curve; NaN if the data cannot tell).
    levels : level → its members, in the order of their deviations.
    reference : covariates of the reference row, and the centres ``log_n``, ``log_x``.
    bins : the bins fitted, and ``code``, the series of each.
    axis : the column that noise and discrepancy are functions of: tokens, where every bin has them, else step.
    max_bins, segments : how finely curves and schedules were reduced.
    schedules : run → learning-rate schedule, for laws that need one.
    notes : what was dropped from the card, and why.
    """

    layout: Layout
    data: dict[str, Any]
    series: pd.DataFrame
    levels: dict[str, list[Any]]
    reference: dict[str, float]
    bins: pd.DataFrame
    code: np.ndarray
    axis: str | None
    max_bins: int
    segments: int
    schedules: dict[str, Schedule] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def assemble(
    card: Card, runs: Runs, schedules: Mapping[str, Schedule | str] | None = None, max_bins: int = 40
) -> Problem:
    """Bin the runs and lay out the model.

    Raises FitError if the runs lack a column that the law needs, naming it and the runs.
    """
    law = get_law(card.law)
    binned = runs.bins(max_bins=max_bins)
    bins = usable(law, binned.frame, "runs")
    lr = schedules_of(runs, schedules) if "schedule" in law.covariates else {}
    return lay_out(card, bins, lr, runs.one_point, max_bins, list(binned.notes))


def lay_out(
    card: Card, bins: pd.DataFrame, schedules: dict[str, Schedule], points: bool, max_bins: int, notes: list[str]
) -> Problem:
    """The model of binned curves (``points``: of single points). The same input gives the same problem."""
    law = get_law(card.law)
    if points and (card.run or card.discrepancy):
        notes.append("One point per run: the run level and the discrepancy are dropped, the noise is Student-t.")
    if wants_budgets(card, points, notes):
        bins = with_budgets(bins)
    series, code = series_table(bins)
    unread(law, series, notes)
    levels = levels_of(card, series, points, notes)
    for level, members in levels.items():
        series[f"{level}_index"] = member_index(level, members, series)
    slopes = _slopes(card, series, notes)
    axis = axis_of(bins)
    reference = _reference(card, bins, code, series, axis, schedules)
    layout, grids = _layout(card, bins, levels, slopes, points, axis, reference)
    rows = padded_rows(law, bins, code, series, list(levels), reference, axis, schedules)
    data = {
        "rows": rows,
        "ref": {k: v for k, v in reference.items() if not k.startswith("log_")},
        **grids,
        "prior": prior_arrays(card, layout),
    }
    return Problem(
        layout,
        data,
        series,
        levels,
        reference,
        bins,
        code,
        axis,
        max_bins,
        SEGMENTS,
        schedules,
        tuple(dict.fromkeys(notes)),
    )


def _slopes(card: Card, series: pd.DataFrame, notes: list[str]) -> set[str]:
    wanted = {name for name, p in card.parameters.items() if p.slope}
    if not wanted:
        return set()
    if "n_params" not in series or bool(series["n_params"].isna().any()):
        notes.append("Slopes in log N are dropped: n_params is not known for every run.")
        return set()
    if series["n_params"].dropna().unique().size < 2:
        notes.append("Slopes in log N are dropped: the runs have one size.")
        return set()
    return wanted


def _reference(
    card: Card, bins: pd.DataFrame, code: np.ndarray, series: pd.DataFrame, axis: str | None, lr: Mapping[str, Schedule]
) -> dict[str, float]:
    """Geometric means over all bins, each series counting once; of schedules the highest rate, and the card's clock."""
    law = get_law(card.law)
    weight = 1 / np.bincount(code)[code]

    def centre(values: np.ndarray) -> float:
        good = np.isfinite(values) & (values > 0)
        return float(np.exp(np.average(np.log(values[good]), weights=weight[good]))) if good.any() else math.nan

    columns = [c for c in law.covariates if c != "schedule"] + [c for c in getattr(law, "optional", ()) if c in bins]
    ref = {c: centre(bins[c].to_numpy(float)) for c in columns}
    if "schedule" in law.covariates:
        ref["eta_peak"] = max(lr[r].eta_peak for r in series["run"])
        ref["clock"], ref["clock_sd"] = card.clock, card.clock_sd
        steps, runs = bins["step"].to_numpy(float), series["run"].to_numpy()[code]
        s1 = np.empty(len(bins))
        for run in np.unique(runs):
            s1[runs == run] = lr[str(run)].sums(steps[runs == run], card.clock)
        ref["S1"] = centre(s1)
    known = "n_params" in series and bool(series["n_params"].notna().all())
    ref["log_n"] = float(np.log(series["n_params"]).mean()) if known else 0.0
    ref["log_x"] = math.log(centre(bins[axis].to_numpy(float))) if axis else 0.0
    return ref


def axis_of(bins: pd.DataFrame) -> str | None:
    """The x that noise and discrepancy are functions of: tokens, where every bin has them, else step."""
    for name in ("tokens", "step"):
        if name in bins and bool((bins[name] > 0).all()):
            return name
    return None


def _layout(
    card: Card,
    bins: pd.DataFrame,
    levels: Mapping[str, list],
    slopes: set[str],
    points: bool,
    axis: str | None,
    ref: Mapping[str, float],
) -> tuple[Layout, dict[str, Any]]:
    law = get_law(card.law)
    entries = []
    for symbol in law.symbols:
        pool = tuple((lv, len(levels[lv])) for lv in card.parameters[symbol.name].pool if lv in levels)
        around = card.parameters[symbol.name].prior.around
        entries.append(Entry(symbol.name, symbol.kind, symbol.link, symbol.name in slopes, pool, around))
    offsets = tuple((lv, len(levels[lv])) for lv in card.offset if lv in levels)
    free = bool(card.clock_sd)
    none = {"start": 0.0, "step": 1.0}
    if points:
        layout = Layout(law.name, tuple(entries), "points", offsets, clock=free)
        return layout, {"grid": none, "paths": {}}
    log_x = np.log(bins[axis].to_numpy(float)) - ref["log_x"] if axis else np.zeros(0)
    grid, knots = knots_over(log_x, card.knot_step) if card.discrepancy and axis else (none, 0)
    paths, grids = [], {}
    for name, level in PATHS.items():
        if level in levels and axis:
            grids[name], count = knots_over(log_x, getattr(card, f"{name}_step"))
            paths.append(Path(name, level, count, bucket(len(levels[level]))))
    layout = Layout(law.name, tuple(entries), "curves", offsets, tuple(card.run), knots, free, tuple(paths))
    return layout, {"grid": grid, "paths": grids}


def knots_over(log_x: np.ndarray, step: float) -> tuple[dict[str, float], int]:
    """Start and step of a grid over ``log_x``, and its number of knots."""
    start = float(np.floor(log_x.min() / step) * step)
    span = (float(log_x.max()) - start) / step
    # to a multiple of four: neighbours on the grid share a compilation, and spare knots change nothing
    return {"start": start, "step": step}, 4 * math.ceil((math.ceil(span) + 1) / 4)


def prior_arrays(card: Card, layout: Layout) -> dict[str, np.ndarray]:
    """Location and scale of every coordinate on its link scale."""
    loc, scale = [], []
    for slot in layout.slots():
        owner, _, rest = slot.name.partition(":")
        if slot.kind in ("deviation", "scaled"):
            loc += [0.0] * slot.length
            scale += [_spread(card, owner, rest).centre] * slot.length
            continue
        if owner == "schedule":
            loc.append(card.clock)
            scale.append(card.clock_sd)
            continue
        if rest.endswith(":tau"):
            prior = _spread(card, owner, rest.removesuffix(":tau"))
        elif owner in ("noise", "effect", "discrepancy", *PATHS):
            prior = (card.run if owner == "effect" else getattr(card, owner))[rest].prior
        else:
            spec = card.parameters[owner]
            prior = spec.slope if rest == "slope" and spec.slope else spec.prior
        loc.append(prior.location)
        scale.append(prior.sd)
    return {"loc": np.array(loc), "scale": np.array(scale, float)}


def _spread(card: Card, owner: str, level: str) -> Prior:
    return card.offset[level].prior if owner == "offset" else card.parameters[owner].pool[level]


__all__ = ["SEGMENTS", "Problem", "assemble"]
