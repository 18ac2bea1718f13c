"""The clock as a parameter: a cubic through sums at four powers of the rate stands for the sums at any of them."""

from __future__ import annotations

import jax
import numpy as np
import pandas as pd
import pytest

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.clock import COUNTED, SUMS, at_clock, weights
from bayeslaw.laws import Schedule

STEPS = np.arange(2200, 24001, 200)
SCHEDULES = {
    "cosine": Schedule.cosine(3e-4, 24_000, 2_000),
    "wsd": Schedule.wsd(3e-4, 24_000, 2_000),
    "high": Schedule.wsd(3e-3, 24_000, 2_000),
}


@pytest.fixture(scope="module")
def runs():
    loss = 3.0 + 5 * STEPS**-0.5 - 1e-6 * STEPS
    each = [pd.DataFrame({"run": name, "n_params": 1e8, "step": STEPS, "loss": loss}) for name in SCHEDULES]
    return bl.Runs.from_frame(pd.concat(each, ignore_index=True))


def rows_at(clock, runs):
    card = load_card({"extends": "multi-power", "name": "mine", "schedule": {"clock": clock, "reason": "test"}})
    return assemble(card, runs, SCHEDULES)


@pytest.mark.parametrize("clock", [0.66, 0.8, 0.9, 1.0, 1.14])
def test_sums_follow_the_clock(runs, clock):
    problem, fixed = rows_at("normal(0.9, 0.1)", runs), rows_at(clock, runs).data["rows"]
    with jax.enable_x64(True):
        moved = at_clock(problem.data["rows"], clock, problem.data["ref"])
    mask = fixed["mask"]
    for name in SUMS:
        np.testing.assert_allclose(moved["x"][name][mask], fixed["x"][name][mask], rtol=1e-3)
    for one, other in zip(moved["blocks"], fixed["blocks"], strict=True):
        for name in COUNTED:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-3)
        assert all(np.array_equal(one[k], other[k]) for k in other if k not in COUNTED)


def test_weights_are_those_of_a_cubic():
    ref = {"clock": 0.9, "clock_sd": 0.1}
    with jax.enable_x64(True):
        w = np.asarray(weights(1.03, ref))
        assert w.sum() == pytest.approx(1)
        at = 0.9 + 0.1 * np.array([-2.4, -1.0, 1.0, 2.4])
        assert w @ (at**3 - 2 * at) == pytest.approx(1.03**3 - 2 * 1.03)
        np.testing.assert_allclose(np.asarray(weights(at[2], ref)), [0, 0, 1, 0], atol=1e-12)


def test_a_fixed_clock_is_no_parameter(runs):
    free, fixed = rows_at("normal(0.9, 0.1)", runs), rows_at(0.9, runs)
    names = free.layout.coordinate_names()
    assert [n for n in names if n not in fixed.layout.coordinate_names()] == ["schedule:clock"]
    where = names.index("schedule:clock")
    assert (free.data["prior"]["loc"][where], free.data["prior"]["scale"][where]) == (0.9, 0.1)
    assert free.data["rows"]["x"]["S1"].shape == (*fixed.data["rows"]["x"]["S1"].shape, 4)
