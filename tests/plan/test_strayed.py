"""Plans by the law and its misfit together: where the two agree with the law alone, and where each is pinned."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from bayeslaw.data.units import human
from bayeslaw.errors import PlanError
from bayeslaw.plan import plan, strayed
from bayeslaw.plan.candidates import candidates
from bayeslaw.plan.costs import cost_of
from bayeslaw.plan.limits import Limits
from bayeslaw.plan.misfit import Held, Misfit, Places
from bayeslaw.plan.surface import Surface
from bayeslaw.plan.value import saving, waste


def asked(**columns):
    return pd.DataFrame({"run": ["far", "near"], "n_params": [6e7, 2e9], "tokens": [6e8, 4e10], **columns})


def both(fit, misfit, flops, limits=None, draws=200, table=None):
    """Held, and waste of the law under a misfit and of the two together."""
    held = Held(fit, misfit, draws)
    surface = Surface(fit, z=held.z)
    cost, bound = cost_of(surface), limits or Limits()
    runs = candidates(fit, asked() if table is None else table, {None: surface}, draws, held.z)
    told, strays = strayed.waste(held, surface, cost, bound, flops, strayed.places_of_runs(held, runs))
    drawn = dataclasses.replace(runs, log_loss=runs.log_loss + strays)
    return held, waste(surface, cost, bound, flops), told, drawn, runs


def test_the_lowest_point_of_a_parabola_lies_between_the_grids():
    log_n = np.linspace(0.0, 3.0, 7) + np.zeros((2, 1))
    centre, least = np.array([[1.1, 2.3], [0.55, 1.9]]), np.array([[0.5, 0.2], [3.0, -1.0]])
    at, value = strayed.lowest(log_n, least[..., None] + 0.3 * (log_n - centre[..., None]) ** 2)
    assert np.allclose(at, centre)
    assert np.allclose(value, least)
    coarse, above = strayed.lowest(log_n, least[..., None] + 0.3 * (log_n - centre[..., None]) ** 2, between=False)
    assert np.allclose(coarse, [[1.0, 2.5], [0.5, 2.0]])
    assert (above > least).all()
    # at an end, and beside a size that cannot be paid for, the point itself
    ends = np.array([[[1.0, 2.0, 3.0], [np.inf, 1.0, 2.0], [np.inf, np.inf, np.inf]]])
    at, value = strayed.lowest(np.tile([0.0, 1.0, 2.0], (3, 1)), ends)
    assert np.allclose(at[0, :2], [0.0, 1.0])
    assert np.allclose(value, [[1.0, 1.0, np.inf]])


@pytest.mark.parametrize("options", [{}, {"max_params": 6e8}, {"inference_tokens": 2e11}])
def test_a_misfit_of_next_to_nothing_is_the_law_itself(made_fit, options):
    fit = made_fit(spread=0.1)
    _, law, told, drawn, runs = both(fit, Misfit(1e-5, 4.6), 1e22, Limits(**options))
    assert told.now[1] == pytest.approx(law.now[1], abs=3e-4)
    assert told.sizes[told.now[0]] == pytest.approx(law.sizes[law.now[0]], rel=0.1)
    assert np.allclose(told.log_n, law.log_n, atol=0.02)
    assert np.allclose(drawn.log_loss, runs.log_loss, atol=1e-3)


def test_a_list_of_sizes_is_kept_to(made_fit):
    sizes = (1e9, 2e9, 4e9, 8e9)
    _, law, told, *_ = both(made_fit(spread=0.1), Misfit(1e-5, 4.6), 1e22, Limits(sizes=sizes))
    assert np.allclose(told.sizes, sizes)
    # few sizes make a frontier of corners, tabulated at half as many budgets
    assert np.allclose(told.wasted, law.wasted, atol=0.03)
    assert set(np.round(np.exp(told.log_n) / 1e9, 6)) <= {1.0, 2.0, 4.0, 8.0}


def sweep(fit_of, law_of, draws=200):
    """A fit of dense sweeps at five budgets, whose runs lie on the law to half a per cent."""
    budget, ratio = np.meshgrid(np.geomspace(1e18, 1e20, 5), np.geomspace(0.25, 4, 9), indexing="ij")
    n = (ratio * 0.09 * np.sqrt(budget)).ravel()
    frame = pd.DataFrame({"n_params": n, "tokens": budget.ravel() / 6 / n})
    return fit_of(frame.assign(loss=law_of(frame)), draws)


def test_amid_the_runs_little_is_open_though_the_law_is(fit_of, law_of):
    """The misfit sets the law's coefficients free; what is trained stays where the runs pin it, and not far beyond."""
    fit = sweep(fit_of, law_of)
    _, law, amid, *_ = both(fit, Misfit(), 3e19)
    assert amid.now[1] < 0.5 * law.now[1]
    assert np.std(amid.log_n) < 0.7 * np.std(law.log_n)
    beyond = both(fit, Misfit(), 1e22)[2]
    assert beyond.now[1] > 5 * amid.now[1]
    for one in (amid, beyond):
        assert (one.wasted >= 0).all()
        assert (one.wasted <= 1).all()


