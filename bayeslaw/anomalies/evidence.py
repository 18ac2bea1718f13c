"""Sequential evidence: one e-detector per kind of anomaly, combined so that false alarms keep to a rate.

An e-detector in Shiryaev-Roberts form (Shin, Ramdas and Rinaldo 2023, arXiv 2203.03532) is ``R_t = (1 + R_(t-1)) L_t``
with ``L_t`` a likelihood ratio whose mean under health, given the past, is at most one. Then ``R_t - t`` is a
supermartingale, and raising an alarm at ``R_t >= 1/rate`` gives an average run length of at least ``1/rate`` steps.
A weighted mean of such detectors is one too, which is how kinds and magnitudes are combined: the weights below sum to
one. The guarantee is as good as the noise model; benchmarks/anomalies measures the rate that is reached.

The ratios are taken against the health model of ``noise``, with a tolerance: a run may wander ``tolerance`` scales
from its local level and still count as healthy, so shifts upwards are tested against a residual that already sits at
``+tolerance`` (and downwards at ``-tolerance``).
"""

from __future__ import annotations

import numpy as np

from bayeslaw.anomalies.noise import SCALES, density, tail
from bayeslaw.errors import DataError

#: sizes of the shifts that are looked for, in base scales, and the factors by which noise may grow
SHIFTS = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
FACTORS = np.array([1.5, 2.5, 5.0])
#: the shifts up, then down: of the detectors in their order
DELTAS = np.concatenate([SHIFTS, -SHIFTS])
KINDS = ("point", "up", "down", "variance")
#: share of the false-alarm budget of each kind; single losses are mostly watched for being too high, for a single low
#: one asks nothing of anybody
BUDGET = {"point": 0.65, "up": 0.15, "down": 0.1, "variance": 0.1}
POINT_UP, POINT_DOWN = 0.6, 0.05
#: part of that which a comparison with siblings may spend on single losses; the rest is kept in reserve, because how
#: often a batch upsets one run and not its siblings is known from a few dozen of them
PAIRED_POINT = 0.7
#: (N_DETECTORS,) weights of the detectors, which sum to one less the share of single losses
SHARES = np.concatenate(
    [
        np.full(len(SHIFTS), BUDGET["up"] / len(SHIFTS)),
        np.full(len(SHIFTS), BUDGET["down"] / len(SHIFTS)),
        np.full(len(FACTORS), BUDGET["variance"] / len(FACTORS)),
    ]
)
N_DETECTORS = len(SHARES)
#: largest evidence that is kept
CAP = 1e30


def checked(rate: float) -> float:
    """A rate of false alarms per step as it was asked for; DataError unless it lies between 0 and 1."""
    if not 0 < rate < 1:
        raise DataError(f"rate is a share of steps between 0 and 1, such as 1e-4; got {rate}.")
    return rate


def ratios(
    e: np.ndarray, w: np.ndarray, tolerance: np.ndarray, lean: np.ndarray, temper: np.ndarray | float = 1.0
) -> np.ndarray:
    """(B, N_DETECTORS) likelihood ratios of one step.

    ``e`` (B,) residual in base scales, ``w`` (B, 2, K) weights of the noise's scales, ``tolerance`` (B,),
    ``lean`` (B,) running mean of the residuals before this one: noise that grows is looked for around it. ``temper``
    (B,) power in (0, 1] that the ratios are raised to: rows that resemble their neighbours count for less than one
    row each, and by Jensen's inequality a mean of at most one stays so.
    """
    n = len(SHIFTS)
    bias = np.concatenate([np.repeat(tolerance[:, None], n, 1), np.repeat(-tolerance[:, None], n, 1)], axis=1)
    shifted = e[:, None] - bias
    around = e - lean
    points = np.concatenate(
        [shifted - DELTAS, shifted[:, :1], shifted[:, -1:], around[:, None], around[:, None] / FACTORS], 1
    )
    f = density(points, w)
    out = np.empty((len(e), N_DETECTORS))
    out[:, :n] = f[:, :n] / f[:, 2 * n, None]
    out[:, n : 2 * n] = f[:, n : 2 * n] / f[:, 2 * n + 1, None]
    out[:, 2 * n :] = f[:, 2 * n + 3 :] / FACTORS / f[:, 2 * n + 2, None]
    return out ** np.reshape(temper, (-1, 1))


def advance(detectors: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """The detectors (B, N_DETECTORS) one step on."""
    return np.minimum((1.0 + detectors) * ratio, CAP)


def point_evidence(
    e: np.ndarray, w: np.ndarray, rate: float, part: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """A single residual's tail probability (B,), two-sided, and its e-value, all or nothing.

    A residual alarms by itself where the tail beyond it, on its own side, is at most that side's share of ``rate``
    (``part`` of it is spent); the e-value has mean at most one if the tail is as modelled.
    """
    p = tail(e, w)
    share = part * np.where(e > 0, POINT_UP, POINT_DOWN)
    return p, np.where(0.5 * p <= share * rate, 1.0 / (BUDGET["point"] * rate), 0.0)


def combine(detectors: np.ndarray, point: np.ndarray) -> np.ndarray:
    """(B,) the combined e-detector: alarm where it reaches one over the rate."""
    return detectors @ SHARES + BUDGET["point"] * point


def by_kind(detectors: np.ndarray, point: np.ndarray) -> np.ndarray:
    """(B, 4) contributions of ``KINDS`` to the combined detector."""
    n = len(SHIFTS)
    parts = detectors * SHARES
    return np.stack(
        [BUDGET["point"] * point, parts[:, :n].sum(1), parts[:, n : 2 * n].sum(1), parts[:, 2 * n :].sum(1)], axis=1
    )


assert SCALES[0] == 1.0  # residuals are measured in the first scale
