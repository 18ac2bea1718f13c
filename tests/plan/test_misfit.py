"""The misfit about a law: kriging against Gaussian conditioning, honest doubt far off, and what it does to choices."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.cards import load_card
from bayeslaw.data.runs import Runs
from bayeslaw.engine.assemble import assemble
from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit
from bayeslaw.plan.candidates import candidates
from bayeslaw.plan.design import Joint
from bayeslaw.plan.misfit import Held, Misfit, Places
from bayeslaw.plan.next_runs import next_runs
from bayeslaw.plan.surface import Surface


def grid():
    n, per = np.meshgrid(np.geomspace(1e7, 1e9, 5), [5.0, 20.0, 80.0], indexing="ij")
    return pd.DataFrame({"n_params": n.ravel(), "tokens": (n * per).ravel()})


def test_matern_against_its_formula_and_groups_apart():
    places = Places(np.array([[0.0, 0, 0], [3.0, 4.0, 0], [0, 0, 0]]), np.array(["a", "a", "b"], object))
    k = Misfit(0.1, 2.0).covariance(places, places)
    r = np.sqrt(5) * 5 / 2
    assert np.allclose(np.diag(k), 0.01)
    assert k[0, 1] == pytest.approx(0.01 * (1 + r + r**2 / 3) * np.exp(-r))
    assert k[0, 2] == 0
    with pytest.raises(PlanError, match="above 0"):
        Misfit(scale=0.0)
    with pytest.raises(PlanError, match="above 0"):
        Misfit(length=np.nan)
    with pytest.raises(PlanError, match=r"below 10 .* got scale 50\.0"):
        Misfit(scale=50.0)


@pytest.mark.parametrize("misfit", [Misfit(), None])
def test_a_law_that_knows_no_sizes_is_refused_before_its_misfit_is_asked(misfit):
    x = np.geomspace(1e8, 1e10, 40)
    frame = pd.DataFrame({"run": "a", "tokens": x, "loss": 2 + 2000 / x**0.4})
    card = load_card("power-law")
    problem = assemble(card, Runs.from_frame(frame))
    fit = Fit(card, problem, np.zeros((1, 50, problem.layout.dim)), {}, {"seed": 0})
    with pytest.raises(PlanError, match="power-law cannot be planned with"):
        next_runs(fit, grid(), 1e22, misfit=misfit)
    with pytest.raises(PlanError, match="power-law cannot be planned with"):
        Held(fit, Misfit())


def test_beyond_is_gaussian_conditioning_on_each_draws_residuals(fit_of, law_of):
    frame = grid()
    frame["loss"] = law_of(frame)
    held = Held(fit_of(frame), Misfit(0.05, 3.0), 200)
    asked = Places.of(pd.DataFrame({"n_params": [3e9, 2e7], "tokens": [6e10, 3e8]}))
    mean, covariance = held.beyond(asked)
    surface = Surface(held_fit := fit_of(frame), z=held.z)
    n, d = (frame[c].to_numpy()[None, :] for c in ("n_params", "tokens"))
    left = np.log(frame["loss"].to_numpy()) - np.log(surface.loss(n, d))
    # joint of the surface at what is asked and at the runs, conditioned in the precision form
    every = Places(np.vstack([asked.at, held.seen.at]), np.full(17, held.seen.group[0], object))
    prior = Misfit(0.05, 3.0).covariance(every, every)
    seen = np.zeros(17)
    # weights of a Student-t of 200 degrees of freedom lie within a few percent of 1
    seen[2:] = 1 / 0.005**2
    posterior = np.linalg.inv(np.linalg.inv(prior) + np.diag(seen))
    assert held_fit.problem.layout.likelihood == "points"
    assert np.allclose(covariance, posterior[:2, :2], rtol=0.03, atol=2e-6)
    expected = left @ (posterior[:2, 2:] @ np.diag(seen[2:])).T
    assert np.allclose(mean, expected, atol=0.002)


def test_doubt_far_off_is_as_large_as_the_errors_are(fit_of, law_of):
    """Losses drawn from the model: errors in units of what is said of them have mean square 1, else far more."""
    rng = np.random.default_rng(3)
    frame, target = grid(), pd.DataFrame({"n_params": [7e9], "tokens": [1.4e11]})
    misfit = Misfit(0.05, 3.0)
    both = Places.of(pd.concat([frame, target]))
    n, d = np.exp(both.at[:, 0]), np.exp(both.at[:, 1])
    root = np.linalg.cholesky(misfit.covariance(both, both) + 1e-10 * np.eye(16))
    square, naive = [], []
    blank = fit_of(frame.assign(loss=law_of(frame)))
    while len(square) < 80:
        z = np.where(np.arange(blank.problem.layout.dim) < 5, rng.standard_normal((1, 9)), 0.0)
        y = np.log(Surface(blank, z=z).loss(n, d))[0] + root @ rng.standard_normal(16)
        loss = np.exp(y[:-1] + 0.005 * rng.standard_normal(15))
        # such losses are refused as none: the prior seldom goes there
        if loss.max() > 14:
            continue
        fit = fit_of(frame.assign(loss=loss))
        for one, out in ((misfit, square), (Misfit(0.001, 3.0), naive)):
            held = Held(fit, one, 300)
            mean, left = held.beyond(Places.of(target))
            draws = np.log(Surface(fit, z=held.z).loss(target["n_params"][0], target["tokens"][0])) + mean
            out.append(float((y[-1] - draws.mean()) ** 2 / (draws.var() + left[0, 0])))
    # 80 squares of standard normals: mean 1 with a standard error of 0.16
    assert 0.55 < np.mean(square) < 1.6
    assert np.mean(naive) > 5


def test_runs_near_the_target_tell_more_of_it_than_cheap_ones_far_off(fit_of, law_of):
    frame = grid()
    fit = fit_of(frame.assign(loss=law_of(frame)))
    asked = pd.DataFrame({"run": ["far", "near"], "n_params": [1.5e7, 2e9], "tokens": [3e8, 4e10]})
    wide, short = (
        next_runs(fit, asked, 1e23, by="variance", budget=1e22, misfit=m).frame["reduction"]
        for m in (Misfit(), Misfit(length=2.3))
    )
    assert wide[1] > 0.05
    assert wide[1] > 100 * wide[0]
    assert short[1] < wide[1]
    # every draw of this fit is the same: a law that holds everywhere leaves nothing to find out
    assert next_runs(fit, asked, 1e23, by="variance", budget=1e22, misfit=None).reduction == 0


def test_joint_moments_hold_the_misfit():
    rng = np.random.default_rng(0)
    t, f = rng.standard_normal((300, 1)), rng.standard_normal((300, 2))
    extra = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 1.0]])
    plain, more = Joint.of(t, f, np.eye(2)), Joint.of(t, f, np.eye(2), extra)
    assert np.allclose(more.target - plain.target, extra[:1, :1])
    assert np.allclose(more.cross - plain.cross, extra[:1, 1:])
    assert np.allclose(more.candidates - plain.candidates, extra[1:, 1:])
    assert np.allclose(more.noise, np.eye(2))


@pytest.mark.parametrize("by", ["reduction", "information"])
def test_rank_one_steps_choose_what_the_scores_choose(by):
    rng = np.random.default_rng(7)
    mix = rng.standard_normal((6, 9))
    cov, noise = mix.T @ mix, np.diag(rng.uniform(0.5, 2, 7)) + 0.2
    joint = Joint(cov[:2, :2], cov[:2, 2:], cov[2:, 2:], noise)
    cost = rng.uniform(1, 5, 7)
    from bayeslaw.plan.design import greedy

    for budget in (0.5, 3.0, 7.0, 12.0):
        found = joint.within(cost, budget, by)
        assert cost[found].sum() <= budget
        assert found == greedy(getattr(joint, by), cost, budget)


def test_a_fit_over_groups_keeps_their_surfaces_apart(made_fit):
    fit = made_fit(groups=("code", "web"))
    held = Held(fit, Misfit(), 100)
    assert held.z.shape == (100, fit.problem.layout.dim)
    assert held.group("web") == "web"
    assert held.group(None) not in ("code", "web")
    web = candidates(fit, pd.DataFrame({"n_params": [1e9], "tokens": [2e10]}), draws=100, z=held.z)
    mean, covariance = held.beyond(Places.of(web.frame, held.group(None)))
    assert np.allclose(mean, 0)
    assert covariance[0, 0] == pytest.approx(0.08**2)
    assert held.beyond(Places.of(web.frame, "web"))[1][0, 0] < 0.02**2


@pytest.mark.parametrize("card", ["looped-total", "iso-depth", "isoflop", "chinchilla-interaction"])
def test_every_card_that_can_be_planned_with_has_a_misfit(made_fit, card):
    looped = card in ("looped-total", "iso-depth")
    fit = made_fit(card, looped=looped)
    held = Held(fit, Misfit(), 60)
    assert np.isfinite(held.z).all()
    assert held.group(None) == "web"
    # at a fitted run little is left to know; far from all of them the surface is what it was
    at = held.seen.at
    places = Places(np.vstack([at[:1], at[:1] + 40.0]), np.array(["web", "web"], object))
    variance = np.diag(held.beyond(places)[1])
    assert variance[0] < 0.02**2
    assert variance[1] == pytest.approx(0.08**2, rel=1e-3)


def test_a_fit_of_curves_has_its_misfit_at_their_ends(law_of):
    steps = np.tile(np.geomspace(1e9, 4e10, 30), 4)
    frame = pd.DataFrame({"run": np.repeat(list("abcd"), 30), "n_params": np.repeat([1e8, 2e8, 4e8, 8e8], 30)})
    frame["tokens"] = steps
    frame["loss"] = law_of(frame)
    problem = assemble(load_card("chinchilla"), Runs.from_frame(frame))
    fit = Fit(load_card("chinchilla"), problem, np.zeros((1, 50, problem.layout.dim)), {}, {"seed": 0})
    held = Held(fit, Misfit(), 50)
    assert np.exp(held.seen.at[:, 0]) == pytest.approx([1e8, 2e8, 4e8, 8e8])
    assert np.exp(held.seen.at[:, 1]) == pytest.approx([4e10] * 4, rel=0.2)
