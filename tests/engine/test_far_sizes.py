"""Sizes far from any that was fitted: slopes in log N followed over decades give large numbers, and no NaN."""

import jax
import numpy as np
import pandas as pd
import pytest

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.conditioning import conditioned
from bayeslaw.fit import Fit
from bayeslaw.plan.surface import Surface

#: in sd of its prior, 0.3 per e-fold of N: over ten e-folds the exponent of depth grows by exp(9)
STEEP = 3.0


@pytest.fixture(scope="module")
def fit() -> Fit:
    """Two draws at the prior's centre, one of which has a steep slope of gamma in log N."""
    rows = [(n, t, d) for n in (1e4, 2e4) for t in (1.0, 4.0) for d in (1e6, 2e6, 4e6)]
    frame = pd.DataFrame(rows, columns=["n_params", "recurrence", "tokens"])
    frame["run"] = [f"{n:g}-{t:g}" for n, t in zip(frame["n_params"], frame["recurrence"], strict=True)]
    card = load_card("looped-total")
    problem = assemble(card, bl.Runs.from_frame(frame.assign(loss=2 + 300 / frame["tokens"] ** 0.4)))
    z = np.zeros((1, 2, problem.layout.dim))
    z[0, 1, problem.layout.coordinate_names().index("gamma:slope")] = STEEP
    return Fit(card, problem, z, {})


@pytest.mark.parametrize("given", [False, True])
def test_forecasts_at_far_sizes_are_numbers(fit, given):
    at = pd.DataFrame({"run": list("abc"), "n_params": 2e9, "recurrence": [1.0, 4.0, 16.0], "tokens": 4e6})
    known = bl.Runs.from_frame(at.assign(tokens=1e6, loss=3.0)) if given else None
    with jax.enable_x64(True):
        asked = bl.Runs.from_frame(at, need_loss=False)
        curve, observed, _, _ = conditioned(fit.problem, fit.z[0], asked, known, {}, np.random.default_rng(0))
    assert np.isfinite(curve).all()
    assert np.isfinite(observed).all()
    if not given:
        # below the reference's depth a steep exponent costs much, beyond it nothing is left to gain
        assert curve[1, 0] > 10 * curve[0, 0]
        assert curve[1, 2] < curve[0, 2]


def test_a_plans_surface_at_far_sizes_is_of_numbers(fit):
    surface = Surface(fit)
    for recurrence in (1.0, 4.0):
        assert np.isfinite(surface.loss(np.geomspace(1e4, 2e10, 5), 1e10, recurrence)).all()
