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

from bayeslaw.anomalies.baseline import LOOSE

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
#: rows before the weights are learned, and before the first alarm
WARM_UP = 100
#: smallest standard deviation of a loss, relative to it: logs are rounded
FLOOR = 2e-5
#: rows over which wander is remembered, and the share of the rows so far, alone and with siblings: contrasts bend early
WANDER_MEMORY, WANDER_SHARE = 400.0, (1.0, 0.25)


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


def learn(
    rows: np.ndarray,
    scale2: np.ndarray,
    counts: np.ndarray,
    z: np.ndarray,
    residual: np.ndarray,
    use: np.ndarray,
    prior: np.ndarray = PRIOR,
) -> tuple[np.ndarray, np.ndarray]:
    """One step of stochastic expectation-maximization for the base scale and the weights of its multiples.

    In the first rows, while the filter still finds the curve, every residual counts in full and no weight is learned.
    """
    r = responsibilities(z, weights(counts, prior))
    young = rows < LOOSE
    square = np.where(young, residual**2, (r * (residual[:, None] / SCALES) ** 2).sum(axis=1))
    memory = np.minimum(np.maximum(0.15 * rows, 3.0), SCALE_MEMORY)
    scale2 = np.where(use, scale2 + (square - scale2) / memory, scale2)
    # what was learned while the curve still bent fast is forgotten sooner
    fade = np.clip(rows, 400.0, WEIGHT_MEMORY)[:, None, None]
    side = np.stack([z <= 0, z > 0], axis=1)[:, :, None] & (use & (rows >= WARM_UP))[:, None, None]
    counts = np.where(side, counts * (1 - 1 / fade) + r[:, None, :], counts)
    return scale2, counts


def learn_wander(
    mean: np.ndarray, wander: np.ndarray, z: np.ndarray, rows: np.ndarray, use: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Running mean over 50 rows of the residuals, and the mean square of that: white noise has 1/99."""
    mean = np.where(use, mean + (np.clip(z, -3, 3) - mean) * 0.02, mean)
    memory = np.minimum(np.maximum(share * (rows + 1.0), np.minimum(rows + 1.0, 50.0)), WANDER_MEMORY)
    return mean, np.where(use, wander + (mean**2 - wander) / memory, wander)
