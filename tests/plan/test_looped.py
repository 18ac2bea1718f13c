"""Loops against parameters, where the answer is known from the law."""

from dataclasses import replace

import numpy as np
import pytest

from bayeslaw.errors import PlanError
from bayeslaw.plan.looped import trade_off
from bayeslaw.plan.surface import Surface


@pytest.fixture(scope="module")
def fit(made_fit):
    return made_fit("iso-depth", looped=True)


def test_equal_parameters_loops_cost_tokens(fit):
    found = trade_off(fit, 1e22, equal="parameters", n_params=1e9).frame
    assert (found["n_params"] == 1e9).all()
    share = {1: 0.0, 2: 0.5, 4: 0.5}
    for row in found.itertuples():
        f = share[int(row.recurrence)]
        assert row.tokens == pytest.approx(1e22 / 6 / 1e9 / (1 - f + f * row.recurrence))


def test_runs_that_never_loop_tell_the_share_that_would(fit):
    bins = fit.problem.bins.assign(recurrence=1.0, n_params_once=7e7, n_params_recurrent=3e7)
    assert Surface(replace(fit, problem=replace(fit.problem, bins=bins))).share(4.0) == pytest.approx(0.3)


def test_equal_inference_loops_are_smaller_and_see_as_much(fit):
    found = trade_off(fit, 1e22, equal="inference", n_params=1e9).frame
    assert np.allclose(found["tokens"], found["tokens"][0])
    assert found["n_params"].is_monotonic_decreasing
    # phi below 1: a loop is worth less than the layers that it costs as much as
    assert found["p_beats_plain"].iloc[-1] == 0


def test_equal_training_compute(fit):
    found = trade_off(fit, 1e22)
    assert found.frame["p_best"].sum() == pytest.approx(1)
    assert found.p_looped == pytest.approx(1 - found.frame["p_best"].iloc[0])
    assert "beats r = 1" in str(found)
    # with much budget for few parameters, loops win: parameters are what lacks
    tight = trade_off(fit, 1e24, equal="parameters", n_params=1e8)
    assert tight.p_looped > 0.9


def test_what_cannot_be_compared(fit, made_fit):
    with pytest.raises(PlanError, match="knows no recurrence"):
        trade_off(made_fit(), 1e22)
    with pytest.raises(PlanError, match="training, inference"):
        trade_off(fit, 1e22, equal="luck")
    with pytest.raises(PlanError, match="only recurrence"):
        trade_off(fit, 1e22, limits={"recurrences": (2,)})
