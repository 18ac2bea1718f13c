"""Robust location, spread and autocorrelation of many short stretches of many curves at once.

A stretch ("segment") of a curve is a run of consecutive rows. Each gets the height of the smooth curve at the
stretch's mean abscissa, whatever spikes are in it:

0. rows of short segments that stand far above the rows before them are left aside (``spikes.py``);
1. rows of short segments (under ``SHORT`` rows) are weighed against a running median of nine rows, which reproduces
   any monotone curve exactly, so a steep early descent is never taken for an outlier;
2. long segments get a resistant line (half-medians, Brown and Mood 1951; the slope is the median of the segment's own
   and those towards its neighbours), and from there Tukey's bisquare M-estimate of line and height, tuned to 95 %
   efficiency on Gaussian noise (c = 4.685; Beaton and Tukey 1974), scale by the MAD;
3. the curvature inside a segment (``curvature.py``) is taken out of the height.

The spread is the biweight midvariance (Mosteller and Tukey 1977) of the rows about that local trend. Everything is
sorting and ``reduceat``: no loop over segments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayeslaw.data.curvature import blended_curvature
from bayeslaw.data.segments import Segments
from bayeslaw.data.spikes import without_spikes

SHORT = 8
TUNING = 4.685
STEPS = 12
WINDOW = 15
REACH = 4
BELIEF = 20.0


@dataclass(frozen=True)
class Local:
    """Per segment, (m,): ``level`` at the mean abscissa, ``slope``, ``spread`` of one row, ``rho`` at lag one."""

    level: np.ndarray
    slope: np.ndarray
    spread: np.ndarray
    rho: np.ndarray


def local_levels(t: np.ndarray, y: np.ndarray, segments: Segments) -> Local:
    """Height, slope, spread and autocorrelation of each segment.

    Parameters
    ----------
    t, y : (n,) abscissa, ascending within a curve, and ordinate of every row, segment after segment.
    segments : the stretches.

    Returns
    -------
    Local. ``spread`` is NaN for segments of curves with fewer than three rows: nothing is known about noise there.
    """
    count, of_row = segments.count, segments.of_row
    long = count >= SHORT
    centre = segments.mean(t)
    tau = t - centre[of_row]
    bounds = _curve_bounds(segments)
    spread = _short_noise(t, y, segments, bounds, ~long)
    y = without_spikes(t, y, segments, bounds, spread)
    node_t, node_y, weight = _nodes(t, y, segments, bounds, spread)
    slope = _slopes(t, y, weight, segments, node_t, node_y)
    level, rho = node_y + slope * (centre - node_t), np.zeros(len(count))
    bend = (tau, y, weight, segments, centre, level)
    if not long.any():
        curvature = blended_curvature(*bend, slope, spread)
        return Local(level - 0.5 * curvature * segments.mean(tau**2), slope, spread, rho)
    rows = np.flatnonzero(np.repeat(long, count))
    sub = Segments(np.concatenate([[0], np.cumsum(count[long])]), segments.curve[long])
    level[long], own_slope, weight[rows], spread[long] = _bisquare(tau[rows], y[rows], sub, level[long], slope[long])
    # the slope of a segment alone may be noise: the resistant one, which saw the neighbours, bounds the curvature
    curvature = blended_curvature(*bend, slope, spread)
    slope[long] = own_slope
    variance = segments.mean(tau**2)
    residual = y - level[of_row] - slope[of_row] * tau - 0.5 * curvature[of_row] * (tau**2 - variance[of_row])
    spread[long], rho[long] = _spread(residual[rows], y[rows], sub)
    return Local(level - 0.5 * curvature * variance, slope, spread, rho)


def _curve_bounds(segments: Segments) -> tuple[np.ndarray, np.ndarray]:
    """First and past-the-last row of the curve of each segment."""
    new = np.flatnonzero(np.diff(segments.curve, prepend=-1))
    sizes = np.diff(np.append(new, len(segments.curve)))
    lo = segments.starts[new]
    hi = segments.starts[np.append(new[1:], len(segments.curve))]
    return np.repeat(lo, sizes), np.repeat(hi, sizes)


def _short_noise(t, y, segments, bounds, short) -> np.ndarray:
    """(m,) noise of one row around short segments, from interpolation errors of nearby rows; NaN elsewhere.

    A row minus the line through its two neighbours, over the factor by which white noise is amplified there, has the
    noise's sd whatever the slope. Up to WINDOW of them around the segment, by the median (by the mean square under 5).
    """
    noise = np.full(len(segments.curve), np.nan)
    which = np.flatnonzero(short & (bounds[1] - bounds[0] >= 3))
    if which.size == 0:
        return noise
    error = np.full(len(y), np.nan)
    gap = t[2:] - t[:-2]
    with np.errstate(divide="ignore", invalid="ignore"):
        w = np.where(gap > 0, (t[1:-1] - t[:-2]) / gap, 0.5)
    error[1:-1] = (y[1:-1] - (1 - w) * y[:-2] - w * y[2:]) / np.sqrt(1 + w**2 + (1 - w) ** 2)
    lo, hi = bounds[0][which] + 1, bounds[1][which] - 1
    middle = (segments.starts[which] + segments.starts[which + 1] - 1) // 2
    first = np.maximum(np.minimum(middle - WINDOW // 2, hi - WINDOW), lo)
    at = first[:, None] + np.arange(WINDOW)
    inside = at < hi[:, None]
    size = np.sort(np.where(inside, np.abs(error[np.where(inside, at, 1)]), np.inf), axis=1)
    k = inside.sum(1)
    rows = np.arange(len(which))
    median = 0.5 * (size[rows, (k - 1) // 2] + size[rows, k // 2])
    square = np.sqrt((np.where(np.isfinite(size), size, 0.0) ** 2).sum(1) / k)
    noise[which] = np.where(k >= 5, 1.4826 * median, square)
    return noise


def _nodes(t, y, segments, bounds, noise) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A robust point of the curve inside each segment, (m,) and (m,), and the weights of the rows, (n,).

    The point is the median of a long segment and the weighted mean of a short one.
    """
    count = segments.count
    w = np.ones(len(y))
    node_t = segments.mean(t)
    node_y = segments.median(y)
    short = (count < SHORT) & (count > 1)
    if short.any():
        rows = np.flatnonzero(np.repeat(short, count))
        lo, hi = np.repeat(bounds[0], count)[rows], np.repeat(bounds[1], count)[rows]
        reach = np.minimum(np.minimum(rows - lo, hi - 1 - rows), REACH)
        window = rows[:, None] + np.clip(np.arange(-REACH, REACH + 1), -reach[:, None], reach[:, None])
        # clipping repeats the outermost rows on both sides alike, which leaves the median of the inner ones
        residual = y[rows] - np.median(y[window], axis=1)
        scale = np.repeat(np.nan_to_num(noise), count)[rows]
        w[rows] = _weights(residual, TUNING * np.maximum(scale, 1e-9 * np.abs(y[rows]) + 1e-300))
        total = segments.sum(w)
        fine = short & (total > 1e-6)
        with np.errstate(divide="ignore", invalid="ignore"):
            node_y = np.where(fine, segments.sum(w * y) / total, node_y)
            node_t = np.where(fine, segments.sum(w * t) / total, node_t)
    long = count >= SHORT
    middle = segments.starts[:-1] + count // 2
    node_t = np.where(long, 0.5 * (t[middle] + t[np.maximum(middle - 1 + count % 2, 0)]), node_t)
    return node_t, node_y, w


