"""The least mean |error| / loss that a law can have on some runs, whatever its coefficients: found on those very runs.

A floor for forecasts that use the law. Least absolute errors by a smoothed absolute value that is sharpened step by
step (BFGS), then by a simplex; the tied law's optimum starts the freer ones.
"""

from __future__ import annotations

import numpy as np

#: smoothing of the absolute relative error, step by step
WIDTHS = (5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 5e-5)
LAWS = ("one exponent", "two exponents", "two exponents and an interaction")


def predicted(p: np.ndarray, n_params: np.ndarray, tokens: np.ndarray, law: str) -> np.ndarray:
    """``p``: logs of E, of A at 1e8 parameters, of B at 1e10 tokens, of alpha and beta; kappa."""
    level, a, b, alpha, beta, kappa = p
    beta = alpha if law == LAWS[0] else beta
    kappa = kappa if law == LAWS[2] else 0.0
    size, budget = n_params / 1e8, tokens / 1e10
    return np.exp(level) + np.exp(a) * size ** -np.exp(alpha) + np.exp(b) * size**kappa * budget ** -np.exp(beta)


def least_error(n_params: np.ndarray, tokens: np.ndarray, loss: np.ndarray) -> dict[str, float]:
    """Law → least mean relative error found."""
    from scipy.optimize import minimize

    found, p = {}, np.array([0.5, 0.0, -1.0, -1.2, -1.2, 0.0])
    for law in LAWS:

        def error(p: np.ndarray, width: float = 0.0, law: str = law) -> float:
            relative = predicted(p, n_params, tokens, law) / loss - 1
            return 100 * float(np.sqrt(relative**2 + width**2).mean())

        for width in WIDTHS:
            p = minimize(error, p, args=(width,), method="BFGS").x
        for _ in range(2):
            p = minimize(error, p, method="Nelder-Mead", options={"maxiter": 3000, "adaptive": True}).x
        if law == LAWS[0]:
            p[4] = p[3]
        found[law] = error(p) / 100
    return found
