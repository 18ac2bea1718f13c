"""What small runs are worth in money: the big run's expected mistake now, less its expected mistake after them.

The mistake of training N at budget C, if the surface is draw s's, is the compute it wastes: C less the budget at which
draw s's optimum has the same loss. A set of runs is imagined with outcomes drawn from the posterior; after each outcome
the draws are weighted anew by how well they explain it, and the size of least expected waste is chosen anew. The
outcome's own draw takes no part in that choice, so that a few draws do not look wiser than they are: the estimate is
of a real policy's saving, not of perfect information.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayeslaw.plan.candidates import Candidates
from bayeslaw.plan.costs import Cost
from bayeslaw.plan.optimum import Limits, loss_at, optimum
from bayeslaw.plan.surface import Surface

#: sizes among which the big run's is chosen anew, and budgets at which each draw's optimum is tabulated
CHOICES, BUDGETS = 49, 25


@dataclass(frozen=True)
class Waste:
    """``wasted`` (S, g): share of the budget that choosing ``sizes`` (g,) wastes under every draw."""

    sizes: np.ndarray
    wasted: np.ndarray

    @property
    def now(self) -> tuple[int, float]:
        """The choice without further runs: position in ``sizes``, and its expected waste as a share."""
        mean = self.wasted.mean(axis=0)
        return int(mean.argmin()), float(mean.min())


def waste(surface: Surface, cost: Cost, limits: Limits, flops: float) -> Waste:
    """The compute that every size wastes under every draw, at the recurrence most draws favour."""
    best = optimum(surface, cost, flops, limits)
    r = float(np.median(best.recurrence))
    sizes = limits.allowed
    if sizes is None:
        low, high = np.quantile(best.n_params, [0.002, 0.998])
        sizes = np.geomspace(low, min(high, limits.largest), CHOICES)
    loss = loss_at(surface, cost, limits, flops, sizes[None, :], r)
    # each draw's best loss against budget, from a thousandth of it up: what the same loss would have cost
    shares = np.geomspace(1e-3, 1, BUDGETS)
    frontier = np.stack([optimum(surface, cost, flops * s, limits).loss for s in shares], axis=1)
    wasted = np.empty_like(loss)
    for s in range(surface.count):
        worth = np.interp(loss[s], frontier[s, ::-1], np.log(shares[::-1]))
        wasted[s] = 1 - np.exp(worth)
    return Waste(np.asarray(sizes), np.maximum(wasted, 0.0))


def saving(one: Waste, runs: Candidates, chosen: Sequence[int], seed: int = 0, times: int = 4) -> float:
    """Expected saving of the big run by the chosen candidates, as a share of its budget; may be below 0 by noise.

    ``times`` outcomes are drawn per posterior draw.
    """
    if not len(chosen):
        return 0.0
    at = list(chosen)
    rng = np.random.default_rng(seed)
    f = runs.log_loss[:, at]
    count = len(f)
    chol = np.linalg.cholesky(runs.covariance()[np.ix_(at, at)])
    whitened = np.linalg.solve(chol, f.T).T
    now = one.now[0]
    total = 0.0
    for _ in range(times):
        y = whitened + rng.standard_normal(whitened.shape)
        log_w = -0.5 * ((y[:, None, :] - whitened[None, :, :]) ** 2).sum(axis=2)
        np.fill_diagonal(log_w, -np.inf)
        w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
        w /= w.sum(axis=1, keepdims=True)
        pick = (w @ one.wasted).argmin(axis=1)
        total += float((one.wasted[:, now] - one.wasted[np.arange(count), pick]).mean())
    return total / times