def _slopes(t, y, weight, segments, node_t, node_y) -> np.ndarray:
    """(m,) slope of each segment: the median of its own and of those towards its two neighbours."""
    m = len(segments.curve)
    candidates = np.full((m, 3), np.nan)
    if m > 1:
        joined = segments.curve[1:] == segments.curve[:-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            between = np.where(joined, np.diff(node_y) / np.diff(node_t), np.nan)
        between[~np.isfinite(between)] = np.nan
        candidates[1:, 0], candidates[:-1, 1] = between, between
    some = (segments.count >= 3) & (segments.count < SHORT)
    if some.any():
        apart = t - node_t[segments.of_row]
        with np.errstate(divide="ignore", invalid="ignore"):
            own = segments.sum(weight * apart * y) / segments.sum(weight * apart**2)
        candidates[some, 2] = np.where(np.isfinite(own), own, np.nan)[some]
    long = segments.count >= SHORT
    if long.any():
        starts, count = segments.starts[:-1][long], segments.count[long]
        rows = np.repeat(long, segments.count)
        cut = np.empty(2 * len(starts) + 1, np.int64)
        offsets = np.concatenate([[0], np.cumsum(count)])
        cut[0::2], cut[1::2] = offsets, offsets[:-1] + count // 2
        halves = Segments(cut, np.zeros(len(cut) - 1, np.int64))
        half_y, half_t = halves.median(y[rows]), halves.mean(t[rows])
        with np.errstate(divide="ignore", invalid="ignore"):
            own = (half_y[1::2] - half_y[0::2]) / (half_t[1::2] - half_t[0::2])
        candidates[long, 2] = np.where(np.isfinite(own), own, np.nan)
    candidates.sort(axis=1)  # NaN last
    known = np.isfinite(candidates).sum(1)
    rows = np.arange(m)
    low, high = np.maximum(known - 1, 0) // 2, known // 2
    slope = 0.5 * (candidates[rows, low] + candidates[rows, np.minimum(high, np.maximum(known - 1, 0))])
    return np.where(known > 0, slope, 0.0)


def _bisquare(tau, y, segments, level, slope) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Tukey's M-estimate of the line ``level + slope * tau``, started at a resistant line; tau is centred.

    Returns level, slope, the weights of the rows, and the scale of the residuals.
    """
    of_row, count = segments.of_row, segments.count
    level = segments.median(y - slope[of_row] * tau)
    scale = _scale(y - level[of_row] - slope[of_row] * tau, segments, y)
    for step in range(STEPS):
        residual = y - level[of_row] - slope[of_row] * tau
        if step == STEPS // 3:
            scale = _scale(residual, segments, y)
        w = _weights(residual, TUNING * scale[of_row])
        sw, swt = segments.sum(w), segments.sum(w * tau)
        swy, swtt, swty = segments.sum(w * y), segments.sum(w * tau * tau), segments.sum(w * tau * y)
        spread_t = sw * swtt - swt**2
        fine = (sw > 0.25 * count) & (spread_t > 1e-12 * sw * np.maximum(swtt, 1e-300))
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(fine, (sw * swty - swt * swy) / spread_t, slope)
            level = np.where(sw > 0.25 * count, (swy - slope * swt) / sw, level)
    return level, slope, w, scale


def _spread(residual, y, segments) -> tuple[np.ndarray, np.ndarray]:
    """Biweight midvariance (as an sd) and lag-one autocorrelation of the rows about the local trend."""
    of_row, n = segments.of_row, segments.count
    scale = _scale(residual, segments, y)
    u2 = (residual / (6.0 * scale[of_row])) ** 2
    inside = u2 < 1
    top = segments.sum(np.where(inside, residual**2 * (1 - u2) ** 4, 0.0))
    bottom = segments.sum(np.where(inside, (1 - u2) * (1 - 5 * u2), 0.0))
    fine = bottom > 0.1 * n  # below, hardly a row is near the centre: the scale is all that is known
    spread = np.where(fine, np.sqrt(n * top * n / (n - 2)) / np.where(fine, bottom, 1.0), scale)
    psi = residual * _weights(residual, TUNING * scale[of_row])
    product = np.append(psi[:-1] * psi[1:], 0.0)
    product[segments.starts[1:] - 1] = 0.0
    power = segments.sum(psi**2)
    rho = _shrunk(segments.sum(product), power, n, segments.curve)
    return spread, rho


def _shrunk(product: np.ndarray, power: np.ndarray, n: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """(m,) autocorrelations blended with their curve's, and that with zero, each with a weight of BELIEF rows.

    About a fitted line the estimate is low by (2 + 4 rho) / n (Kendall 1954 for a mean; twice that for a line).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        raw = np.where(power > 0, product / power, 0.0)
    raw = np.clip((raw + 2.0 / n) / (1.0 - 4.0 / n), -0.99, 0.99)
    whole = (np.bincount(curve, weights=n * raw) / (np.bincount(curve, weights=n) + BELIEF))[curve]
    return (n * raw + BELIEF * whole) / (n + BELIEF)


def _weights(residual: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """Tukey's bisquare weights."""
    u2 = (residual / cut) ** 2
    return np.where(u2 < 1, (1 - u2) ** 2, 0.0)


def _scale(residual: np.ndarray, segments: Segments, y: np.ndarray) -> np.ndarray:
    """(m,) median absolute residual as a Gaussian sd, never quite zero.

    Corrected for a fitted line, and blended (as logs, with a weight of BELIEF rows) with the median over the segments
    around: the MAD of a dozen rows alone is too rough to reject by. A trainer that rounds makes more than half of
    the rows equal; the mean absolute residual stands in there.
    """
    size = np.abs(residual)
    n = segments.count
    mad = 1.4826 * segments.median(size) * n / (n - 1.2)
    floor = 1e-9 * segments.mean(np.abs(y)) + 1e-300
    scale = np.maximum(np.where(mad > floor, mad, segments.mean(size)), floor)
    around = segments.smooth(np.log(scale))
    return np.exp((n * np.log(scale) + BELIEF * around) / (n + BELIEF))
