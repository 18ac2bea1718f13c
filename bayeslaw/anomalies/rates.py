"""Learning rates: where a run and its sibling anneal apart, the sibling no longer says what level to expect.

Rates are measured as shares of the largest so far, so that a run of twice the rate under one schedule counts as alike.
What a schedule takes off a loss goes with how far the rate falls, not with its logarithm (Luo et al. 2025, arXiv
2503.12811, eq. 2), so distances are differences of shares. Each is followed by a slow mean. Farther from that mean than
``APART`` means that rates are moving: the level then remembers few rows, and more again as they hold still. Single odd
losses, which do not care for the level, are still judged by all that siblings know of their batch.

An unknown rate says nothing, and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from bayeslaw.anomalies.state import State

#: what the slow mean takes from each row; how far a share may lie from it: a run's own, and a run's less its sibling's.
#: Cosines over 800 rows and more stay within the first: their own level follows them as it follows any bend
SLOW, APART = 0.02, (0.1, 0.01)
#: the level remembers what it would remember after so many rows, where rates are moving
YOUNG = 40.0


def note(st: State, lr: np.ndarray, others: np.ndarray | None) -> None:
    """Take the rates of a row into ``st``.

    Parameters
    ----------
    lr : (B,) the runs' rates, NaN where unknown. others : (B, S) those of their siblings on the same batch.
    """
    st.peak = np.fmax(st.peak, lr)
    share = _share(lr, st.peak)
    st.lr, st.steady = _follow(share, st.lr, st.steady, APART[0])
    if others is not None:
        st.pair_peak = np.fmax(st.pair_peak, others)
        apart = share[:, None] - _share(others, st.pair_peak)
        st.pair_lr, st.pair_steady = _follow(apart, st.pair_lr, st.pair_steady, APART[1])


def _share(lr: np.ndarray, peak: np.ndarray) -> np.ndarray:
    return lr / np.where(peak > 0, peak, np.nan)


def _follow(now: np.ndarray, mean: np.ndarray, steady: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """The slow mean, NaN before the first known value, and the rows for which rates have held still."""
    known = np.isfinite(now)
    mean = np.where(known & np.isnan(mean), now, mean)
    moving = known & (np.abs(now - mean) > limit)
    return np.where(known, mean + (now - mean) * SLOW, mean), np.where(moving, np.minimum(steady, YOUNG), steady)


class Rated(Protocol):
    """What is remembered of the rates of one run, or of a sibling's: fields as in ``State``."""

    peak: float
    lr: float
    steady: float


def note_one(run: Rated, siblings: Sequence[Rated], lr: float, others: Sequence[float] | None) -> None:
    """``note`` of one stream, in plain numbers."""
    share = math.nan
    if lr == lr:
        run.peak = lr if lr > run.peak else run.peak
        if run.peak > 0:
            share = lr / run.peak
            _follow_one(run, share, APART[0])
    if others is not None:
        for sibling, rate in zip(siblings, others, strict=True):
            if rate == rate:
                sibling.peak = rate if rate > sibling.peak else sibling.peak
                if sibling.peak > 0 and share == share:
                    _follow_one(sibling, share - rate / sibling.peak, APART[1])


def _follow_one(what: Rated, now: float, limit: float) -> None:
    mean = what.lr
    if mean != mean:
        what.lr = now
        return
    off = now - mean
    if what.steady > YOUNG and (off > limit or off < -limit):
        what.steady = YOUNG
    what.lr = mean + off * SLOW
