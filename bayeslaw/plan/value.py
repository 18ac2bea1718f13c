"""What small runs are worth in money: the big run's expected mistake now, less its expected mistake after them.

The mistake of training N at budget C, if the surface is draw s's, is the compute it wastes: C less the budget at which
draw s's optimum has the same loss. A set of runs is imagined with outcomes drawn from the posterior. What an outcome
tells of log N* is its best linear prediction, in closed form, with noise and the shifts that runs of a size share; the
expected waste of every size given that prediction is a cubic regression over the draws (after Strong, Oakley and
Brennan 2014, who estimate the value of information so). The size of least expected waste is chosen for each
outcome, and its waste counted under the draw that the outcome came from: the saving of a real policy, not of
perfect information.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from bayeslaw.data.units import human
from bayeslaw.errors import PlanError
from bayeslaw.plan.candidates import Candidates
from bayeslaw.plan.costs import Cost
from bayeslaw.plan.limits import Limits
from bayeslaw.plan.optimum import favoured, least_budget, loss_at, optimum
from bayeslaw.plan.surface import OUTCOMES, Surface, stream

#: sizes among which the big run's is chosen anew, and budgets at which each draw's optimum is tabulated
CHOICES, BUDGETS = 49, 25
#: of the regression of waste on what an outcome tells; outcomes at which the sizes that are ever best are looked for
DEGREE, GRID = 3, 2000


@dataclass(frozen=True)
class Waste:
    """``wasted`` (S, g): share of the budget wasted by choosing ``sizes`` (g,); ``log_n`` (S,): each draw's log N*."""

    sizes: np.ndarray
    wasted: np.ndarray
    log_n: np.ndarray

    @property
    def now(self) -> tuple[int, float]:
        """The choice without further runs: position in ``sizes``, and its expected waste as a share."""
        mean = self.wasted.mean(axis=0)
        return int(mean.argmin()), float(mean.min())


def waste(surface: Surface, cost: Cost, limits: Limits, flops: float) -> Waste:
    """The compute that every size wastes under every draw, at the recurrence most draws favour; N* is at that one too.

    A size whose serving the budget does not pay for wastes all of it. PlanError if it pays for none.
    """
    best = favoured(surface, cost, flops, limits)
    r = float(best.recurrence[0])
    sizes = limits.allowed
    if sizes is None:
        low, high = np.quantile(best.n_params, [0.002, 0.998])
        sizes = np.geomspace(low, min(high, limits.largest), CHOICES)
    loss = loss_at(surface, cost, limits, flops, sizes[None, :], r)
    # each draw's best loss against budget, from a thousandth of it up, or from the smallest that pays for serving: what
    # the same loss would have cost
    shares = np.geomspace(max(1e-3, least_budget(surface, cost, limits) / flops), 1, BUDGETS)
    frontier = np.stack([optimum(surface, cost, flops * s, limits).loss for s in shares], axis=1)
    wasted = np.empty_like(loss)
    for s in range(surface.count):
        worth = np.interp(loss[s], frontier[s, ::-1], np.log(shares[::-1]))
        wasted[s] = 1 - np.exp(worth)
    wasted[~np.isfinite(loss)] = 1.0
    return Waste(np.asarray(sizes), np.maximum(wasted, 0.0), np.log(best.n_params))


def by_the_fit_alone(surface: Surface, cost: Cost, limits: Limits, flops: float, big: Waste) -> list[str]:
    """A sentence on what the mistake is by a fit's own ``surface``, where the one that was told allows for a misfit."""
    try:
        alone = waste(surface, cost, limits, flops)
    except PlanError:
        return []
    (at, mistake), (there, told) = alone.now, big.now
    return [
        f"The waste allows for losses that stray from the law (misfit): {told:.1%} of the big run, if it has "
        f"{human(big.sizes[there])} parameters. If the law holds everywhere, as plan takes it to, it is {mistake:.1%}, "
        f"with {human(alone.sizes[at])}."
    ]


def saving(one: Waste, runs: Candidates, chosen: Sequence[int], seed: int = 0, times: int = 4) -> float:
    """Expected saving of the big run by the chosen candidates, as a share of its budget; may be below 0 by noise.

    ``times`` outcomes are drawn per posterior draw.
    """
    if not len(chosen):
        return 0.0
    at = list(chosen)
    rng = stream(seed, OUTCOMES)
    f = runs.log_loss[:, at] - runs.log_loss[:, at].mean(axis=0)
    star = one.log_n - one.log_n.mean()
    noise = runs.covariance()[np.ix_(at, at)]
    # the law's misfit at a run says nothing of the law's own best size
    if runs.misfit is not None:
        noise = noise + runs.misfit[np.ix_(at, at)]
    weights = np.linalg.solve(f.T @ f / len(f) + noise, f.T @ star / len(f))
    now, spread = one.now[0], float(np.sqrt(weights @ noise @ weights))
    # what the noise does to the one number that is told is Gaussian: a draw's outcomes are one from each of its equally
    # probable parts, which leaves far less to chance than as many at random; all of them in one regression
    part = (np.arange(times)[:, None] + rng.uniform(size=(times, len(f)))) / times
    told = (f @ weights + spread * ndtri(part)).ravel()
    if np.ptp(told) < 1e-12:
        return 0.0
    told = told / told.std()
    design = np.vander(told, DEGREE + 1, increasing=True)
    q, r = np.linalg.qr(design)
    # a draw wastes the same under each of its outcomes, so that these are summed before sizes come in
    summed = q.reshape(times, len(f), -1).sum(axis=0).T @ one.wasted
    shape = np.linalg.lstsq(r, summed, rcond=None)[0]
    # few sizes are best for any outcome, and only these need be looked at for all
    ends = np.linspace(told.min(), told.max(), GRID)
    some = np.unique((np.vander(ends, DEGREE + 1, increasing=True) @ shape).argmin(axis=1))
    pick, draw = some[(design @ shape[:, some]).argmin(axis=1)], np.tile(np.arange(len(f)), times)
    return float((one.wasted[draw, now] - one.wasted[draw, pick]).mean())
