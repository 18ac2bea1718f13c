"""Over-training law with one exponent, by least squares of the loss, as Gadre et al. fit it."""

from __future__ import annotations

import itertools

import numpy as np

from bayeslaw.baselines.base import REPLICATES, Answer, Ask, NotApplicable, fill
from bayeslaw.baselines.chinchilla import groups


def overtraining(ask: Ask) -> Answer:
    """``E + A N^-eta + B D^-eta`` per group, Gadre et al. 2024 (arXiv 2403.08540); residual bootstrap."""
    answer = Answer.empty(ask)
    for where, rows in groups(ask):
        if len(rows) < 5:
            raise NotApplicable("The over-training law needs five rows at least.")
        x, y = rows[["n_params", "tokens"]].to_numpy(float), rows["loss"].to_numpy(float)
        best = _fit(x, y, _STARTS)
        level = _loss(best, x)
        residuals = (y - level) / level * np.sqrt(len(y) / (len(y) - 4))
        replicates = [
            _fit(x, level * (1 + ask.rng.choice(residuals, len(y))), [best]) for _ in range(REPLICATES)
        ]  # fmt: skip
        at = ask.at.iloc[where][["n_params", "tokens"]].to_numpy(float)
        curves = np.stack([_loss(p, at) for p in [best, *replicates]])
        fill(answer, where, curves[0], curves[1:], np.log1p(residuals), ask)
    return answer


_STARTS = [np.log([e, a, a, b]) for e, a, b in itertools.product((0.5, 1, 2), (1e2, 1e3), (0.1, 0.3))]


def _loss(p: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``p``: logs of E, A, B and eta; ``x`` (n, 2): N, D."""
    e, a, b, eta = np.exp(np.clip(p, -50, 50))
    return e + a * x[:, 0] ** -eta + b * x[:, 1] ** -eta


def _fit(x: np.ndarray, y: np.ndarray, starts: list[np.ndarray]) -> np.ndarray:
    from scipy.optimize import least_squares

    found = [least_squares(lambda p: _loss(p, x) - y, start, max_nfev=1000) for start in starts]
    return min(found, key=lambda f: f.cost).x
