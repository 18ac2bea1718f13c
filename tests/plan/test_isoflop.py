"""IsoFLOP profiles and the published approaches, on surfaces that are known."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.data.runs import Runs
from bayeslaw.errors import PlanError
from bayeslaw.plan.approaches import compare, parabola_bias
from bayeslaw.plan.isoflop import bottom, frontier, parabola_bottoms, profiles, sweeps
from bayeslaw.plan.parametric import Surface3, huber_fit

TRUTH = Surface3(1.8, 480.0, 2100.0, 0.35, 0.37)


def sweep(noise=0.0, seed=0):
    rows = []
    for flops in (1e19, 1e20, 1e21, 1e22):
        for n in TRUTH.n_star(flops) * np.geomspace(0.25, 4, 9):
            rows.append({"flops": flops, "n_params": n, "tokens": flops / 6 / n})
    frame = pd.DataFrame(rows)
    rng = np.random.default_rng(seed)
    frame["loss"] = TRUTH.loss(frame["n_params"], frame["tokens"]) * np.exp(noise * rng.standard_normal(len(frame)))
    return frame.assign(run=[f"r{i}" for i in range(len(frame))])


def test_profiles_are_found_and_sorted():
    frame = sweep().sample(frac=1, random_state=3)
    found = profiles(Runs.from_frame(frame))
    assert [p.flops for p in found] == [1e19, 1e20, 1e21, 1e22]
    assert all(len(p.loss) == 9 and (np.diff(p.n_params) > 0).all() for p in found)
    assert len(profiles(frame.drop(columns="flops"))) == 4
    with pytest.raises(PlanError, match="tokens"):
        profiles(frame.drop(columns="tokens"))
    with pytest.raises(PlanError, match="budget"):
        profiles(frame.groupby("flops").head(1))


def test_profiles_are_of_one_group():
    """Two corpora at the same budgets: their runs together have a bottom that is neither's."""
    one = sweep().assign(group="web")
    other = one.assign(group="code", loss=one["loss"] + 1, run="c" + one["run"], n_params=one["n_params"] * 3)
    both = pd.concat([one, other], ignore_index=True)
    for runs in (both, Runs.from_frame(both)):
        with pytest.raises(PlanError, match=r"2 groups.*group=: 'web', 'code'"):
            profiles(runs)
        with pytest.raises(PlanError, match=r"no group 'wbe'.*'web'"):
            profiles(runs, "wbe")
        assert [len(p.loss) for p in profiles(runs, "web")] == [9] * 4
    with pytest.raises(PlanError, match="no groups"):
        profiles(sweep(), "web")
    assert (sweeps(both, "web"), sweeps(both), sweeps(both.groupby(["group", "flops"]).head(3))) == (4, 8, 0)


def test_the_bottom_of_an_exact_parabola():
    x = np.geomspace(1e8, 1e9, 6)
    assert bottom(x, 2 + 0.3 * np.log(x / 3.7e8) ** 2) == pytest.approx(3.7e8)
    assert np.isnan(bottom(x, 2 - 0.3 * np.log(x / 3.7e8) ** 2))
    assert np.isnan(bottom(x[:3], x[:3]))


def test_approaches_find_a_symmetric_grids_frontier():
    parts = profiles(sweep(0.0005))
    true = TRUTH.beta / (TRUTH.alpha + TRUTH.beta)
    for how, tolerance in (("parabola", 0.01), ("best", 0.04)):
        line = frontier(parts, how, times=200)
        assert line.slope == pytest.approx(true, abs=tolerance)
        value, draws = line.at(1e21)
        assert np.quantile(draws, 0.02) < value < np.quantile(draws, 0.98)
    star, draws = parabola_bottoms(parts[1], 300)
    assert np.nanquantile(draws, 0.05) < star < np.nanquantile(draws, 0.95)


def test_approach_3_finds_the_surface():
    frame = sweep()
    # off the frontier too, else A and alpha cannot be told apart
    found = huber_fit(*(frame[c].to_numpy() for c in ("n_params", "tokens", "loss")))
    for name in ("E", "alpha", "beta"):
        assert getattr(found, name) == pytest.approx(getattr(TRUTH, name), rel=0.01)
    assert found.n_star(1e24) == pytest.approx(TRUTH.n_star(1e24), rel=0.02)


def test_side_by_side(made_fit):
    fit, runs = made_fit(), Runs.from_frame(sweep(0.001))
    table = compare(runs, fit, 1e23, times=10)
    assert len(table) == 4
    assert (table["a_lo90"] <= table["a_hi90"]).all()
    assert np.allclose(table["a"] + table["b"], 1, atol=0.03)
    bias = parabola_bias(runs, fit, 1e25)
    assert len(bias) == 5
    assert (bias["loss"] >= -1e-12).all()
    assert np.isfinite(bias["ratio"]).all()
