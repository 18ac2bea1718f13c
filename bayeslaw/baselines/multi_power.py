"""Multi-power point fit: a power law in the summed learning rate less a saturating gain from each drop of it."""

from __future__ import annotations

import numpy as np

from bayeslaw.baselines.annealing import Gain, Rows, annealing
from bayeslaw.baselines.base import Answer, Ask


def _gain(q: np.ndarray, rows: Rows) -> np.ndarray:
    """``q`` are the logs of B, C, beta and gamma."""
    b, c, beta, gamma = np.exp(np.clip(q, -30, 30))
    arrived = -np.expm1(-beta * np.log1p(c * rows["eta"] ** -gamma * rows["since"]))
    return b * np.sum(rows["drop"] * arrived, axis=1)


#: around the published coefficients of three sizes
GAIN = Gain(_gain, ((6.1, 0.7, -0.55, -0.45), (6.3, -1.5, -0.2, -0.6)))


def multi_power(ask: Ask) -> Answer:
    """Luo et al. 2025 (arXiv 2503.12811), one size at a time, by least Huber error of the log loss."""
    return annealing(ask, GAIN)
