"""Single rows that stand far above a sparse curve, which no weighing inside a bin of so few rows can tell.

A bin of eight rows and more judges its rows against each other (``robust.py``). One of a single row has nothing to
judge it by, and the last rows of a curve have no rows behind them: there the rows before them say what is too high. A
curve falls, so that a row far above those before it is no trend; one that comes down is left alone, however fast.
"""

from __future__ import annotations

import numpy as np

from bayeslaw.data.segments import Segments

#: a spike stands above the rows before it by so many sds of a row's noise, and by this share of the loss
HEIGHT, SHARE = 10.0, 0.02
#: rows before and after that are looked at
BEFORE, AFTER = 5, 4


def without_spikes(
    t: np.ndarray, y: np.ndarray, segments: Segments, bounds: tuple[np.ndarray, np.ndarray], noise: np.ndarray
) -> np.ndarray:
    """(n,) the rows, those that are spikes put on the line between the rows beside them.

    Parameters
    ----------
    t, y : (n,) abscissa and ordinate of every row.
    segments, bounds : the stretches, and the first and past-the-last row of each one's curve.
    noise : (m,) sd of one row in short segments; NaN elsewhere, where nothing is done.

    Returns
    -------
    A spike is higher than the second highest of the BEFORE rows before it (one of which may be a spike too), and the
    most of the AFTER rows behind it have come down again; the last two rows of a curve need no such rows.
    """
    scale = np.repeat(noise, segments.count)
    lo, hi = (np.repeat(bound, segments.count) for bound in bounds)
    rows = np.flatnonzero(np.isfinite(scale) & (np.arange(len(y)) - lo >= BEFORE))
    if not rows.size:
        return y
    height = np.maximum(HEIGHT * scale[rows], SHARE * np.abs(y[rows]))
    before = np.sort(y[rows[:, None] - np.arange(1, BEFORE + 1)], axis=1)[:, -2]
    behind = rows[:, None] + np.arange(1, AFTER + 1)
    there = behind < hi[rows, None]
    down = np.where(there, y[np.where(there, behind, 0)] < (y[rows] - height)[:, None], False).sum(1) * 2 > there.sum(1)
    spike = rows[(y[rows] > before + height) & (down | (hi[rows] - rows <= 2))]
    if not spike.size:
        return y
    good = np.ones(len(y), bool)
    good[spike] = False
    y = y.copy()
    for start in np.unique(lo[spike]):
        mine = np.arange(start, int(hi[start]))
        kept, gone = mine[good[mine]], mine[~good[mine]]
        y[gone] = np.interp(t[gone], t[kept], y[kept])
    return y
