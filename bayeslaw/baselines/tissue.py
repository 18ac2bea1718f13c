"""Tissue: a power law in the summed learning rate less a momentum of its drops, as a point fit."""

from __future__ import annotations

import numpy as np

from bayeslaw.baselines.annealing import Gain, annealing
from bayeslaw.baselines.base import Answer, Ask

#: share of a drop's momentum that is kept per step, as the paper sets it
LAM = 0.999
GAIN = Gain(lambda q, rows: np.exp(q[0]) * rows["S2"], ((-0.7,), (-1.6,)))


def tissue(ask: Ask) -> Answer:
    """``L0 + A S1^-alpha - C S2``, Tissue et al. 2024 (arXiv 2408.11029), by least Huber error of the log loss."""
    return annealing(ask, GAIN, LAM)
