"""One stream, one row at a time: the arithmetic of ``bank`` in plain numbers, for live runs.

Calls of numpy cost more than their work where an array has one element, so a live run is judged here and many recorded
ones at once in ``bank``. The two agree to rounding (tests/anomalies/test_single.py); a change of one is a change of
both. What a run is told never depends on which other runs the same monitor watches.

The six scales are written out where every row passes: a loop over six numbers costs three times the arithmetic in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp

import numpy as np

from bayeslaw.anomalies import baseline, evidence, noise
from bayeslaw.anomalies.shocks import MOST

Six = tuple[float, float, float, float, float, float]

_S0, _S1, _S2, _S3, _S4, _S5 = noise.SINGLE.tolist()
_REST = 1.0 - float(noise.SINGLE.sum())
_HALF = math.sqrt(0.5)
_SCALES = noise.SCALES.tolist()
#: one over the scales and their squares, and the factor of a squared residual in the exponent of their densities
_I1, _I2, _I3, _I4, _I5 = (1.0 / noise.SCALES[1:]).tolist()
_Q1, _Q2, _Q3, _Q4, _Q5 = (1.0 / noise.SCALES[1:] ** 2).tolist()
_E0, _E1, _E2, _E3, _E4, _E5 = (-0.5 / noise.SCALES**2).tolist()
_N, _F = len(evidence.SHIFTS), len(evidence.FACTORS)
#: each detector's own density in the denominator: at the tolerance above, below it, and around the running mean
_UNDER = np.r_[np.full(_N, 2 * _N + _F), np.full(_N, 2 * _N + _F + 1), np.full(_F, 2 * _N + _F + 2)]
#: the points at which the density is taken, numerators first: factors of the residual, the tolerance and the running
#: mean, and what is added
_TOLD = np.r_[-np.ones(_N), np.ones(_N), np.zeros(_F), -1.0, 1.0, 0.0]
_OFFSET = np.r_[evidence.DELTAS, np.zeros(_F + 3)]
_LEAN = np.r_[np.zeros(2 * _N), np.ones(_F), 0.0, 0.0, 1.0]
_POINTS = np.stack([np.ones(2 * _N + _F + 3), _TOLD, -_LEAN, -_OFFSET], axis=1)
_POINTS[2 * _N : 2 * _N + _F] /= evidence.FACTORS[:, None]
_SHARP = (-0.5 / noise.SCALES**2)[:, None]
_INVERSE = 1.0 / noise.SCALES
#: what each density is divided by for the width of its noise
_WIDTH = np.r_[np.ones(2 * _N), evidence.FACTORS]


@dataclass(slots=True)
class Judged:
    """What one row says; the fields are those of ``bank.Step``, ``kind`` the largest part of the evidence."""

    expected: float
    scale: float
    z: float
    total: float
    kind: str
    alarm: bool
    active: bool
    shared: bool
    own_scale: float


@dataclass(slots=True)
class Noise:
    """Base scale, weights and wander of one comparison, and how many rows it has seen.

    ``low`` and ``high`` are the counts of the scales below and above zero, ``below`` and ``above`` their weights.
    """

    prior: tuple[Six, Six]
    share: float
    rows: float = 0.0
    scale2: float = 0.0
    low: Sequence[float] = (0.0,) * 6
    high: Sequence[float] = (0.0,) * 6
    mean: float = 0.0
    wander: float = 0.0
    below: Six = field(init=False)
    above: Six = field(init=False)

    def __post_init__(self) -> None:
        self.weigh()

    def weigh(self) -> None:
        """The weights that the counts give."""
        self.below, self.above = _shares(self.low, self.prior[0]), _shares(self.high, self.prior[1])

    def excess(self, most: float) -> float:
        """As ``Bank._excess``."""
        return most * math.sqrt(self.wander - 0.0101) if self.wander > 0.0101 else 0.0

    def learn(self, z: float, residual: float) -> None:
        """As ``noise.learn``; the weights are learned from the side that the residual is on."""
        w0, w1, w2, w3, w4, w5 = self.above if z > 0 else self.below
        z2, rows = z * z, self.rows
        r0 = w0 * exp(_E0 * z2) + 1e-300
        r1 = w1 * exp(_E1 * z2) * _I1 + 1e-300
        r2 = w2 * exp(_E2 * z2) * _I2 + 1e-300
        r3 = w3 * exp(_E3 * z2) * _I3 + 1e-300
        r4 = w4 * exp(_E4 * z2) * _I4 + 1e-300
        r5 = w5 * exp(_E5 * z2) * _I5 + 1e-300
        whole = 1.0 / (r0 + r1 + r2 + r3 + r4 + r5)
        square = residual * residual
        if rows >= baseline.LOOSE:
            square *= whole * (r0 + _Q1 * r1 + _Q2 * r2 + _Q3 * r3 + _Q4 * r4 + _Q5 * r5)
        memory = 0.15 * rows
        self.scale2 += (square - self.scale2) / min(max(memory, 3.0), noise.SCALE_MEMORY)
        if rows >= noise.WARM_UP:
            kept = 1.0 - 1.0 / min(max(rows, 400.0), noise.WEIGHT_MEMORY)
            c0, c1, c2, c3, c4, c5 = self.high if z > 0 else self.low
            counts = (
                c0 * kept + r0 * whole, c1 * kept + r1 * whole, c2 * kept + r2 * whole,
                c3 * kept + r3 * whole, c4 * kept + r4 * whole, c5 * kept + r5 * whole,
            )  # fmt: skip
            if z > 0:
                self.high, self.above = counts, _shares(counts, self.prior[1])
            else:
                self.low, self.below = counts, _shares(counts, self.prior[0])

    def drift(self, z: float) -> None:
        """As ``noise.learn_wander``."""
        mean = self.mean = self.mean + ((-3.0 if z < -3.0 else 3.0 if z > 3.0 else z) - self.mean) * 0.02
        rows = self.rows + 1.0
        memory = min(max(self.share * rows, min(rows, 50.0)), noise.WANDER_MEMORY)
        self.wander += (mean * mean - self.wander) / memory


def _shares(counts: Sequence[float], prior: Six) -> Six:
    c0, c1, c2, c3, c4, c5 = counts
    p0, p1, p2, p3, p4, p5 = prior
    c0, c1, c2, c3, c4, c5 = c0 + p0, c1 + p1, c2 + p2, c3 + p3, c4 + p4, c5 + p5
    whole = 1.0 / (c0 + c1 + c2 + c3 + c4 + c5)
    return c0 * whole, c1 * whole, c2 * whole, c3 * whole, c4 * whole, c5 * whole


def priors(table: np.ndarray) -> tuple[Six, Six]:
    """Expected counts of the scales below and above zero that a prior (2, 6) of their weights is worth."""
    low, high = (noise.PRIOR_STEPS * 0.5 * table).tolist()
    return _six(low), _six(high)


def _six(values: Sequence[float]) -> Six:
    v0, v1, v2, v3, v4, v5 = values
    return v0, v1, v2, v3, v4, v5


def advance(detectors: np.ndarray, z: float, low: Six, high: Six, tolerance: float, lean: float,
            temper: float) -> np.ndarray:  # fmt: skip
    """``evidence.advance`` after ``evidence.ratios``, of one stream."""
    points = _POINTS.dot(np.array((z, tolerance, lean, 1.0)))
    bells = np.exp(_SHARP * (points * points))
    sides = (np.array((low, high)) * _INVERSE).dot(bells)
    f = sides[0]
    np.copyto(f, sides[1], where=points > 0)
    f += 1e-300
    ratio = f[: len(_UNDER)] / f.take(_UNDER)
    ratio /= _WIDTH
    if temper != 1.0:
        ratio **= temper
    ratio *= detectors + 1.0
    return np.minimum(ratio, evidence.CAP)


def given_scatter(low: Six, high: Six, scatter: float, freedom: int) -> tuple[Six, Six]:
    """``noise.given_scatter`` of one stream, both sides."""
    part, d1, d2, d3, d4, d5 = _THINNED[freedom]
    s = part * scatter
    # against the widest scale, whose likelihood cannot vanish
    d0, d1, d2 = exp(s * (_E0 - _E5)), d1 * exp(s * (_E1 - _E5)), d2 * exp(s * (_E2 - _E5))
    d3, d4 = d3 * exp(s * (_E3 - _E5)), d4 * exp(s * (_E4 - _E5))
    likely = d0, d1, d2, d3, d4, d5
    return _weighed(low, likely), _weighed(high, likely)


def _weighed(w: Six, likely: Six) -> Six:
    w0, w1, w2, w3, w4, w5 = w
    d0, d1, d2, d3, d4, d5 = likely
    w0, w1, w2, w3, w4, w5 = w0 * d0, w1 * d1, w2 * d2, w3 * d3, w4 * d4, w5 * d5
    whole = _REST / (w0 + w1 + w2 + w3 + w4 + w5)
    return w0 * whole + _S0, w1 * whole + _S1, w2 * whole + _S2, w3 * whole + _S3, w4 * whole + _S4, w5 * whole + _S5


def _thinned(freedom: int) -> tuple[float, float, float, float, float, float]:
    """What the scatter counts for, and the scales but the first to the power of minus its degrees of freedom."""
    part = min(1.0, noise.MOST_FREEDOM / max(freedom, 1))
    d1, d2, d3, d4, d5 = (noise.SCALES[1:] ** (-part * freedom)).tolist()
    return part, d1, d2, d3, d4, d5


#: by degrees of freedom, siblings - 1
_THINNED = [_thinned(freedom) for freedom in range(MOST)]


def beyond(z: float, w: Six, chance: float) -> bool:
    """Whether the tail beyond a residual, ``noise.tail``, is at most twice ``chance``; ``w`` are its side's weights."""
    u = abs(z) * _HALF
    # no mixture of wider scales has a lighter tail than the narrowest
    if math.erfc(u) > 2.001 * chance:
        return False
    return 0.5 * sum([v * math.erfc(u / m) for v, m in zip(w, _SCALES, strict=True)]) <= chance


def track(
    slope: float, ahead: float, usual: float, residual: float, scale: float, alpha: float, damping: float
) -> tuple[float, float]:
    """``baseline.update`` of one stream."""
    bound = baseline.CLIP * scale
    pull = bound if residual > bound else -bound if residual < -bound else residual
    pull *= alpha
    return ahead + pull, slope + alpha / damping * pull / usual


def gain(rows: float, memory: float, share: float) -> float:
    """``baseline.gain`` of one stream."""
    kept = share * rows
    return 1.0 / (baseline.LEAST if kept < baseline.LEAST else memory if kept > memory else kept)
