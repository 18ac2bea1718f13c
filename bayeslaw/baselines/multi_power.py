"""Multi-power point fit: a power law in the summed learning rate less a saturating gain from each drop of it."""

from __future__ import annotations

import numpy as np

from bayeslaw.baselines.annealing import Gain, Rows, annealing
from bayeslaw.baselines.base import Answer, Ask


def _gain(q: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """``q`` are the logs of B, C, beta and gamma."""
    b, c, beta, gamma = np.exp(np.clip(q, -30, 30))
    x = c * np.exp(np.clip(-gamma * rows["log_eta"], -300, 300)) * rows["since"]
    log_1x = np.log1p(x)
    left = np.exp(-beta * log_1x)
    by_c = rows["drop"] * beta * left * x / (1 + x)
    pieces = [rows["drop"] * (1 - left), by_c, rows["drop"] * beta * left * log_1x, -by_c * gamma * rows["log_eta"]]
    n = len(rows["S1"])
    sums = np.column_stack([b * np.bincount(rows["row"], piece, minlength=n) for piece in pieces])
    return sums[:, 0], sums


#: around the published coefficients of three sizes
GAIN = Gain("multi-power", _gain, ((6.1, 0.7, -0.55, -0.45), (6.3, -1.5, -0.2, -0.6)))


def multi_power(ask: Ask) -> Answer:
    """Luo et al. 2025 (arXiv 2503.12811), one size at a time, by least Huber error of the log loss."""
    return annealing(ask, GAIN)
