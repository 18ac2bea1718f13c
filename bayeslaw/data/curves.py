"""Which rows make up each run's curve, in which order: resumes, duplicates and order of rows settled.

A curve is one run, or one run at one ``exit_step``. Its axis is the first of step, tokens, flops that the curve knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayeslaw.errors import DataError

AXES = ("step", "tokens", "flops")


@dataclass(frozen=True)
class Curves:
    """All curves of a table, as positions into its rows.

    ``order`` (n_kept,) positions of the kept rows, curve after curve, along the axis; ``starts`` (n_curves + 1,)
    offsets into ``order``; ``x`` (n_kept,) the axis values in that order (NaN for a single point without an axis);
    ``run`` (n_curves,) index into ``names``; ``exit_step`` (n_curves,) NaN for the total loss; ``axis`` (n_curves,)
    index into ``AXES``, -1 for none.
    """

    names: tuple[str, ...]
    order: np.ndarray
    starts: np.ndarray
    x: np.ndarray
    run: np.ndarray
    exit_step: np.ndarray
    axis: np.ndarray

    @property
    def curve(self) -> np.ndarray:
        """(n_kept,) the curve to which each kept row belongs."""
        return np.repeat(np.arange(len(self.run)), np.diff(self.starts))


@dataclass(frozen=True)
class Ids:
    """Every row's curve: ``curve`` (n,), and each curve's ``run`` index and ``exit_step``."""

    names: tuple[str, ...]
    run_of_row: np.ndarray
    curve: np.ndarray
    run: np.ndarray
    exit_step: np.ndarray


def identify(frame: pd.DataFrame) -> Ids:
    """Number the curves of a canonical frame: runs in order of appearance, exit steps ascending, total loss last."""
    run, names = pd.factorize(frame["run"])
    run = run.astype(np.int64)
    if "exit_step" not in frame:
        return Ids(tuple(map(str, names)), run, run, np.arange(len(names)), np.full(len(names), np.nan))
    # np.unique sorts NaN to the end and counts all of them as one value
    exits, exit_code = np.unique(frame["exit_step"].to_numpy(float), return_inverse=True)
    keys, curve = np.unique(run * len(exits) + exit_code, return_inverse=True)
    return Ids(tuple(map(str, names)), run, curve.astype(np.int64), keys // len(exits), exits[keys % len(exits)])


def axis_values(frame: pd.DataFrame, ids: Ids, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The axis value of every row (NaN outside ``rows``) and the axis of every curve.

    ``rows`` is the mask of rows that count. A column that the curve knows at each of them is preferred.
    """
    n = len(ids.run)
    total = np.bincount(ids.curve[rows], minlength=n)
    axis = np.full(n, -1)
    columns = [frame[name].to_numpy(float) if name in frame else None for name in AXES]
    known = [
        np.bincount(ids.curve[rows & np.isfinite(c)], minlength=n) if c is not None else 0 * total for c in columns
    ]
    for complete in (True, False):
        for k, count in enumerate(known):
            fits = (count == total) if complete else (count > 0)
            axis[(axis < 0) & fits & (count > 0)] = k
    x = np.full(len(frame), np.nan)
    axis_of_row = axis[ids.curve]
    for k, column in enumerate(columns):
        if column is not None:
            mine = rows & (axis_of_row == k)
            x[mine] = column[mine]
    return x, axis


def check_axis(ids: Ids, rows: np.ndarray, axis: np.ndarray) -> None:
    """DataError for a curve of several rows (of the mask ``rows``) that nothing puts in order."""
    counts = np.bincount(ids.curve[rows], minlength=len(axis))
    lost = np.flatnonzero((counts > 1) & (axis < 0))
    if lost.size:
        raise DataError(
            f"Run {ids.names[ids.run[lost[0]]]!r} has {counts[lost[0]]:,} rows but no step, tokens or flops to order "
            f"them by. Map such a column, or give each row its own run name if they are different runs."
        )


def superseded(x: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]], bool]:
    """Which rows of one curve, as written, a later resume wrote again.

    Parameters
    ----------
    x : (n,) axis values in the order in which the rows were written.

    Returns
    -------
    mask : (n,) True for rows that a resume replaced.
    rewinds : for each resume, the position of its first row and how many rows it replaced.
    unsorted : True if the axis also goes back without being a resume.

    A resume goes back to a checkpoint and writes the same stretch again, so its rows fall among (or on) the old ones,
    which are then all stale from its first step on. A row that merely arrived late fits into one gap of the old
    rows and repeats none: it is sorted in. A table in random or descending order goes back far more often than runs
    are resumed (above a tenth of its rows), and is sorted too.
    """
    mask = np.zeros(len(x), bool)
    back = np.flatnonzero(np.diff(x) < 0)
    if back.size == 0:
        return mask, [], False
    if back.size > max(1, len(x) // 10):
        return mask, [], True
    rewinds: list[tuple[int, int]] = []
    unsorted = False
    ends = np.append(back[1:] + 1, len(x))
    for start, end in zip(back + 1, ends, strict=True):
        new = x[start:end]
        stale = np.flatnonzero((x[:start] >= new[0]) & ~mask[:start])
        old = np.sort(x[stale])
        if old.size == 0:
            continue
        among = new[new <= old[-1]]
        gaps = np.unique(np.searchsorted(old, among, side="left"))
        if among.size >= 2 and (gaps.size >= 2 or np.isin(among, old).any()):
            mask[stale] = True
            rewinds.append((int(start), int(stale.size)))
        else:
            unsorted = True
    return mask, rewinds, unsorted


def order_curves(frame: pd.DataFrame, kept: np.ndarray) -> Curves:
    """Sort the kept rows of a canonical frame into curves."""
    ids = identify(frame)
    x, axis = axis_values(frame, ids, kept)
    order = np.flatnonzero(kept)
    curve, xs = ids.curve[order], x[order]
    if not sorted_already(curve, xs):
        resort = np.lexsort((xs, curve))
        order, curve, xs = order[resort], curve[resort], xs[resort]
    counts = np.bincount(curve, minlength=len(ids.run))
    # a run whose rows were all left out (or lie outside a selection) has no curve
    there = np.flatnonzero(counts)
    starts = np.concatenate([[0], np.cumsum(counts[there])])
    return Curves(ids.names, order, starts, xs, ids.run[there], ids.exit_step[there], axis[there])


def sorted_already(curve: np.ndarray, x: np.ndarray) -> bool:
    """True if rows are grouped by ascending curve and ascend in x within each (NaN: not provably)."""
    step = np.diff(curve)
    return bool(np.all(step >= 0) and np.all((step > 0) | (np.diff(x) >= 0)))
