"""Sums over single updates, as the annealing laws were published: what the sums over stretches are held to."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeslaw.laws.schedule import ETA_FLOOR, Schedule


def tissue_s2(schedule: Schedule, steps: ArrayLike, lam: float) -> NDArray[np.float64]:
    """S2 at ``steps`` (n,), of Tissue et al. 2024 (arXiv 2408.11029).

    ``S2(t) = sum_{i<=t} sum_{k<=i} (eta_{k-1} - eta_k) lam^(i-k)``, over updates k after the warm-up.
    """
    k, _, drop = _changes(schedule)
    t = np.atleast_1d(np.asarray(steps, float))
    ages = [(u - k[k <= u] + 1, drop[k <= u]) for u in t]
    return np.array([np.sum(d * (1 - lam**age)) / (1 - lam) for age, d in ages])


def multipower_drop(schedule: Schedule, steps: ArrayLike, C: float, beta: float, gamma: float) -> NDArray[np.float64]:
    """The drop of the loss at ``steps`` (n,) for ``B = 1``, of Luo et al. 2025 (arXiv 2503.12811).

    ``sum_{k<=t} (eta_{k-1} - eta_k) [1 - (1 + C eta_k^-gamma S_k(t))^-beta]`` over updates k after the warm-up,
    ``S_k(t)`` the rates of updates k to t summed.
    """
    k, eta, drop = _changes(schedule)
    t = np.atleast_1d(np.asarray(steps, float))
    slow, before = C * np.maximum(eta, ETA_FLOOR) ** -gamma, schedule.sums(k - 1)
    now, out = schedule.sums(t), np.zeros(t.shape)
    for j, u in enumerate(t):
        n = int(np.searchsorted(k, u, side="right"))
        out[j] = np.sum(drop[:n] * -np.expm1(-beta * np.log1p(slow[:n] * (now[j] - before[:n]))))
    return out


def _changes(schedule: Schedule) -> tuple[NDArray, NDArray, NDArray]:
    """Updates k after the warm-up at which the rate changes, the rate after them, and the drop."""
    k = np.arange(schedule.warmup + 1, schedule.total + 1, dtype=float)
    eta = schedule.rate(np.arange(schedule.warmup, schedule.total + 1))
    drop = -np.diff(eta)
    return k[drop != 0], eta[1:][drop != 0], drop[drop != 0]
