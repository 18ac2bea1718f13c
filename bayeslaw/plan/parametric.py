"""Approach 3 of Hoffmann et al. 2022: one parametric surface by least Huber error of log loss, and its bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from bayeslaw.laws.huber import DELTA, huber_error

#: Hoffmann et al.'s starting points thinned out
STARTS = [(a, b, e, alpha, beta) for a in (4.0, 8.0) for b in (4.0, 8.0, 12.0) for e in (0.0, 0.6) for alpha, beta in
          ((0.3, 0.3), (0.5, 0.5))]  # fmt: skip


@dataclass(frozen=True)
class Surface3:
    """``E + A / N^alpha + B / D^beta`` as a point fit."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, n_params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Nats per token."""
        return self.E + self.A * n_params**-self.alpha + self.B * tokens**-self.beta

    def n_star(self, flops: float, k: float = 6.0, m: float = 1.0) -> float:
        """Compute-optimal parameters at a cost of ``k N^m`` FLOP per token."""
        power = m * self.beta
        b = self.B * (flops / k) ** -self.beta
        return float((self.alpha * self.A / (power * b)) ** (1 / (self.alpha + power)))


def huber_fit(
    n_params: np.ndarray, tokens: np.ndarray, loss: np.ndarray, start: Surface3 | None = None, delta: float = DELTA
) -> Surface3:
    """Hoffmann et al. 2022, eq. 10: L-BFGS over (log A, log B, log E, alpha, beta), the best of the starts."""
    x, y = np.log(np.stack([n_params, tokens], axis=1)), np.log(loss)
    once = np.ones(len(y))

    def value(p: np.ndarray) -> tuple[float, np.ndarray]:
        error, gradient = huber_error(p, x, y, once, delta)
        return 1e4 * error, 1e4 * gradient

    starts = STARTS if start is None else [(np.log(start.A), np.log(start.B), np.log(start.E), start.alpha, start.beta)]
    bounds = [(-5, 40), (-5, 40), (-5, 3), (0.01, 3), (0.01, 3)]
    options = {"maxiter": 2000, "ftol": 1e-13, "gtol": 1e-9}
    fits = [minimize(value, s, jac=True, method="L-BFGS-B", bounds=bounds, options=options) for s in starts]
    p = min(fits, key=lambda f: f.fun).x
    return Surface3(float(np.exp(p[2])), float(np.exp(p[0])), float(np.exp(p[1])), float(p[3]), float(p[4]))
