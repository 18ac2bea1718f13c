"""Tissue: a power law in the summed learning rate less a momentum of its drops, as a point fit."""

from __future__ import annotations

import numpy as np

from bayeslaw.baselines.annealing import Gain, Rows, annealing
from bayeslaw.baselines.base import Answer, Ask

#: share of a drop's momentum that is kept per step, as the paper sets it
LAM = 0.999


def _gain(q: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """``q`` is the log of C."""
    gain = np.exp(q[0]) * rows["S2"]
    return gain, gain[:, None]


GAIN = Gain("tissue", _gain, ((-0.7,), (-1.6,)))


def tissue(ask: Ask) -> Answer:
    """``L0 + A S1^-alpha - C S2``, Tissue et al. 2024 (arXiv 2408.11029), by least Huber error of the log loss."""
    return annealing(ask, GAIN, LAM)
