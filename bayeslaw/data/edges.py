"""Where one bin ends and the next begins."""

from __future__ import annotations

import numpy as np
import pandas as pd

#: a change of the learning rate between two rows, as a share of the curve's highest, that no bin may straddle
JUMP = 0.25
MOST_JUMPS = 5


def abscissa(frame: pd.DataFrame, curve: np.ndarray, rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What bins are spaced in: tokens where a curve knows them all in ascending order, else its axis."""
    if "tokens" not in frame:
        return x
    tokens = frame["tokens"].to_numpy(float)[rows]
    good = tokens > 0
    good[1:] &= (np.diff(tokens) >= 0) | (np.diff(curve) != 0)
    bad_curve = np.bincount(curve[~good], minlength=int(curve.max()) + 1) > 0
    return np.where(bad_curve[curve], x, tokens)


def assign(v: np.ndarray, curve: np.ndarray, per_decade: float | None, max_bins: int, linear: float) -> np.ndarray:
    """A bin number for every row, ascending; numbers may be left out. See ``bins.bin_runs`` for the parameters."""
    starts = np.flatnonzero(np.diff(curve, prepend=-1))
    ends = np.append(starts[1:], len(v)) - 1
    sizes = ends - starts + 1
    of_row = np.repeat(np.arange(len(starts)), sizes)
    lo, hi = v[starts], v[ends]
    with np.errstate(divide="ignore", invalid="ignore"):
        span = np.log(hi / lo)
        share_log = np.log(v / lo[of_row]) / span[of_row]
        share = (1 - linear) * share_log + linear * (v - lo[of_row]) / (hi - lo)[of_row]
    share = np.where(np.isfinite(share), share, 0.0)
    bins = np.full(len(starts), max_bins)
    if per_decade is not None:
        with np.errstate(invalid="ignore"):
            wanted = np.ceil(per_decade * np.nan_to_num(span) / np.log(10.0))
        bins = np.clip(wanted, 1, max_bins).astype(np.int64)
    number = np.minimum((share * bins[of_row]).astype(np.int64), bins[of_row] - 1)
    if per_decade is None:
        few = (sizes <= max_bins)[of_row]
        number = np.where(few, np.arange(len(v)) - starts[of_row], number)
    return of_row * np.int64(max_bins) + number


def respect_jumps(segment: np.ndarray, curve: np.ndarray, lr: np.ndarray) -> np.ndarray:
    """Split bins where the learning rate jumps: the loss drops there at once, and a mean over both sides is neither.

    The first row at the new rate is a bin of its own: some trainers log the rate of the step just made, others that
    of the next, whose loss is still the old one. Curves with more than MOST_JUMPS jumps (coarse logs, cycles) are
    left as they are.
    """
    top = np.zeros(int(curve.max()) + 1)
    np.maximum.at(top, curve, np.nan_to_num(lr))
    jump = (np.abs(np.diff(lr)) > JUMP * top[curve[1:]]) & (curve[1:] == curve[:-1])
    jump &= (np.bincount(curve[1:][jump], minlength=len(top)) <= MOST_JUMPS)[curve[1:]]
    edge = segment[1:] != segment[:-1]
    edge |= jump
    edge[1:] |= jump[:-1]
    return np.concatenate([[0], np.cumsum(edge)])
