"""Rows of series as padded arrays: covariates, schedule segments, and what is known of their losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.engine.clock import SUMS, counted_stretches, counted_sums, nodes
from bayeslaw.errors import FitError
from bayeslaw.laws import Law, Schedule

#: stretches that stand for a run's schedule inside the fit; the error against the exact sum is tested
SEGMENTS = 32
#: schedules are padded to the least of these that holds their stretches: a constant rate has none, a drop in one
#: step one, and most of the time of a fit is spent on stretches
SHORT = (1, 4, 16)


def bucket(count: int) -> int:
    """The padded size for ``count``: itself up to 4, then steps of about a sixth, so that shapes are few."""
    if count <= 4:
        return max(count, 1)
    unit = max(2 ** (int(np.log2(count)) - 2) // 2, 2)
    return -(-count // unit) * unit


def schedules_of(
    runs: Runs | Sequence[Runs],
    declared: Mapping[str, Schedule | str] | None = None,
    history: Mapping[str, Schedule] | None = None,
    guesses: dict[str, str] | None = None,
) -> dict[str, Schedule]:
    """Each run's learning-rate schedule: as declared, else from its ``lr`` column (see ``Schedule.from_rows``).

    Several tables that know parts of one run (a prefix, and rows to forecast) are read together; ``history`` is the
    past of runs of which they know only what follows. ``guesses`` is told, run → sentence, whose rates are a guess
    between far rows. FitError names the first run that has neither.
    """
    tables = [runs] if isinstance(runs, Runs) else list(runs)
    declared = dict(declared or {})
    columns = [c for c in ("run", "step", "lr") if all(c in t.frame for t in tables)]
    frames = [t.frame.loc[t.frame["kept"], columns] for t in tables]
    frame = pd.concat(frames, ignore_index=True)
    found: dict[str, Schedule] = {}
    for run, rows in frame.groupby("run", sort=False):
        name = str(run)
        if name in declared:
            given = declared[name]
            found[name] = given if isinstance(given, Schedule) else Schedule.parse(given)
            continue
        logged = "lr" in rows and "step" in rows
        known = rows[["lr", "step"]].notna().to_numpy().all(axis=1) if logged else np.zeros(len(rows), bool)
        if not known.any():
            raise FitError(
                f"This model needs the learning rate over the steps of run {name!r}, and its lr or step column is "
                f"{'empty' if logged else 'missing'}. Log it, name its column "
                f"(--column lr=..., columns={{'lr': ...}}), or in Python declare the schedule: "
                f"schedules={{{name!r}: 'wsd:peak=3e-4,total=24000,warmup=2000,decay=0.2'}}."
            )
        rows = rows.loc[known].drop_duplicates(["step"], keep="last").sort_values("step")
        steps, rates = rows["step"].to_numpy(float), rows["lr"].to_numpy(float)
        found[name] = Schedule.from_rows(steps, rates)
        if history and name in history:
            past = history[name]
            before = past.steps < steps[0]
            found[name] = Schedule(
                np.concatenate([past.steps[before], steps]), np.concatenate([past.rates[before], rates]), past.warmup
            )
            # of the past, whose knots need not be rows, the end alone
            steps = np.append(past.steps[before][-1:], steps)
            rates = np.append(past.rates[before][-1:], rates)
        guess = guessed(name, steps, rates)
        if guess and guesses is not None:
            guesses[name] = guess
    return found


#: over so large a share of the steps without a row, a change of the rate by so large a share of its peak is a guess
FAR, CHANGED = 0.1, 0.1


def guessed(run: str, steps: np.ndarray, rates: np.ndarray) -> str:
    """A sentence, if logged ``rates`` (n,) leave a gap over which they change much: a prefix and the last row, say,
    between which a cosine would be taken for a straight line. Else nothing. ``steps`` (n,) increase."""
    wide = (np.diff(steps) > FAR * steps[-1]) & (np.abs(np.diff(rates)) > CHANGED * rates.max())
    if not wide.any():
        return ""
    i = int(np.argmax(wide))
    return (
        f"No row of run {run!r} says its learning rate between steps {steps[i]:,.0f} and {steps[i + 1]:,.0f}, where it "
        f"goes from {rates[i]:.3g} to {rates[i + 1]:.3g}: a straight line was taken for it. Ask for rows in between as "
        f"well, or declare the schedule."
    )


def padded_rows(
    law: Law,
    bins: pd.DataFrame,
    code: np.ndarray,
    series: pd.DataFrame,
    levels: Sequence[str],
    reference: Mapping[str, float],
    axis: str | None,
    schedules: Mapping[str, Schedule],
    *,
    segments: int = SEGMENTS,
) -> dict[str, Any]:
    """Arrays (R, n) of the rows of every series, padded in both directions with rows that count nothing.

    ``code`` says to which series a row of ``bins`` belongs; ``axis`` is the column that noise and discrepancy are
    functions of. Rows to forecast have no ``loss``, and get no ``log_y``. A bin whose ``spread`` is not known has the
    ``row_noise`` of its series, if that is.
    """
    counts = np.bincount(code, minlength=len(series))
    shape = (bucket(len(series)), bucket(int(counts.max(initial=0))))
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    by_series = np.argsort(code, kind="stable")
    column = np.empty(len(code), int)
    column[by_series] = np.arange(len(code)) - first[code[by_series]]

    def fill(values: np.ndarray, empty: float) -> np.ndarray:
        out = np.full((*shape, *values.shape[1:]), empty)
        out[code, column] = values
        return out

    mask = np.zeros(shape, bool)
    mask[code, column] = True
    x: dict[str, np.ndarray] = {}
    for name in [c for c in law.covariates if c != "schedule"]:
        x[name] = fill(bins[name].to_numpy(float), reference[name])
    for name in getattr(law, "optional", ()):
        if name in bins and name in reference:
            x[name] = fill(bins[name].to_numpy(float), reference[name])
    log_x = np.log(bins[axis].to_numpy(float)) - reference["log_x"] if axis else np.zeros(len(bins))
    rows: dict[str, Any] = {"x": x, "mask": mask, "log_x": fill(log_x, 0.0)}
    if "schedule" in law.covariates:
        sums = {name: np.empty((len(code), *nodes(reference).shape)) for name in SUMS}
        steps = bins["step"].to_numpy(float)
        for i, run in enumerate(series["run"]):
            mine = by_series[first[i] : first[i] + counts[i]]
            for name, values in counted_sums(schedules[run], steps[mine], reference).items():
                sums[name][mine] = values
        x["S1"] = fill(sums["S1"], reference["S1"])
        x["warm"] = fill(sums["warm"], 0.0)
        x["step"] = fill(steps, 500.0)
        rows |= stretches([schedules[run] for run in series["run"]], shape[0], segments, reference)
    if "n_eff" in bins:
        rows["log_y"] = fill(np.log(bins["loss"].to_numpy(float)), 0.0)
        relative = (bins["spread"] / bins["loss"]).to_numpy(float)
        if "row_noise" in series:
            # one or two rows of a run do not tell their noise, which is no reason to take them for exact
            relative = np.where(np.isnan(relative), series["row_noise"].to_numpy(float)[code], relative)
        rows["measured"] = fill(np.nan_to_num(relative**2 / bins["n_eff"].to_numpy(float)), 0.0)
    n = np.log(series["n_params"].to_numpy(float)) - reference["log_n"] if reference["log_n"] else np.zeros(len(series))
    rows["log_n"] = np.concatenate([n, np.zeros(shape[0] - len(series))])
    for level in levels:
        index = series[f"{level}_index"].to_numpy(int)
        rows[f"{level}_index"] = np.concatenate([index, np.zeros(shape[0] - len(series), int)])
    return rows


def stretches(schedules: Sequence[Schedule], height: int, most: int, reference: Mapping[str, float]) -> dict[str, Any]:
    """The schedules' stretches in blocks of series that need about as many; ``clock`` and ``eta_peak`` of ``reference``
    say how progress is counted and from which rate drops are.

    ``blocks`` : each has ``series`` (b,), the series it holds, padded with the first, and ``seg_*`` (b, m).
    ``back`` : (height,) where each series lies when the blocks are laid one after another.
    """
    found = [counted_stretches(schedule, most, reference) for schedule in schedules]
    needed = np.array([np.count_nonzero(f["seg_drop"]) for f in found])
    sizes = np.array([*(m for m in SHORT if m < most), most])
    size = sizes[np.searchsorted(sizes, needed)]
    blocks, back, start = [], np.zeros(height, int), 0
    for m in np.unique(size):
        mine = np.flatnonzero(size == m)
        held = np.concatenate([mine, np.full(bucket(len(mine)) - len(mine), mine[0])])
        # padding follows the stretches, so that cutting it off leaves them all
        blocks.append({"series": held} | {k: np.stack([found[i][k][:m] for i in held]) for k in found[0]})
        back[mine] = start + np.arange(len(mine))
        start += len(held)
    return {"blocks": blocks, "back": back}
