"""Which set of runs narrows a target most: variance after a set, greedy and exhaustive search, and D-optimal design.

With the draws' joint covariance of (log loss at the targets, log losses of the candidates), the variance that is left
after observing a set S is that of Gaussian conditioning,

    V(S) = Var t - Cov(t, f_S) [Cov f_S + R_S]^-1 Cov(f_S, t),

exact where loss is linear in what is unknown, which it is in all but the exponents (best linear prediction otherwise).
The covariances are Monte Carlo over the posterior; R is the noise of a run, with the shift that runs of a size share.
A misfit of the law (``plan/misfit.py``) adds its covariance, in closed form, to all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Score = Callable[[Sequence[int]], float]
#: of the cost by which a greedy search divides a gain
POWERS = (1.0, 0.5, 0.0)
#: of more candidates than this not all are tried at every step
MANY = 20


@dataclass(frozen=True)
class Joint:
    """Joint moments: ``target`` (t, t), ``cross`` (t, c), ``candidates`` (c, c) and ``noise`` (c, c)."""

    target: np.ndarray
    cross: np.ndarray
    candidates: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(cls, target: np.ndarray, log_loss: np.ndarray, noise: np.ndarray, misfit: np.ndarray | None = None) -> Joint:
        """From draws of the targets (S, t) and of the candidates (S, c).

        ``misfit`` (t + c, t + c): covariance of what the draws leave out of the targets' and candidates' curves.
        """
        t, f = target - target.mean(axis=0), log_loss - log_loss.mean(axis=0)
        count = max(len(t) - 1, 1)
        k = np.zeros((t.shape[1] + f.shape[1],) * 2) if misfit is None else misfit
        at = t.shape[1]
        return cls(t.T @ t / count + k[:at, :at], t.T @ f / count + k[:at, at:], f.T @ f / count + k[at:, at:], noise)

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

    def within(self, cost: np.ndarray, budget: float, by: str = "reduction") -> list[int]:
        """A set within a budget, in order of choice: ``greedy`` by ``"reduction"`` or ``"information"``, for many.

        Conditioning on one more candidate is a rank-one step, so that a set of k among c costs k c².
        """
        score = self.reduction if by == "reduction" else self.information
        # the dearest gain first is among the searches, so that no single candidate can be better than all of them
        return max((self._steps(cost, budget, by, power) for power in POWERS), key=score)

    def _steps(self, cost: np.ndarray, budget: float, by: str, power: float) -> list[int]:
        t = len(self.target)
        both = np.block([[self.target, self.cross], [self.cross.T, self.candidates + self.noise]])
        alone, chosen = self.noise.copy(), []
        while True:
            told, noise = np.maximum(np.diag(both)[t:], 1e-300), np.maximum(np.diag(alone), 1e-300)
            gain = (both[:t, t:] ** 2).mean(axis=0) / told if by == "reduction" else 0.5 * np.log(told / noise)
            shut = ~paid(cost, budget)
            shut[chosen] = True
            gain = np.where(shut, -1.0, gain / cost**power)
            best = int(gain.argmax())
            if gain[best] <= 0:
                return chosen
            chosen.append(best)
            budget = budget - cost[best]
            row = both[:, t + best]
            both = both - np.outer(row, row) / told[best]
            alone = alone - np.outer(alone[:, best], alone[:, best]) / noise[best]


def paid(cost: Any, budget: float) -> Any:
    """Which costs a budget pays for, in spite of rounding."""
    return cost <= budget * (1 + 1e-12)


def greedy(score: Score, cost: np.ndarray, budget: float) -> list[int]:
    """A set within the budget, one candidate at a time: the best of three greedy sets and the best single candidate.

    Gain per cost alone overbuys cheap candidates, gain alone dear ones; the better of the two is within a constant of
    the optimum (Leskovec et al. 2007), the comparison with a single one after Khuller, Moss and Naor (1999).
    """
    found = [_one_by_one(score, cost, budget, power) for power in POWERS]
    found += [[i] for i in range(len(cost)) if paid(cost[i], budget)]
    return max(found, key=score)


def _one_by_one(score: Score, cost: np.ndarray, budget: float, power: float) -> list[int]:
    """One candidate after another, that of most gain per cost; of many candidates, only those that may be it are tried.

    A candidate gains less the more there is already, as a rule: what it gained when it was last tried bounds what it
    gains now, so that candidates below the best that is known need no new trial (Minoux 1978; Leskovec et al. 2007).
    """
    if len(cost) > MANY:
        return _lazily(score, cost, budget, power)
    chosen: list[int] = []
    now = score(())
    while True:
        left = budget - float(cost[chosen].sum()) if chosen else budget
        open_ = [i for i in range(len(cost)) if i not in chosen and paid(cost[i], left)]
        gains = [(score([*chosen, i]) - now, i) for i in open_]
        gains = [(g / cost[i] ** power, g, i) for g, i in gains if g > 1e-12]
        if not gains:
            return chosen
        _, gain, i = max(gains)
        chosen.append(i)
        now += gain


def _lazily(score: Score, cost: np.ndarray, budget: float, power: float) -> list[int]:
    chosen: list[int] = []
    now, bound = score(()), np.full(len(cost), np.inf)
    while True:
        open_ = paid(cost, budget - float(cost[chosen].sum()))
        open_[chosen] = False
        tried = np.zeros(len(cost), bool)
        while True:
            worth = np.where(open_, bound / cost**power, -np.inf)
            i = int(worth.argmax())
            if not open_[i] or bound[i] <= 1e-12:
                return chosen
            if tried[i]:
                break
            bound[i], tried[i] = score([*chosen, i]) - now, True
        chosen.append(i)
        now += float(bound[i])


def exhaustive(score: Score, cost: np.ndarray, budget: float) -> list[int]:
    """The best set within the budget, by trying all: for up to some 15 candidates."""
    best, found = score(()), []
    for size in range(1, len(cost) + 1):
        for chosen in itertools.combinations(range(len(cost)), size):
            if paid(cost[list(chosen)].sum(), budget):
                value = score(chosen)
                if value > best + 1e-15:
                    best, found = value, list(chosen)
    return found
