"""Which rows form the curves: resumes, duplicates and rows without a finite loss, each one accounted for."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from bayeslaw.data.columns import ONE_PER_RUN
from bayeslaw.data.curves import Ids, axis_values, check_axis, identify, superseded
from bayeslaw.data.facts import Ledger
from bayeslaw.data.units import exact
from bayeslaw.errors import DataError, DataWarning

#: a loss above this, nats per token, is none of a language model
HIGH_LOSS = 15.0
CONSTANT_ROWS = 8
#: rows that a resume at a run's first step must have written again to be warned of: its counter may have begun anew
ANEW = 10


def check_identity(frame: pd.DataFrame, where: Callable[[int], str]) -> None:
    """A run has one group and one number of parameters."""
    run, _ = pd.factorize(frame["run"])
    first = np.unique(run, return_index=True)[1]
    for name in ONE_PER_RUN:
        if name not in frame:
            continue
        codes, _ = pd.factorize(frame[name])
        # an empty cell says nothing, so it does not contradict
        other = (codes != codes[first][run]) & (codes >= 0) & (codes[first][run] >= 0)
        if other.any():
            row = int(np.argmax(other))
            start = int(first[run[row]])
            raise DataError(
                f"{where(row)}: {name} is {exact(frame[name].iat[row])}, but row {frame['row'].iat[start]:,} of the "
                f"same run says {exact(frame[name].iat[start])}. Runs that differ in {name} need "
                f"different names in the run column."
            )


def settle(frame: pd.DataFrame, empty: np.ndarray, need_loss: bool) -> tuple[np.ndarray, list[tuple]]:
    """Which rows form the curves, and everything noticed on the way."""
    ids = identify(frame)
    n = len(frame)
    if "loss" not in frame or not need_loss:
        return np.ones(n, bool), []
    loss = frame["loss"].to_numpy(float)
    kept = np.isfinite(loss)
    x, _ = axis_values(frame, ids, np.ones(n, bool))
    ledger = Ledger(ids.run_of_row, ids.names, frame["row"].to_numpy(), x)
    runs = len(ids.names)
    alive = np.bincount(ids.run_of_row[kept], minlength=runs) > 0
    dead_row = ~alive[ids.run_of_row]
    ledger.add_rows("dropped_run", dead_row, "Not one finite loss in {n}: the run was left out.")
    bad = ~kept & ~empty & ~dead_row
    ledger.add_rows("nonfinite_loss", bad, "{n} with a loss of NaN or infinity, the first at row {row}.")
    ledger.add_rows("sparse_rows", ~kept & empty & ~dead_row, "{n} without a loss, the first at row {row}.")
    x, axis = axis_values(frame, ids, kept)
    check_axis(ids, kept, axis)
    ledger.step = x if "step" not in frame else frame["step"].to_numpy(float)
    lost = kept & np.isnan(x) & (axis[ids.curve] >= 0)
    ledger.add_rows("missing_axis", lost, "{n} with a loss but no step, the first at row {row}.")
    kept &= ~lost
    kept &= ~_written_again(x, loss, ids.curve, kept, ledger)
    zero = kept & (x == 0)
    ledger.add_rows("before_training", zero, "{n} at step 0, before any training: kept in the table, in no bin.")
    ledger.add_rows(
        "zero_loss", kept & (loss == 0), "{n} with a loss of 0, the first at row {row}, as some trainers write for NaN."
    )
    _check_losses(loss, kept, ids, ledger)
    return kept, ledger.entries


def _written_again(x: np.ndarray, loss: np.ndarray, curve: np.ndarray, kept: np.ndarray, ledger: Ledger) -> np.ndarray:
    """Rows that a resume or a second write at the same step replaced; the facts go to the ledger."""
    mask = np.zeros(len(x), bool)
    rows = np.flatnonzero(kept & np.isfinite(x))
    if rows.size and np.any(np.diff(curve[rows]) < 0):
        rows = rows[np.argsort(curve[rows], kind="stable")]
    c, v = curve[rows], x[rows]
    same = c[1:] == c[:-1]
    for k in np.unique(c[1:][same & (np.diff(v) < 0)]):
        lo, hi = np.searchsorted(c, [k, k + 1])
        stale, rewinds, unsorted = superseded(v[lo:hi])
        mask[rows[lo:hi][stale]] = True
        for at, count in rewinds:
            here = int(rows[lo + at])
            what = "1 earlier row was" if count == 1 else f"{count:,} earlier rows were"
            ledger.add(
                "rewind",
                here,
                count,
                f"Resumed at {v[lo + at]:g} (row {ledger.row[here]:,}): {what} written again and left out.",
            )
            if count >= ANEW and v[lo + at] <= v[lo]:
                _warn_if_anew(loss, rows[lo : lo + at + 1], count, hi - lo, ledger)
        if unsorted:
            ledger.add("unsorted", int(rows[lo]), hi - lo, "The rows are not in the order of the steps: sorted.")
    rows = rows[~mask[rows]]
    order = np.lexsort((rows, x[rows], curve[rows]))
    rows = rows[order]
    again = (curve[rows][1:] == curve[rows][:-1]) & (x[rows][1:] == x[rows][:-1])
    double = np.zeros(len(x), bool)
    double[rows[:-1][again]] = True
    ledger.add_rows("duplicate_step", double, "{n} written again later at the same step; the last one counts.")
    return mask | double


def _warn_if_anew(loss: np.ndarray, rows: np.ndarray, count: int, whole: int, ledger: Ledger) -> None:
    """A run that is back at its first step (the last of ``rows``) with a loss like its last, not like its first, has
    gone on under a counter that began anew."""
    first, before, here = loss[rows[[0, -2, -1]]]
    if abs(here - first) < abs(here - before):
        return
    warnings.warn(
        f"Run {ledger.names[ledger.run[rows[-1]]]!r}: after row {ledger.row[rows[-2]]:,} it is back at step "
        f"{ledger.step[rows[-1]]:g} with a loss of {here:.4g}, where it began at {first:.4g}: its counter seems to "
        f"have begun anew. {count:,} of its {whole:,} rows count as written again and are left out. Number the steps "
        f"on, or name what followed as a run of its own.",
        DataWarning,
        stacklevel=2,
    )


def _check_losses(loss: np.ndarray, kept: np.ndarray, ids: Ids, ledger: Ledger) -> None:
    """Constant losses are an error; losses that cannot be nats per token are warned of."""
    rows = np.flatnonzero(kept)
    if rows.size == 0:
        return
    runs = len(ids.names)
    run = ids.run_of_row[rows]
    count = np.bincount(run, minlength=runs)
    low, high = np.full(runs, np.inf), np.full(runs, -np.inf)
    np.minimum.at(low, run, loss[rows])
    np.maximum.at(high, run, loss[rows])
    flat = np.flatnonzero((count >= CONSTANT_ROWS) & (low == high))
    if flat.size:
        k = int(flat[0])
        raise DataError(
            f"Run {ids.names[k]!r}: the loss is {low[k]:g} in all {count[k]:,} rows. A training loss changes: is this "
            f"the right loss column, and was the run logging?"
        )
    suspects = np.flatnonzero(high > HIGH_LOSS)
    tall = [k for k in suspects if np.median(loss[rows[run == k]]) > HIGH_LOSS]
    for k in tall:
        first = int(rows[np.argmax(run == k)])
        median = float(np.median(loss[rows[run == k]]))
        ledger.add("high_loss", first, count[k], f"The median loss is {median:.3g}: is it in nats per token?")
    if tall:
        more = f" and {len(tall) - 1:,} more runs" if len(tall) > 1 else ""
        warnings.warn(
            f"Run {ids.names[tall[0]]!r}{more}: the median loss is above {HIGH_LOSS:g}, more than guessing at random "
            f"from 3 million tokens. Is it a perplexity, or a sum over tokens? Losses are nats per token here.",
            DataWarning,
            stacklevel=5,
        )
