"""Budgets that must pay for serving or for dear sizes, recurrences that draws disagree on, budgets worlds away."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.errors import PlanError
from bayeslaw.plan import Limits, plan, target
from bayeslaw.plan.costs import SIX_N
from bayeslaw.plan.frontier import frontier
from bayeslaw.plan.next_runs import next_runs
from bayeslaw.plan.optimum import least_budget, optimum
from bayeslaw.plan.surface import Surface
from bayeslaw.plan.target import budgets_for
from bayeslaw.plan.value import waste

PILOT = pd.DataFrame({"n_params": [1e9], "tokens": [2e10]})
#: 1B parameters that serve 1e12 tokens: 2e21 FLOP before any training
SERVED = Limits(inference_tokens=1e12, sizes=[1e9])


@pytest.mark.parametrize(
    ("limits", "least"),
    [
        (SERVED, 2e21 + 6e9),
        (Limits(sizes=[1e12, 2e12]), 6e12),
        (Limits(), 6e3),
        (Limits(inference_tokens=1e12), 2e15 + 6e3),
    ],
)
def test_the_smallest_budget_buys_one_size_and_less_buys_none(made_fit, limits, least):
    surface = Surface(made_fit())
    found = least_budget(surface, SIX_N, limits)
    assert found == pytest.approx(least, rel=1e-8)
    best = optimum(surface, SIX_N, found, limits)
    assert best.n_params == pytest.approx(1e3 if limits.sizes is None else limits.sizes[0], rel=1e-6)
    assert np.isfinite(best.loss).all()
    with pytest.raises(PlanError, match="FLOP"):
        optimum(surface, SIX_N, found * 0.999, limits)


@pytest.mark.parametrize(
    ("loss", "limits"),
    [
        (3.9, SERVED),
        (2.6, SERVED),
        (2.6, Limits(sizes=[1e12])),
        (2.6, Limits(inference_tokens=10)),
        (2.1, Limits(inference_tokens=1e15, sizes=[1e9, 1e11])),
    ],
)
def test_a_target_takes_what_reaches_it_after_serving(made_fit, loss, limits):
    surface = Surface(made_fit())
    needed = budgets_for(surface, SIX_N, limits, loss)
    assert np.allclose(optimum(surface, SIX_N, needed, limits).loss, loss, rtol=1e-6)
    assert needed.min() > least_budget(surface, SIX_N, limits)
    found = target(made_fit(), loss, limits=limits)
    assert found.budget["median"] == pytest.approx(np.median(needed))
    assert found.curve["flops"].min() >= least_budget(surface, SIX_N, limits) * (1 - 1e-9)
    assert found.curve["p_best"].iloc[0] <= 0.01
    assert found.curve["p_best"].iloc[-1] == 1
    assert plan(made_fit(), target_loss=loss, limits=limits).flops == pytest.approx(found.budget["median"], rel=1e-6)


def test_a_target_met_at_once_takes_the_smallest_budget_that_pays(made_fit):
    found = target(made_fit(), 300.0, limits=SERVED)
    assert found.draws == pytest.approx(2e21, rel=1e-6)


def test_a_plan_that_hardly_pays_for_serving_has_exponents(made_fit):
    found = plan(made_fit(), 2.1e21, limits=SERVED)
    assert (found.draws["n_params"] == 1e9).all()
    assert found.exponents.loc["a", "median"] == 0
    assert np.isfinite(found.exponents).all(axis=None)


def test_the_frontier_begins_where_serving_is_paid(made_fit):
    found = frontier(made_fit(), high=1e23, limits=SERVED, points=5)
    assert found["flops"].min() == pytest.approx(2e21, rel=1e-6)
    assert np.isfinite(found["loss_hi90"]).all()


def test_waste_counts_from_the_smallest_budget_that_pays(made_fit):
    surface = Surface(made_fit())
    found = waste(surface, SIX_N, Limits(inference_tokens=1e12, sizes=[1e9, 2e9, 2e10]), 1e22)
    assert (found.wasted[:, 2] == 1).all()
    assert 0 <= found.now[1] < 1 - 2e21 / 1e22


@pytest.mark.parametrize("flops", [1.7782794100389228e23, 2.610157215682544e23, 5.623413251903491e23])
def test_the_recurrence_is_one_that_most_draws_favour(made_fit, flops):
    """Budgets at which the median of the draws' best recurrences is 1.5, 2 in a tenth of the draws, and 3."""
    fit = made_fit("looped-total", looped=True, spread=0.3)
    surface = Surface(fit)
    best = optimum(surface, SIX_N, flops)
    loops, votes = np.unique(best.recurrence, return_counts=True)
    r = float(loops[votes.argmax()])
    assert np.median(best.recurrence) != r
    alone = optimum(surface, SIX_N, flops, Limits(recurrences=(r,)))
    found = waste(surface, SIX_N, Limits(), flops)
    assert np.allclose(found.log_n, np.log(alone.n_params))
    assert found.sizes[[0, -1]] == pytest.approx(np.quantile(alone.n_params, [0.002, 0.998]))


