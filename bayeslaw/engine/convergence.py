"""How well chains agree and how much they say: split R-hat, bulk and tail ESS of every coordinate."""

from __future__ import annotations

import numpy as np
from arviz_stats.base.array import array_stats

#: what a fit has to reach; Vehtari et al. 2021 (arXiv 1903.08008)
RHAT, ESS = 1.01, 400.0


def rhat(z: np.ndarray) -> np.ndarray:
    """Split, rank-normalised R-hat (dim,) of draws (chains, draws, dim); infinite where a coordinate is stuck."""
    # a stuck coordinate divides by zero
    with np.errstate(divide="ignore", invalid="ignore"):
        values = [array_stats.rhat(z[..., i], chain_axis=0, draw_axis=1) for i in range(z.shape[-1])]
    return np.nan_to_num(np.array(values, float), nan=np.inf, posinf=np.inf)


def ess(z: np.ndarray, method: str = "bulk") -> np.ndarray:
    """Effective sample size (dim,) of draws (chains, draws, dim), ``"bulk"`` or ``"tail"`` (5 % and 95 % quantiles)."""
    prob = (0.05, 0.95) if method == "tail" else None
    with np.errstate(divide="ignore", invalid="ignore"):
        values = [
            array_stats.ess(z[..., i], chain_axis=0, draw_axis=1, method=method, prob=prob) for i in range(z.shape[-1])
        ]
    return np.nan_to_num(np.array(values, float), nan=0.0, posinf=0.0)


def enough(z: np.ndarray) -> bool:
    """Whether draws (chains, draws, dim) meet the thresholds with something to spare."""
    if z.shape[0] > 1 and rhat(z).max() > 1 + 0.9 * (RHAT - 1):
        return False
    return _smallest(z) >= 1.25 * ESS


def in_reach(z: np.ndarray, draws: int) -> bool:
    """Whether ESS will meet its threshold after ``draws`` a chain, growing as over these (chains, draws, dim)."""
    return _smallest(z) * draws / z.shape[1] >= ESS


def _smallest(z: np.ndarray) -> float:
    return float(min(ess(z).min(), ess(z, "tail").min()))
