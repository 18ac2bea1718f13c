"""Optima against each other and against brute force."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from bayeslaw.cards import load_card
from bayeslaw.errors import PlanError
from bayeslaw.plan.costs import SIX_N, Cost, cost_of, measured_cost
from bayeslaw.plan.limits import Limits
from bayeslaw.plan.optimum import closed_form, loss_at, numerical, optimum
from bayeslaw.plan.surface import Surface


def test_coefficients_are_the_posteriors(made_fit):
    fit = made_fit()
    found, posterior = Surface(fit).coefficients(), fit.posterior
    for name in ("E", "A", "B", "alpha", "beta"):
        assert np.allclose(found[name][:, 0], posterior[name].to_numpy()[0], rtol=1e-9), name


def test_a_groups_coefficients_are_the_posteriors(made_fit):
    fit = made_fit(groups=("books", "code", "web"))
    found, posterior = Surface(fit, "code").coefficients(), fit.posterior
    for name in ("E", "A", "B", "alpha", "beta"):
        assert np.allclose(found[name][:, 0], posterior[f"{name}_group"].sel(group="code").to_numpy()[0], rtol=1e-9), (
            name
        )


def test_a_loops_coefficients_are_the_posteriors(made_fit):
    fit = made_fit("looped-total", looped=True)
    surface, posterior = Surface(fit), fit.posterior
    for r in (1.0, 2.0, 4.0):
        for name in ("A", "B"):
            other = posterior[f"{name}_recurrence"].sel(recurrence=r).to_numpy()[0]
            assert np.allclose(surface.coefficients(r)[name][:, 0], other, rtol=1e-9), (name, r)


@pytest.mark.parametrize("card", ["chinchilla", "chinchilla-interaction", "iso-depth"])
@pytest.mark.parametrize("flops", [1e21, 5.76e23, 1e25])
@pytest.mark.parametrize("cost", [SIX_N, Cost(lambda u: 3.1 * np.asarray(u) ** 1.07, (3.1, 1.07), "")])
def test_closed_form_is_the_numerical_optimum_of_every_draw(made_fit, card, flops, cost):
    surface = Surface(made_fit(card, looped=card == "iso-depth"))
    r = 2.0 if card == "iso-depth" else 1.0
    exact = closed_form(surface, cost, flops, r)
    found, edge = numerical(surface, cost, Limits(), flops, r)
    assert not edge.any()
    assert np.abs(found / exact - 1).max() < 1e-4


@pytest.mark.parametrize("flops", [1e19, 1e21, 5.76e23])
def test_isoflops_optimum_is_the_numerical_one_where_a_token_costs_a_multiple_of_n(made_fit, flops):
    surface, cost = Surface(made_fit("isoflop")), Cost(lambda u: 5.1 * np.asarray(u), (5.1, 1.0), "")
    exact = closed_form(surface, cost, flops)
    found, edge = numerical(surface, cost, Limits(), flops, 1.0)
    assert not edge.any()
    assert np.abs(found / exact - 1).max() < 1e-4
    assert closed_form(surface, Cost(lambda u: 3.1 * np.asarray(u) ** 1.07, (3.1, 1.07), ""), flops) is None


@pytest.mark.parametrize("limits", [Limits(max_tokens=2e11), Limits(inference_tokens=1e12), Limits(max_params=1e9)])
def test_limits_against_brute_force(made_fit, limits):
    surface, flops = Surface(made_fit(draws=20)), 1e22
    best = optimum(surface, SIX_N, flops, limits)
    sizes = np.geomspace(1e7, min(1e11, limits.largest), 20_001)
    brute = loss_at(surface, SIX_N, limits, flops, sizes[None, :], 1.0)
    assert np.abs(best.loss - brute.min(axis=1)).max() < 5e-6
    assert np.abs(np.log(best.n_params / sizes[brute.argmin(axis=1)])).max() < 2e-3
    if limits.max_tokens:
        assert best.tokens.max() <= limits.max_tokens * (1 + 1e-9)
    spent = 6 * best.n_params * best.tokens + 2 * best.n_params * limits.inference_tokens
    assert (spent <= flops * (1 + 1e-9)).all()


def test_serving_makes_for_smaller_models(made_fit):
    surface = Surface(made_fit())
    plain = optimum(surface, SIX_N, 1e22)
    served = optimum(surface, SIX_N, 1e22, Limits(inference_tokens=1e12))
    assert (served.n_params < plain.n_params).all()
    with pytest.raises(PlanError, match="serving"):
        optimum(surface, SIX_N, 1e12, Limits(inference_tokens=1e12))


def test_sizes_from_a_list_and_memory(made_fit):
    surface = Surface(made_fit())
    assert set(optimum(surface, SIX_N, 1e22, Limits(sizes=[1e9, 7e9, 70e9])).n_params) <= {1e9, 7e9, 70e9}
    assert optimum(surface, SIX_N, 1e25, Limits(memory=80e9, bytes_per_param=2)).n_params.max() <= 40e9 * (1 + 1e-9)
    with pytest.raises(PlanError, match="None of the sizes"):
        optimum(surface, SIX_N, 1e22, Limits(sizes=[7e10], max_params=1e9))


def test_a_recurrence_is_the_best_of_those_allowed(made_fit):
    surface = Surface(made_fit("looped-total", looped=True))
    cost = cost_of(surface)
    best = optimum(surface, cost, 1e21)
    each = [optimum(surface, cost, 1e21, Limits(recurrences=(r,))).loss for r in (1, 2, 4)]
    assert np.allclose(best.loss, np.min(each, axis=0))
    assert optimum(surface, cost, 1e21, Limits(max_recurrence=2)).recurrence.max() <= 2
    with pytest.raises(PlanError, match="no recurrence"):
        optimum(surface, cost, 1e21, Limits(max_recurrence=0.5))
    with pytest.raises(PlanError, match="knows no recurrence"):
        optimum(Surface(made_fit()), SIX_N, 1e21, Limits(recurrences=(1, 2)))


def test_a_group_has_its_own_measured_cost(made_fit):
    def ratio(frame):
        return np.where(frame["group"] == "code", 0.5 * (frame["n_params"] / 5e8) ** 0.1, 1.0)

    fit = made_fit(groups=("code", "web"), flops_ratio=ratio)
    code, web = cost_of(Surface(fit, "code")), cost_of(Surface(fit, "web"))
    assert web is SIX_N
    n = np.geomspace(6e7, 4e9, 9)
    assert np.allclose(code.per_token(n), 3 * n * (n / 5e8) ** 0.1, rtol=2e-3)
    assert cost_of(Surface(fit, "code"), "6ND") is SIX_N
    with pytest.raises(PlanError, match="6ND"):
        cost_of(Surface(fit), "guess")


def test_a_law_of_schedules_cannot_be_planned_with(made_fit):
    fit = made_fit()
    problem: Any = type("P", (), {"layout": type("L", (), {"law": "multi-power"}), "levels": {}})
    with pytest.raises(PlanError, match="chinchilla-interaction"):
        Surface(dataclasses.replace(fit, card=load_card("multi-power"), problem=problem))
    with pytest.raises(PlanError, match="no group"):
        Surface(fit, "nowhere")


@pytest.mark.parametrize("card", ["chinchilla", "chinchilla-balanced", "iso-depth", "looped-total", "isoflop"])
def test_coefficients_are_the_fits_own(made_fit, card):
    fit = made_fit(card, looped=card in ("iso-depth", "looped-total"))
    found = Surface(fit).coefficients(2.0)
    alone = [e.symbol for e in fit.problem.layout.entries if not e.levels]
    assert alone
    for symbol in alone:
        np.testing.assert_allclose(found[symbol][:, 0], fit.posterior[symbol].to_numpy().ravel(), rtol=1e-9)


def test_coefficients_of_a_size_follow_the_slopes_of_the_fit(made_fit):
    """Card looped-total lets beta and C move with log N; the engine's own values of every run say how."""
    import jax

    from bayeslaw.engine.params import series_params, values

    fit = made_fit("looped-total", looped=True)
    surface, problem = Surface(fit), fit.problem
    assert surface.sloped
    with jax.enable_x64(True):
        v = values(problem.layout, problem.data["prior"], surface.z[3])
        own = series_params(problem.layout, v, problem.data["rows"], problem.data["ref"])
    for i in (0, len(problem.series) // 2, len(problem.series) - 1):
        run = problem.series.iloc[i]
        found = surface.coefficients(float(run["recurrence"]), n_params=np.array([[run["n_params"]]]))
        for symbol in ("A", "beta", "C"):
            np.testing.assert_allclose(found[symbol][3, 0], own[symbol][i], rtol=1e-9)
    beta = surface.coefficients(2.0, n_params=np.array([[1e8, 1e10]]))["beta"]
    assert (np.ptp(beta, axis=1) > 0).all()
    assert closed_form(surface, SIX_N, 1e21, 2.0) is None


def test_runs_measured_at_one_size_make_every_size_cost_the_same_multiple():
    cost = measured_cost(np.full(5, 1e9), np.full(5, 1e10), np.full(5, 7.5e19))
    assert cost.power == pytest.approx((7.5, 1.0))
    assert cost.per_token(np.array([1e8, 4e9])) == pytest.approx([7.5e8, 3e10])


def test_measured_costs_are_smooth_and_go_on_as_they_were_going():
    """Looped models of 20 effective layers: clusters of four sizes each, whose rest grows with the width."""

    def truth(u):
        return 6 * u * (1 + 7e3 * u**-0.5)

    n = np.concatenate([w * np.array([1.0, 1.016, 1.033, 1.066]) for w in np.geomspace(3.5e7, 1.1e9, 11)])
    widths = np.repeat(np.geomspace(3.5e7, 1.1e9, 11), 4)
    # the rest is that of the width, so that within a cluster the ratio falls faster than between clusters
    cost = measured_cost(n, np.full(len(n), 1e9), (6 * n + 4.2e4 * widths**0.5) * 1e9)
    u = np.geomspace(2.5e7, 1e11, 200)
    assert np.allclose(cost.per_token(u) / truth(u), 1, atol=0.03)
    inside = np.geomspace(3.5e7, 1.1e9, 200)
    assert np.allclose(cost.per_token(inside) / truth(inside), 1, atol=0.02)
    # the cost of one more parameter nowhere jumps: where it does, optima gather
    slope = np.diff(np.log(cost.per_token(np.geomspace(1e7, 1e11, 2000)))) / np.log(1e4) * 1999
    assert (slope > 0).all()
    assert np.abs(np.diff(slope)).max() < 0.01


def test_intervals_of_an_optimum_are_those_of_the_law_not_of_the_cost_curve(made_fit):
    """Sizes measured at 1 % of one another must not pin the optimum between them."""
    surface = Surface(made_fit())
    n = np.concatenate([w * np.array([1.0, 1.016, 1.033, 1.066]) for w in np.geomspace(3e8, 9e9, 11)])
    widths = np.repeat(np.geomspace(3e8, 9e9, 11), 4)
    cost = measured_cost(n, np.full(len(n), 1e9), (6 * n + 6 * 2e4 * widths**0.5) * 1e9)
    exact = Cost(lambda u: 6 * np.asarray(u) + 6 * 2e4 * np.asarray(u) ** 0.5, None, "exact")
    found, true = (np.quantile(np.log(optimum(surface, c, 1e21).n_params), [0.05, 0.5, 0.95]) for c in (cost, exact))
    assert np.allclose(found, true, atol=0.03)
    assert found[2] - found[0] == pytest.approx(true[2] - true[0], rel=0.05)
