"""What small runs are worth in money: the big run's expected mistake now, less its expected mistake after them.

The mistake of training N at budget C, if the surface is draw s's, is the compute it wastes: C less the budget at which
draw s's optimum has the same loss. A set of runs is imagined with outcomes drawn from the posterior. What an outcome
tells of log N* is its best linear prediction, in closed form, with noise and the shifts that runs of a size share; the
expected waste of every size given that prediction is a cubic regression over the draws (after Strong, Oakley and
Brennan 2014, who estimate the value of information so). The size of least expected waste is chosen for each
outcome, and its waste counted under the draw that the outcome came from, one that the regression has not seen: the
saving of a real policy, not of perfect information.
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
from bayeslaw.plan.limits import SIZES, Limits
from bayeslaw.plan.optimum import Optimum, favoured, least_budget, loss_at, optimum
from bayeslaw.plan.surface import OUTCOMES, Surface, stream

#: sizes among which the big run's is chosen anew, and budgets at which each draw's optimum is tabulated
CHOICES, BUDGETS = 49, 25
#: of the regression of waste on what an outcome tells; outcomes at which the sizes that are ever best are looked for;
#: parts of the draws that are judged by what the others teach
DEGREE, GRID, FOLDS = 3, 2000, 5


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


def choices(best: Optimum, limits: Limits, reach: float = 1.0) -> np.ndarray:
    """Sizes (g,) worth a look: those allowed, or evenly in logs over the draws' optima and ``reach`` times beyond."""
    if limits.allowed is not None:
        return limits.allowed
    low, high = np.quantile(best.n_params, [0.002, 0.998])
    return np.geomspace(max(low / reach, SIZES[0]), min(high * reach, limits.largest), CHOICES)


def budgets_below(surface: Surface, cost: Cost, limits: Limits, flops: float, count: int = BUDGETS) -> np.ndarray:
    """Shares (B,) of a budget, ascending to 1: from a thousandth, or from the least that pays for serving."""
    return np.geomspace(max(1e-3, least_budget(surface, cost, limits) / flops), 1, count)


def wasted_of(loss: np.ndarray, frontier: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Share of the budget (S, g) that a loss (S, g) wastes: what the least budget of the same loss would have left.

    ``frontier`` (S, B) is the least loss at ``shares`` (B,) of the budget, ascending, of a draw each.
    """
    out = np.empty_like(loss)
    for s in range(len(loss)):
        out[s] = 1 - np.exp(np.interp(loss[s], frontier[s, ::-1], np.log(shares[::-1])))
    out[~np.isfinite(loss)] = 1.0
    return np.maximum(out, 0.0)


def waste(surface: Surface, cost: Cost, limits: Limits, flops: float) -> Waste:
    """The compute that every size wastes under every draw, at the recurrence most draws favour; N* is at that one too.

    A size whose serving the budget does not pay for wastes all of it. PlanError if it pays for none.
    """
    best = favoured(surface, cost, flops, limits)
    sizes = choices(best, limits)
    loss = loss_at(surface, cost, limits, flops, sizes[None, :], float(best.recurrence[0]))
    shares = budgets_below(surface, cost, limits, flops)
    frontier = np.stack([optimum(surface, cost, flops * s, limits).loss for s in shares], axis=1)
    return Waste(np.asarray(sizes), wasted_of(loss, frontier, shares), np.log(best.n_params))


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

    ``times`` outcomes are drawn per posterior draw. What to do upon an outcome is learnt from four fifths of the draws
    and judged on the last, each in turn: on the draws that taught it, chance alone would seem to save something.
    """
    if not len(chosen):
        return 0.0
    at = list(chosen)
    rng = stream(seed, OUTCOMES)
    f = runs.log_loss[:, at] - runs.log_loss[:, at].mean(axis=0)
    noise = runs.covariance()[np.ix_(at, at)]
    # what the noise does to the one number that is told is Gaussian: a draw's outcomes are one from each of its equally
    # probable parts, which leaves far less to chance than as many at random
    normal = ndtri((np.arange(times)[:, None] + rng.uniform(size=(times, len(f)))) / times)
    folds = np.arange(len(f)) % FOLDS
    return float(sum(_gain(one, f, noise, normal, folds != k, folds == k) for k in range(FOLDS)) / len(f))


def _gain(
    one: Waste, f: np.ndarray, noise: np.ndarray, normal: np.ndarray, learn: np.ndarray, judge: np.ndarray
) -> float:
    """Sum of the shares saved on the draws ``judge`` by the policy that the draws ``learn`` suggest; masks (S,)."""
    mine, star = f[learn] - f[learn].mean(axis=0), one.log_n[learn] - one.log_n[learn].mean()
    weights = np.linalg.solve(mine.T @ mine / len(mine) + noise, mine.T @ star / len(mine))
    signal = f @ weights
    told = signal + float(np.sqrt(weights @ noise @ weights)) * normal
    # a correlation that as many candidates would show by chance is none: two sd of a chi-square beyond its mean
    chance = (len(weights) + 2 * np.sqrt(2 * len(weights))) / len(mine)
    if np.ptp(told) < 1e-12 or (mine @ weights @ star) ** 2 <= chance * signal[learn].var() * len(mine) * (star @ star):
        return 0.0
    design = np.vander((told / told.std()).ravel(), DEGREE + 1, increasing=True).reshape(*told.shape, -1)
    # a draw wastes the same under each of its outcomes, so that these are summed before sizes come in
    q, r = np.linalg.qr(design[:, learn].reshape(-1, DEGREE + 1))
    summed = q.reshape(len(told), -1, DEGREE + 1).sum(axis=0).T @ one.wasted[learn]
    shape = np.linalg.lstsq(r, summed, rcond=None)[0]
    # few sizes are best for any outcome, and only these need be looked at for all
    ends = np.linspace(design[..., 1].min(), design[..., 1].max(), GRID)
    some = np.unique((np.vander(ends, DEGREE + 1, increasing=True) @ shape).argmin(axis=1))
    pick = some[(design[:, judge] @ shape[:, some]).argmin(axis=-1)]
    # the choice without the outcome is learnt from the same draws: chance in it is not laid to the outcome
    wasted, now = one.wasted[judge], int(one.wasted[learn].mean(axis=0).argmin())
    return float((wasted[:, now] - wasted[np.arange(len(wasted)), pick]).mean(axis=0).sum())