def test_candidates_and_the_best_size_stray_together(fit_of, law_of):
    """Of two pilots beyond the runs, one smaller and one larger than best, each tells which way that strays."""
    table = pd.DataFrame({"run": ["small", "large"], "n_params": [1e9, 8e9], "flops": [4e21, 4e21]})
    held, _, told, drawn, runs = both(sweep(fit_of, law_of, 400), Misfit(), 4e21, draws=400, table=table)
    mean, covariance = held.beyond(Places.of(runs.frame, held.group(None)))
    left = drawn.log_loss - runs.log_loss - mean
    # a variance of 400 draws is known to 7 %
    assert np.allclose(left.var(axis=0) / np.diag(covariance), 1, atol=0.25)
    small, large = (np.corrcoef(drawn.log_loss[:, i], told.log_n)[0, 1] for i in (0, 1))
    assert small > large
    assert saving(told, drawn, [0, 1], times=16) > 0.05 * told.now[1]


def test_loops_are_compared_under_the_misfit(made_fit):
    fit = made_fit("looped-total", looped=True)
    table = asked(recurrence=[1.0, 4.0])
    _, law, told, *_ = both(fit, Misfit(1e-5, 4.6), 1e21, table=table)
    assert told.now[1] == pytest.approx(law.now[1], abs=2e-3)
    _, _, wide, drawn, _ = both(fit, Misfit(), 1e21, table=table)
    assert np.isfinite(drawn.log_loss).all()
    assert wide.now[1] > told.now[1]


def test_a_plan_tells_what_a_misfit_leaves(fit_of, law_of):
    fit = sweep(fit_of, law_of)
    alone, told = plan(fit, 3e20), plan(fit, 3e20, misfit=Misfit())
    assert told.frame.equals(alone.frame)
    assert any("take the law to hold everywhere" in note for note in alone.notes)
    assert not any("hold everywhere" in note for note in told.notes)
    held = Held(fit, Misfit(), 200)
    surface = Surface(fit, z=held.z)
    found, none = strayed.waste(held, surface, cost_of(surface), Limits(), 3e20)
    assert none.shape == (200, 0)
    low, high = (human(v) for v in np.exp(np.quantile(found.log_n, [0.05, 0.95])))
    assert alone.strayed is None
    assert told.strayed.least <= told.strayed.wasted
    said = [note for note in told.notes if "(misfit)" in note]
    assert len(said) == 1
    assert "by 8% over a factor of 99" in said[0]
    assert f"N* is {low} - {high} (90 %)" in said[0]
    with pytest.raises(PlanError, match="below 10"):
        plan(fit, 3e20, misfit=Misfit(scale=20.0))
