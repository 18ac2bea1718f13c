"""Which set of runs narrows a target most: variance after a set, greedy and exhaustive search, and D-optimal design.

With the draws' joint covariance of (log loss at the targets, log losses of the candidates), the variance that is left
after observing a set S is that of Gaussian conditioning,

    V(S) = Var t - Cov(t, f_S) [Cov f_S + R_S]^-1 Cov(f_S, t),

exact where loss is linear in what is unknown, which it is in all but the exponents (best linear prediction otherwise).
The covariances are Monte Carlo over the posterior; R is the noise of a run, with the shift that runs of a size share.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Score = Callable[[Sequence[int]], float]


@dataclass(frozen=True)
class Joint:
    """Joint moments: ``target`` (t, t), ``cross`` (t, c), ``candidates`` (c, c) and ``noise`` (c, c)."""

    target: np.ndarray
    cross: np.ndarray
    candidates: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(cls, target: np.ndarray, log_loss: np.ndarray, noise: np.ndarray) -> Joint:
        """From draws of the targets (S, t) and of the candidates (S, c)."""
        t, f = target - target.mean(axis=0), log_loss - log_loss.mean(axis=0)
        count = max(len(t) - 1, 1)
        return cls(t.T @ t / count, t.T @ f / count, f.T @ f / count, noise)

    def left(self, chosen: Sequence[int]) -> float:
        """Mean variance of the targets after observing the chosen candidates."""
        if not len(chosen):
            return float(np.trace(self.target)) / len(self.target)
        at = list(chosen)
        inner = self.candidates[np.ix_(at, at)] + self.noise[np.ix_(at, at)]
        cross = self.cross[:, at]
        gain = np.einsum("ti,it->t", cross, np.linalg.solve(inner, cross.T))
        return float((np.diag(self.target) - gain).mean())

    def reduction(self, chosen: Sequence[int]) -> float:
        """Share of the targets' variance that the chosen candidates take away."""
        return 1 - self.left(chosen) / self.left(())

    def information(self, chosen: Sequence[int]) -> float:
        """Half the log determinant of signal over noise: what a D-optimal design maximises (entropy, nats)."""
        if not len(chosen):
            return 0.0
        at = list(chosen)
        noise = self.noise[np.ix_(at, at)]
        both = np.linalg.slogdet(self.candidates[np.ix_(at, at)] + noise)[1]
        return float(both - np.linalg.slogdet(noise)[1]) / 2


def greedy(score: Score, cost: np.ndarray, budget: float) -> list[int]:
    """A set within the budget, one candidate at a time by gain per cost; the best single one if that beats the set.

    The comparison with the best single candidate is what bounds how far greedy can fall behind (Khuller, Moss and
    Naor 1999).
    """
    chosen: list[int] = []
    now = score(())
    while True:
        left = budget - float(cost[chosen].sum()) if chosen else budget
        open_ = [i for i in range(len(cost)) if i not in chosen and cost[i] <= left * (1 + 1e-12)]
        gains = [(score([*chosen, i]) - now, i) for i in open_]
        gains = [(g / cost[i], g, i) for g, i in gains if g > 1e-12]
        if not gains:
            break
        _, gain, i = max(gains)
        chosen.append(i)
        now += gain
    singles = [(score([i]), i) for i in range(len(cost)) if cost[i] <= budget * (1 + 1e-12)]
    if singles and max(singles)[0] > now:
        chosen = [max(singles)[1]]
    return chosen


def exhaustive(score: Score, cost: np.ndarray, budget: float) -> list[int]:
    """The best set within the budget, by trying all: for up to some 15 candidates."""
    best, found = score(()), []
    for size in range(1, len(cost) + 1):
        for chosen in itertools.combinations(range(len(cost)), size):
            if cost[list(chosen)].sum() <= budget * (1 + 1e-12):
                value = score(chosen)
                if value > best + 1e-15:
                    best, found = value, list(chosen)
    return found
