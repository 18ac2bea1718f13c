"""How much a curve bends inside a stretch of it.

A straight line through the rows of a wide bin passes above a convex curve's height at the bin's centre by half the
curvature times the variance of the abscissa. The neighbours show the curvature with hardly any noise but blur it,
the rows themselves show it sharply but with noise: the two are blended by their precision.
"""

from __future__ import annotations

import numpy as np

from bayeslaw.data.segments import Segments

#: how far the neighbours' curvature may be off, as a share of it, and as a share of the slope
BLUR, FLOOR = 0.3, 0.1


def blended_curvature(
    tau: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    segments: Segments,
    centre: np.ndarray,
    level: np.ndarray,
    slope: np.ndarray,
    noise: np.ndarray,
) -> np.ndarray:
    """(m,) second derivative of the curve in each segment.

    Parameters
    ----------
    tau, y, weight : (n,) abscissa from the segment's centre, ordinate, and robustness weight of each row.
    segments : the stretches.
    centre, level, slope, noise : (m,) abscissa, height, slope, and sd of one row (NaN: unknown).

    Returns
    -------
    Bounded by twice the slope: a power law with exponent b has curvature -b times the slope, and whatever bends more
    (a spike, a kink of the schedule, noise about a flat stretch) is no curvature of the trend.
    """
    nearby = nearby_curvature(centre, level, segments)
    bound = 2.0 * np.abs(slope)
    nearby = np.clip(nearby, -bound, bound)
    own, variance = own_curvature(tau, y - level[segments.of_row], weight, segments, noise)
    belief = (BLUR * np.abs(nearby) + FLOOR * np.abs(slope)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(np.isfinite(variance) & (belief > 0), belief / (belief + variance), 0.0)
    return np.clip(nearby + share * (np.where(share > 0, own, 0.0) - nearby), -bound, bound)


def own_curvature(
    tau: np.ndarray, y: np.ndarray, weight: np.ndarray, segments: Segments, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(m,), (m,): the curvature of a weighted parabola through a segment's own rows, and its variance.

    Infinite variance where the rows do not settle it (under three of them).
    """
    of_row = segments.of_row
    total = segments.sum(weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        tau = tau - (segments.sum(weight * tau) / total)[of_row]
        second = segments.sum(weight * tau**2) / total
        third = segments.sum(weight * tau**3) / total
        bend = tau**2 - second[of_row] - (third / second)[of_row] * tau
        power = segments.sum(weight * bend**2)
        settled = (segments.count >= 3) & (power > 1e-9 * total * second**2)
        own = 2.0 * segments.sum(weight * y * bend) / power
        variance = 4.0 * noise**2 / power
    settled &= np.isfinite(own) & np.isfinite(variance)
    return np.where(settled, own, 0.0), np.where(settled, variance, np.inf)


def nearby_curvature(centre: np.ndarray, level: np.ndarray, segments: Segments) -> np.ndarray:
    """(m,) the curvature of a parabola through each segment and the four nearest, weighted by their rows."""
    lo, hi = segments.bounds
    which = np.flatnonzero((hi - lo >= 3) & (segments.count > 1))
    curvature = np.zeros(len(lo))
    if which.size == 0:
        return curvature
    at, inside = segments.five(which)
    d = centre[at] - centre[which][:, None]
    unit = np.maximum(np.abs(d).max(1, keepdims=True), 1e-12)
    d = d / unit
    w = np.where(inside, segments.count[at], 0.0)
    moment = [(w * d**k).sum(1) for k in range(5)]
    normal = np.array([[moment[i + j] for j in range(3)] for i in range(3)]).transpose(2, 0, 1)
    right = np.stack([(w * d**k * (level[at] - level[which][:, None])).sum(1) for k in range(3)], axis=-1)
    # the ridge keeps an exactly degenerate window finite, and is far below any real one
    normal = normal + 1e-9 * moment[0][:, None, None] * np.eye(3)
    quadratic = np.linalg.solve(normal, right[..., None])[:, 2, 0]
    curvature[which] = 2.0 * quadratic / unit[:, 0] ** 2
    return curvature
