"""Running runs judged by their ends."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.errors import PlanError
from bayeslaw.plan import rates
from bayeslaw.plan.portfolio import portfolio


@pytest.fixture(scope="module")
def running(truth):
    rng = np.random.default_rng(2)
    steps = np.linspace(1000, 8000, 12).round()
    parts = [truth.curve(f"r{n:.0e}", "c4", n, steps, rng, level=0, noise=0.002) for n in (1e8, 3e8, 1e9)]
    return pd.concat(parts, ignore_index=True)


def test_the_run_that_ends_best_is_kept(toy_fit, running):
    found = portfolio(toy_fit, running, 4e10, rates=rates("h100", price=2.0, devices=8), draws=200)
    frame = found.frame.set_index("run")
    assert frame["p_best"].sum() == pytest.approx(1)
    assert frame["p_best"].idxmax() == "r1e+09"
    assert not frame.loc["r1e+09", "stop"]
    assert frame.loc["r1e+08", "stop"]
    assert frame.loc["r1e+08", "lost"] < frame.loc["r1e+09", "lost"]
    left = 6 * 1e8 * (4e10 - 8000 * 5e5)
    assert frame.loc["r1e+08", "flops_left"] == pytest.approx(left)
    assert frame.loc["r1e+08", "money_left"] == pytest.approx(2 * left / (3600 * 989e12 * 0.4))
    assert found.saved >= left
    assert "stop" in str(found)


def test_bad_input(toy_fit, running):
    with pytest.raises(PlanError, match="beyond its end"):
        portfolio(toy_fit, running, 1e9)
    with pytest.raises(PlanError, match="has no end"):
        portfolio(toy_fit, running, {"r1e+08": 4e10})
    with pytest.raises(PlanError, match="two running runs"):
        portfolio(toy_fit, running[running["run"] == "r1e+08"], 4e10)
    with pytest.raises(PlanError, match="probability"):
        portfolio(toy_fit, running, 4e10, threshold=2)
    with pytest.raises(PlanError, match="tokens"):
        portfolio(toy_fit, running.drop(columns="tokens"), 4e10)
