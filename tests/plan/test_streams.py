"""What a seed is spent on: new members, noise and imagined outcomes are drawn apart, the same member alike."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.cards import load_card
from bayeslaw.data.runs import Runs
from bayeslaw.engine.assemble import assemble
from bayeslaw.fit import Fit
from bayeslaw.plan import Limits, plan
from bayeslaw.plan.candidates import candidates
from bayeslaw.plan.costs import SIX_N
from bayeslaw.plan.frontier import frontier
from bayeslaw.plan.next_runs import next_runs
from bayeslaw.plan.surface import Surface
from bayeslaw.plan.value import saving, waste

#: of correlations of 400 independent pairs, five standard errors
NOISE = 0.25


@pytest.fixture(scope="module")
def fit():
    """Sweeps of two groups; every draw the same, so that what spreads is only what is drawn anew."""
    n, c = np.tile(np.geomspace(5e7, 5e8, 6), 3), np.repeat([1e18, 3e18, 1e19], 6)
    one = pd.DataFrame({"n_params": n, "tokens": c / 6 / n, "flops": c, "loss": 3.0})
    frame = pd.concat([one.assign(group=g) for g in ("code", "web")], ignore_index=True)
    frame["run"] = [f"r{i}" for i in range(len(frame))]
    problem = assemble(load_card("isoflop"), Runs.from_frame(frame))
    return Fit(load_card("isoflop"), problem, np.zeros((1, 400, problem.layout.dim)), {}, {"seed": 0})


def one_run(*groups):
    table = pd.DataFrame({"n_params": 1e8, "flops": [1e20] * max(len(groups), 1)})
    return table.assign(group=list(groups)) if groups else table


def reduction(fit, table, group, seed=0):
    found = next_runs(fit, table, 1e22, budget=1e21, by="variance", group=group, misfit=None, seed=seed)
    return found.frame["reduction"].to_numpy()


def correlation(*draws):
    return np.corrcoef(draws)[0, 1]


@pytest.mark.parametrize("seed", [0, 3])
def test_a_new_budget_of_another_group_tells_nothing(fit, seed):
    assert reduction(fit, one_run("web"), "code", seed)[0] < 0.05
    code, web = (Surface(fit, g, seed=seed) for g in ("code", "web"))
    planned = [np.log(s.coefficients()["n_opt"][:, 0]) for s in (code, web)]
    asked = np.log(web.coefficients(1.0, "web @ 1e20")["n_opt"][:, 0])
    assert abs(correlation(*planned)) < NOISE
    assert abs(correlation(planned[0], asked)) < NOISE
    # the optimum's deviation and the losses' are of different slots
    assert abs(correlation(planned[0], code.shift(""))) < NOISE


def test_the_same_member_is_drawn_the_same_by_every_surface_of_a_seed(fit):
    one, other = Surface(fit, "web", seed=4), Surface(fit, "web", seed=4)
    # in whatever order they are asked
    one.coefficients()
    assert np.array_equal(one.shift("web @ 1e20"), other.shift("web @ 1e20"))
    assert np.array_equal(one.coefficients()["n_opt"], other.coefficients()["n_opt"])
    assert abs(correlation(one.shift(""), Surface(fit, "web", seed=5).shift(""))) < NOISE
    apart = candidates(fit, one_run("web"), seed=4).log_loss
    assert np.array_equal(apart, candidates(fit, one_run("web"), {"web": other}).log_loss)
    assert not np.array_equal(apart, candidates(fit, one_run("web"), seed=5).log_loss)


def test_groups_that_are_new_are_each_of_their_own(fit):
    log_loss = candidates(fit, one_run("law", "math", "law")).log_loss
    assert abs(correlation(log_loss[:, 0], log_loss[:, 1])) < NOISE
    assert np.array_equal(log_loss[:, 0], log_loss[:, 2])
    assert reduction(fit, one_run("law", "math"), None).max() < 0.05
    # without a name it is the new group that is planned for, also where others have names
    assert reduction(fit, one_run(), None)[0] > 0.5
    assert reduction(fit, one_run("math", None), None)[1] == pytest.approx(reduction(fit, one_run(), None)[0])
    said = next_runs(fit, one_run("math"), 1e22, misfit=None).notes
    assert any("'math'" in note and "no group in the table" in note for note in said)
    assert not any("No run fitted" in note for note in next_runs(fit, one_run("web"), 1e22, group="web").notes)


def test_groups_mean_nothing_where_the_runs_fitted_have_none():
    n = np.geomspace(5e7, 5e8, 12)
    frame = pd.DataFrame({"n_params": n, "tokens": 20 * n, "loss": 3.0, "run": [f"r{i}" for i in range(12)]})
    problem = assemble(load_card("chinchilla"), Runs.from_frame(frame))
    z = 0.1 * np.random.default_rng(0).standard_normal((1, 50, problem.layout.dim))
    fit = Fit(load_card("chinchilla"), problem, z, {}, {"seed": 0})
    surfaces = {}
    candidates(fit, one_run("law", "math"), surfaces)
    assert list(surfaces) == [None]


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_of_one_run_has_nothing_to_do_with_the_optimum(fit, seed):
    draws = plan(fit, 1e22, group="code", seed=seed).draws
    assert abs(correlation(np.log(draws["n_params"]), np.log(draws["loss_observed"] / draws["loss"]))) < NOISE


def test_outcomes_are_not_the_deviations_again(fit):
    """One candidate whose deviations are what a seed draws first: were its noise the same, it would tell too much."""
    same, other = [], []
    for seed in range(8):
        surface = Surface(fit, "code", seed=seed)
        runs = candidates(fit, one_run("code"), {"code": surface})
        # a budget's own deviation is what there is to find out
        surface._cache[1.0, ""] = surface._at_reference(1.0, "code @ 1e+20")
        one = waste(surface, SIX_N, Limits(), 1e22)
        same.append(saving(one, runs, [0], seed) / one.now[1])
        other.append(saving(one, runs, [0], seed + 1000) / one.now[1])
    assert np.mean(same) == pytest.approx(np.mean(other), abs=0.1)


def test_the_frontier_of_a_new_group_is_of_the_plans_seed(fit):
    found = plan(fit, 1e20, seed=3, draws=400)
    lines = [frontier(fit, 1e20, 1e21, seed=s, draws=400, points=2) for s in (3, 0)]
    same, other = (line["n_params_median"][0] for line in lines)
    assert same == pytest.approx(found.frame.loc["n_params", "median"], rel=1e-6)
    assert other != pytest.approx(same, rel=1e-3)