def test_the_target_of_next_runs_is_a_run_that_could_be_trained(made_fit, monkeypatch):
    asked, loss = [], Surface.loss

    def told(self, n_params, tokens, recurrence=1.0, budget=""):
        asked.append((n_params, tokens, recurrence))
        return loss(self, n_params, tokens, recurrence, budget)

    monkeypatch.setattr(Surface, "loss", told)
    fit, flops = made_fit("looped-total", looped=True, spread=0.3), 1.7782794100389228e23
    next_runs(fit, pd.DataFrame([{"n_params": 1e9, "tokens": 2e10, "recurrence": 2}]), flops, misfit=None)
    (n, d, r) = next(at for at in asked if np.ndim(at[0]) == 0)
    assert r in (1, 2, 4)
    assert 6 * Surface(fit).unrolled(n, r) * d == pytest.approx(flops, rel=0.01)


def test_draws_without_a_finite_loss_are_said_to_be_that(made_fit, monkeypatch):
    surface, loss = Surface(made_fit()), Surface.loss

    def told(self, *at, **how):
        out = loss(self, *at, **how)
        out[:2] = np.inf
        return out

    monkeypatch.setattr(Surface, "loss", told)
    with pytest.raises(PlanError, match=r"1e\+22 FLOP has no finite loss at any size in 1\.0% of the draws"):
        optimum(surface, SIX_N, 1e22)


@pytest.mark.parametrize("flops", [1, 1e5, 1e8, 1e45, 1e80])
def test_a_budget_worlds_away_is_refused_with_what_the_runs_took(made_fit, flops):
    with pytest.raises(PlanError, match=r"7\.5e\+16 - 1\.2e\+22 FLOP") as caught:
        plan(made_fit(), flops)
    assert f"A budget of {flops:.3g} FLOP" in str(caught.value)
    assert "serving" not in str(caught.value)
    with pytest.raises(PlanError, match="FLOP"):
        next_runs(made_fit(), PILOT, flops)


def test_a_budget_far_off_is_asked_about(made_fit):
    said = plan(made_fit(), 1e30).notes
    assert any("It is 1e+30 FLOP, and the runs fitted took 7.5e+16 - 1.2e+22 FLOP" in note for note in said)
    assert any("1e+12 FLOP" in note for note in plan(made_fit(), 1e12).notes)
    assert any("1e+30 FLOP" in n for n in next_runs(made_fit(), PILOT, 1e30).notes)
    assert not any("Is the budget meant" in note for note in plan(made_fit(), 1e25).notes)
    # a size that the limits set is the plan's, however far the budget
    assert plan(made_fit(), 1e45, limits={"max_params": 1e9}).choice.n_params == pytest.approx(1e9)
