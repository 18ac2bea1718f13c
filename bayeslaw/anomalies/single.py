"""One stream, one row at a time: the arithmetic of ``bank`` in plain numbers, for live runs.

Calls of numpy cost more than their work where an array has one element, so a live run is judged here and many recorded
ones at once in ``bank``. The two agree to rounding (tests/anomalies/test_single.py); a change of one is a change of
both. What a run is told never depends on which other runs the same monitor watches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from bayeslaw.anomalies import bank, baseline, evidence, noise

_SCALES = noise.SCALES.tolist()
_LOGS = noise.LOG_SCALES.tolist()
_SQUARES = [m * m for m in _SCALES]
_SINGLE = noise.SINGLE.tolist()
_REST = 1.0 - sum(_SINGLE)
_HALF = math.sqrt(0.5)
_INVERSE = 1.0 / noise.SCALES
_SHARP = -0.5 / noise.SCALES**2
_N = len(evidence.SHIFTS)
#: each detector's density in the numerator, its own in the denominator, and the width that it is divided by
_OVER = np.r_[0 : 2 * _N, 2 * _N + 3 : 2 * _N + 3 + len(evidence.FACTORS)]
_UNDER = np.r_[np.full(_N, 2 * _N), np.full(_N, 2 * _N + 1), np.full(len(evidence.FACTORS), 2 * _N + 2)]
_WIDTH = np.r_[np.ones(2 * _N), evidence.FACTORS]
#: the points at which the density is taken: shift by the residual and by the tolerance, then offset, then divide
_TOLD = np.r_[-np.ones(_N), np.ones(_N), -1.0, 1.0, np.zeros(1 + len(evidence.FACTORS))]
_OFFSET = np.r_[evidence._DELTAS, np.zeros(3 + len(evidence.FACTORS))]
_LEAN = np.r_[np.zeros(2 * _N + 2), np.ones(1 + len(evidence.FACTORS))]
_DIVIDE = np.r_[np.ones(2 * _N + 3), evidence.FACTORS]


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


@dataclass
class Noise:
    """Base scale, weights and wander of one comparison, and how many rows it has seen."""

    prior: tuple[list[float], list[float]]
    share: float
    rows: float = 0.0
    scale2: float = 0.0
    low: list[float] = field(default_factory=lambda: [0.0] * len(_SCALES))
    high: list[float] = field(default_factory=lambda: [0.0] * len(_SCALES))
    mean: float = 0.0
    wander: float = 0.0

    def weights(self) -> tuple[list[float], list[float]]:
        """Weights of the scales below and above zero."""
        return _shares(self.low, self.prior[0]), _shares(self.high, self.prior[1])

    def excess(self, most: float) -> float:
        """As ``Bank._excess``."""
        return most * math.sqrt(max(self.wander - 0.0101, 0.0))

    def learn(self, z: float, residual: float) -> None:
        """As ``bank._learn_noise``; the weights are learned from the side that the residual is on."""
        counts, prior = (self.high, self.prior[1]) if z > 0 else (self.low, self.prior[0])
        e2 = -0.5 * z * z
        r = [
            w * math.exp(e2 / s) / m + 1e-300 for w, s, m in zip(_shares(counts, prior), _SQUARES, _SCALES, strict=True)
        ]
        whole = 1.0 / sum(r)
        r = [v * whole for v in r]
        square = residual * residual
        if self.rows >= bank.LOOSE:
            square *= sum([v / s for v, s in zip(r, _SQUARES, strict=True)])
        self.scale2 += (square - self.scale2) / min(max(0.15 * self.rows, 3.0), noise.SCALE_MEMORY)
        if self.rows >= bank.WARM_UP:
            kept = 1.0 - 1.0 / min(max(self.rows, 400.0), noise.WEIGHT_MEMORY)
            counts[:] = [c * kept + v for c, v in zip(counts, r, strict=True)]

    def drift(self, z: float) -> None:
        """As ``bank._learn_wander``."""
        self.mean += (min(max(z, -3.0), 3.0) - self.mean) * 0.02
        rows = self.rows + 1.0
        memory = min(max(self.share * rows, min(rows, 50.0)), bank.WANDER_MEMORY)
        self.wander += (self.mean * self.mean - self.wander) / memory


def _shares(counts: list[float], prior: list[float]) -> list[float]:
    total = [c + p for c, p in zip(counts, prior, strict=True)]
    whole = 1.0 / sum(total)
    return [t * whole for t in total]


def _priors(table: np.ndarray) -> tuple[list[float], list[float]]:
    low, high = (noise.PRIOR_STEPS * 0.5 * table).tolist()
    return low, high


@dataclass
class Pair:
    """What is remembered of one sibling; the fields are those of ``State`` without their ``pair_``."""

    rows: float = 0.0
    level: float = 0.0
    slope: float = 0.0
    scale2: float = 0.0
    mean: float = 0.0
    recent: float = 0.0
    response: float = 0.0
    sib_level: float = 0.0
    shock2: float = 0.0
    typical: float = 0.0
    # of the row that is being judged
    y: float = math.nan
    shock: float = 0.0
    ahead: float = 0.0
    g: float = 0.0
    ripe: bool = False
    spread: float = 1.0
    belief: float = 0.0


def advance(detectors: np.ndarray, z: float, low: list[float], high: list[float], tolerance: float, lean: float,
            temper: float) -> np.ndarray:  # fmt: skip
    """``evidence.advance`` after ``evidence.ratios``, of one stream."""
    points = (z + tolerance * _TOLD - _OFFSET - lean * _LEAN) / _DIVIDE
    bells = np.exp((points * points)[:, None] * _SHARP)
    f = np.where(points > 0, bells @ (np.array(high) * _INVERSE), bells @ (np.array(low) * _INVERSE)) + 1e-300
    ratio = f[_OVER] / f[_UNDER] / _WIDTH
    if temper != 1.0:
        ratio = ratio**temper
    return np.minimum((1.0 + detectors) * ratio, evidence._CAP)


def given_scatter(sides: tuple[list[float], list[float]], scatter: float, freedom: float) -> list[list[float]]:
    """``noise.given_scatter`` of one stream, both sides."""
    part = min(1.0, noise.MOST_FREEDOM / max(freedom, 1.0))
    scatter, freedom = -0.5 * part * scatter, part * freedom
    log = [scatter / s - freedom * m for s, m in zip(_SQUARES, _LOGS, strict=True)]
    most = max(log)
    like = [math.exp(k - most) for k in log]
    out = []
    for w in sides:
        weighed = [v * k for v, k in zip(w, like, strict=True)]
        whole = _REST / sum(weighed)
        out.append([v * whole + s for v, s in zip(weighed, _SINGLE, strict=True)])
    return out


def tail(z: float, w: list[float]) -> float:
    """``noise.tail`` of one residual and the weights of its side."""
    u = abs(z) * _HALF
    return sum([v * math.erfc(u / m) for v, m in zip(w, _SCALES, strict=True)])


def track(level: float, slope: float, ahead: float, hop: float, usual: float, residual: float, scale: float,
          alpha: float, damping: float) -> tuple[float, float]:  # fmt: skip
    """``baseline.update`` of one stream."""
    bound = baseline.CLIP * scale
    pull = min(max(residual, -bound), bound)
    return ahead + alpha * pull, slope + alpha * alpha / damping * pull / usual


def gain(rows: float, memory: float, share: float) -> float:
    """``baseline.gain`` of one stream."""
    return 1.0 / min(max(share * rows, baseline.LEAST), memory)
