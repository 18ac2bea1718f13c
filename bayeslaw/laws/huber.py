"""Huber error of Chinchilla's law in log loss, with its gradient: what approach 3 of Hoffmann et al. 2022 minimises."""

from __future__ import annotations

import numpy as np

#: where Hoffmann et al. 2022 (arXiv 2203.15556, section 3.3) let squared errors turn into absolute ones
DELTA = 1e-3


def log_loss(p: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log loss (n,) and the shares (n, 3) that its terms A, B, E have in the loss.

    ``p``: log A, log B, log E, alpha, beta; ``x`` (n, 2): log N, log D.
    """
    terms = np.stack([p[0] - p[3] * x[:, 0], p[1] - p[4] * x[:, 1], np.full(len(x), p[2])], axis=1)
    top = terms.max(axis=1, keepdims=True)
    weights = np.exp(terms - top)
    total = weights.sum(axis=1, keepdims=True)
    return (top + np.log(total))[:, 0], weights / total


def huber_error(
    p: np.ndarray, x: np.ndarray, y: np.ndarray, weight: np.ndarray, delta: float = DELTA
) -> tuple[float, np.ndarray]:
    """Weighted sum of the Huber errors of log losses ``y`` (n,), equation 10 there, and its gradient (5,) in ``p``."""
    value, share = log_loss(p, x)
    r = value - y
    small = np.abs(r) <= delta
    cost = np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta))
    slope = weight * np.where(small, r, delta * np.sign(r))
    grad = np.array([slope @ share[:, 0], slope @ share[:, 1], slope @ share[:, 2],
                     -slope @ (share[:, 0] * x[:, 0]), -slope @ (share[:, 1] * x[:, 1])])  # fmt: skip
    return float(weight @ cost), grad
