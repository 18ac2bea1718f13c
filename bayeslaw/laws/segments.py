"""Where to cut a schedule so that few stretches tell all its drops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def compress(
    steps: NDArray, rates: NDArray, warmup: int, m: int, edges: Sequence[float] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last steps of at most ``m`` stretches that hold every change of rate after the warm-up.

    Level stretches are left out: they add nothing. A jump (steep against the schedule as a whole) gets a stretch of
    its own, a change within one step therefore one of one step, on which the laws' sums are exact. No stretch holds a
    rise and a fall, which would take from each other, as long as ``m`` suffices for that. The rest is cut into equal
    amounts of ``|drop| / all drops + steps / all changing steps``.
    """
    s, r = _after(steps, rates, warmup, edges)
    h, d = np.diff(s), np.abs(np.diff(r))
    moving = d > 1e-12 * max(r.max(initial=0.0), 1e-300)
    if not moving.any():
        return np.zeros(0), np.zeros(0)
    share_drop, share_step = d / d.sum(), np.where(moving, h, 0) / h[moving].sum()
    weight = np.where(moving, (share_drop + share_step) / 2, 0.0)
    jump = moving & (share_drop > 1 / (4 * m)) & (share_drop > 20 * share_step)
    # A new piece begins where level turns to moving or back, and on both sides of a jump or an asked-for edge.
    cut = (moving[1:] != moving[:-1]) | jump[1:] | jump[:-1]
    if edges is not None:
        cut |= np.isin(s[1:-1], np.round(np.asarray(edges, float)))
    way = np.where(moving, np.sign(np.diff(r)), 0.0)
    # More pieces than stretches: give up the turns first, then all cuts, and keep the measure.
    for cuts in (cut | (way[1:] * way[:-1] < 0), cut, np.zeros_like(cut)):
        piece = np.concatenate([[0], np.cumsum(cuts)])
        kept = np.unique(piece[moving])
        if len(kept) <= m:
            break
    index = [np.flatnonzero(piece == p) for p in kept]
    counts = _allot(np.array([weight[i].sum() for i in index]), np.array([h[i].sum() for i in index]), m)
    bounds = [
        _quantiles(s[i[0] : i[-1] + 2], weight[i[0] : i[-1] + 1], int(n)) for i, n in zip(index, counts, strict=True)
    ]
    return np.concatenate([b[:-1] for b in bounds]), np.concatenate([b[1:] for b in bounds])


def _after(
    steps: NDArray, rates: NDArray, warmup: int, edges: Sequence[float] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots from the end of the warm-up on, with the asked-for edges among them."""
    extra = [float(warmup)] if edges is None else [float(warmup), *np.round(np.asarray(edges, float))]
    s = np.union1d(steps, extra)
    s = s[(s >= warmup) & (s <= max(steps[-1], warmup))]
    return s, np.interp(s, steps, rates)


def _allot(weight: NDArray, room: NDArray, m: int) -> NDArray:
    """Number of stretches per piece: at least one, at most a stretch per step, by weight in between."""
    counts = np.ones(len(weight), int)
    while True:
        left, open_ = m - counts.sum(), counts < room
        if left <= 0 or not open_.any():
            return counts
        want = np.where(open_, weight, 0.0)
        if want.sum() <= 0:
            return counts
        # Fill towards each piece's share of m; when rounding stalls, the neediest piece gets the next one.
        share = np.minimum(room, np.floor(m * want / want.sum())).astype(int)
        grown = np.where(open_, np.maximum(counts, share), counts)
        if grown.sum() > m or (grown == counts).all():
            counts[int(np.argmax(np.where(open_, weight / counts, -1)))] += 1
        else:
            counts = grown


def _quantiles(s: NDArray, weight: NDArray, n: int) -> NDArray[np.float64]:
    """``n + 1`` whole steps that cut the piece with knots ``s`` into equal weights (fewer where steps coincide)."""
    if n >= s[-1] - s[0]:
        return np.arange(s[0], s[-1] + 1)
    total = np.concatenate([[0.0], np.cumsum(weight)])
    inner = np.interp(np.linspace(0, total[-1], n + 1)[1:-1], total, s)
    return np.unique(np.concatenate([[s[0]], np.round(inner), [s[-1]]]))
