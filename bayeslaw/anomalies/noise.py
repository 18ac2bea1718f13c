"""Heavy-tailed noise of per-step losses: a mixture of Gaussians over scales, skewed, learned while the run goes on.

A residual ``r`` has density ``sum_k w[side, k] N(r; 0, (m_k s)^2)``: one base scale ``s``, fixed multiples ``m_k``
(``SCALES``) and weights of their own for residuals above and below zero (hard batches push upwards). The weights of
each side sum to one, so the density integrates to one. With aligned siblings the scatter among them at the same step
says which scale the step has: their batches are the same, and so is its difficulty.

Every function takes arrays with the streams along the first axis, so one call serves one run or a thousand.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfc

#: multiples of the base scale
SCALES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
LOG_SCALES = np.log(SCALES)
#: prior weights, rows below and above zero: of a run alone, and of its contrast with siblings, where now and then a
#: batch has chaotic effects that no two runs share
PRIOR = np.array([[0.92, 0.07, 0.009, 0.0008, 1e-5, 1e-6], [0.88, 0.105, 0.014, 0.001, 1e-5, 1e-6]])
CONTRAST_PRIOR = np.array([[0.92, 0.068, 0.008, 0.002, 0.0015, 0.0005], [0.90, 0.083, 0.012, 0.0025, 0.002, 0.0005]])
#: most degrees of freedom that the scatter among siblings counts for
MOST_FREEDOM = 2.0
#: weights of the scales that a contrast has for reasons of this run alone: now and then a batch does to one run what it
#: does to none of its siblings. Their agreement says nothing against it, and one run meets too few to learn how often
SINGLE = np.array([0.0, 0.0, 0.0, 2e-4, 1e-4, 0.0])
#: what the prior counts for, in steps, and how far back the weights and the base scale remember
PRIOR_STEPS, WEIGHT_MEMORY, SCALE_MEMORY = 100.0, 4000.0, 500.0


def weights(counts: np.ndarray, prior: np.ndarray = PRIOR) -> np.ndarray:
    """(B, 2, K) weights from (B, 2, K) expected counts of steps, the prior's ``PRIOR_STEPS`` included."""
    total = counts + PRIOR_STEPS * 0.5 * prior
    return total / total.sum(axis=-1, keepdims=True)


def given_scatter(w: np.ndarray, scatter: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Weights after seeing how far the siblings scatter at this step.

    Parameters
    ----------
    w : (B, 2, K) weights.
    scatter : (B,) sum of squares of the siblings' deviations from their mean, in units of the base scale squared.
    freedom : (B,) its degrees of freedom, siblings - 1 (0: nothing is known, the weights stay).

    Under scale k the scatter is ``m_k^2`` times chi-squared with ``freedom`` degrees: Bayes' rule over k. On the
    batches with chaotic effects runs deviate heavy-tailed even given the scale, so quiet siblings prove less than as
    many independent ones would: the scatter counts for at most ``MOST_FREEDOM`` degrees. What happens to a single run
    (``SINGLE``) does not depend on it at all.
    """
    part = np.minimum(1.0, MOST_FREEDOM / np.maximum(freedom, 1.0))
    scatter, freedom = part * scatter, part * freedom
    log = -freedom[:, None] * LOG_SCALES - 0.5 * scatter[:, None] / SCALES**2
    like = np.exp(log - log.max(axis=1, keepdims=True))
    out = w * like[:, None, :]
    return (1.0 - SINGLE.sum()) * out / out.sum(axis=-1, keepdims=True) + SINGLE


def density(e: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Density of standardized residuals, the factor 1/sqrt(2 pi) left out (it cancels in every ratio).

    Parameters
    ----------
    e : (B, D) residuals over the base scale. w : (B, 2, K) weights.
    """
    side = np.where(e[..., None] > 0, w[:, None, 1, :], w[:, None, 0, :])
    return (side * np.exp(-0.5 * (e[..., None] / SCALES) ** 2) / SCALES).sum(axis=-1) + 1e-300


def tail(e: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(B,) probability of a residual at least as far out as ``e`` (B,) on its own side, times two."""
    side = np.where((e > 0)[:, None], w[:, 1], w[:, 0])
    return (side * erfc(np.abs(e)[:, None] / SCALES * np.sqrt(0.5))).sum(axis=1)


def responsibilities(e: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(B, K) posterior probability of each scale, given the residual (B,)."""
    side = np.where((e > 0)[:, None], w[:, 1], w[:, 0])
    out = side * np.exp(-0.5 * (e[:, None] / SCALES) ** 2) / SCALES + 1e-300
    return out / out.sum(axis=1, keepdims=True)
