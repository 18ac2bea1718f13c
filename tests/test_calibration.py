"""Calibration: the simulation and the density tell one model, the tests of ranks can fail, and the committed pass."""

import dataclasses
import importlib
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
RESULTS = sorted((BENCHMARKS / "calibration").glob("*.csv"))
DRAWS = 99


@pytest.fixture
def bench(monkeypatch):
    """``bench(name)``: a module of the benchmarks folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    # calibration.py sets this where it is not set; that is not for the tests' process
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", ""))
    return importlib.import_module


# --- the simulation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("study", ["curves", "points", "looped"])
def test_simulation_and_density_are_one_model(bench, study):
    """Of pairs drawn from a joint density, ``d log p / d z`` has mean 0 and ``z d log p / d z`` has mean -1."""
    from bayeslaw.engine.density import log_posterior

    simulate, calibration = bench("simulate"), bench("calibration")
    card, problem, held = calibration.prepared(study)
    layout, pairs = problem.layout, []
    for seed in range(400):
        true = simulate.simulate(card, problem, held, np.random.default_rng(seed))
        rows = simulate.with_losses(problem, true.log_y).data["rows"]
        pairs.append((simulate.coordinates(problem, true.slots), rows["log_y"]))
    z, log_y = (np.stack(part) for part in zip(*pairs, strict=True))
    with jax.enable_x64(True):
        data = jax.tree.map(jnp.asarray, problem.data)

        def score(z, log_y, data):
            return jax.grad(lambda z: log_posterior(layout, data | {"rows": data["rows"] | {"log_y": log_y}}, z))(z)

        scores = jax.jit(jax.vmap(score, (0, 0, None)))
        slope = np.asarray(scores(z, log_y, data))
        wrong = {**data, "prior": {**data["prior"], "loc": data["prior"]["loc"] + 0.5 * data["prior"]["scale"]}}
        shifted = np.asarray(scores(z, log_y, wrong))
    for value in (slope, 1 + z * slope):
        assert np.abs(errors(value)).max() < 4.5
    assert np.abs(errors(shifted)).max() > 10, "the check can fail"


def errors(value):
    """Means over the first axis in standard errors."""
    return value.mean(axis=0) / (value.std(axis=0) / np.sqrt(len(value)))


def test_losses_enter_as_if_they_had_been_binned(bench):
    from bayeslaw.engine.assemble import lay_out

    simulate, calibration = bench("simulate"), bench("calibration")
    card, problem, held = calibration.prepared("curves")
    true = simulate.simulate(card, problem, held, np.random.default_rng(0))
    ours = simulate.with_losses(problem, true.log_y)
    theirs = lay_out(card, ours.bins, {}, False, 16, [])
    assert ours.layout == theirs.layout
    for name in ("log_y", "measured", "log_x", "mask"):
        np.testing.assert_allclose(ours.data["rows"][name], theirs.data["rows"][name], rtol=1e-9, atol=1e-12)
    assert ours.reference == pytest.approx(theirs.reference)
    assert np.ptp(true.curve) > 0
    assert (true.curve != true.observed).all()


# --- the tests of ranks ---------------------------------------------------------------------------------------------


def ranks_of(bench, width=1.0, shift=0.0, sets=200, quantities=20):
    """Ranks of normal truths among draws from a normal ``width`` times as wide, moved by ``shift`` sd."""
    rng = np.random.default_rng(5)
    truth = rng.standard_normal((sets, quantities))
    draws = shift + width * rng.standard_normal((DRAWS, sets, quantities))
    return pd.DataFrame((draws < truth).sum(axis=0), columns=[f"q{i}" for i in range(quantities)])


def test_uniform_ranks_pass_and_others_do_not(bench):
    ranks = bench("ranks")
    good = ranks.rank_tests(ranks_of(bench), DRAWS)
    assert (good["p"] > ranks.LEVEL).all()
    assert good["width"].mean() == pytest.approx(1, abs=0.05)
    narrow = ranks.rank_tests(ranks_of(bench, width=0.7), DRAWS)
    assert (narrow["p"] < ranks.LEVEL).mean() > 0.9, "over-confident draws"
    assert (narrow["width"] > 1).all()
    assert ranks.rank_tests(ranks_of(bench, width=1.6), DRAWS)["p"].min() < ranks.LEVEL
    assert ranks.rank_tests(ranks_of(bench, shift=0.4), DRAWS)["p"].min() < ranks.LEVEL


def test_one_bad_quantity_among_good_ones_is_found(bench):
    ranks = bench("ranks")
    table = ranks_of(bench)
    table["q7"] = ranks_of(bench, width=0.6)["q7"]
    found = ranks.rank_tests(table, DRAWS)
    assert found.index[found["p"] < ranks.LEVEL].tolist() == ["q7"]


def test_chi_squared_and_holm_by_hand(bench):
    ranks = bench("ranks")
    rank = np.repeat(np.arange(0, 100, 10), [30, 10, 20, 20, 20, 20, 20, 20, 20, 20])
    assert ranks.chi2_p(rank, DRAWS) == pytest.approx(stats.chi2.sf(10.0, 9))
    np.testing.assert_allclose(ranks.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


def test_ecdf_band_holds_as_often_as_it_says(bench):
    ranks = bench("ranks")
    z, low, high = ranks.ecdf_band(200, DRAWS)
    sample = np.random.default_rng(8).integers(0, DRAWS + 1, (1000, 200))
    below = (sample[:, :, None] <= np.arange(DRAWS)).mean(axis=1) - z
    inside = ((below >= low) & (below <= high)).all(axis=1).mean()
    assert inside == pytest.approx(0.95, abs=0.025)
    # and the p-value agrees with the band
    p = np.array([ranks.ecdf_p(one, DRAWS) for one in sample[:200]])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.05)


def test_coverage_of_uniform_ranks(bench):
    ranks = bench("ranks")
    assert ranks.coverage(np.arange(DRAWS + 1), DRAWS, 0.9) == pytest.approx(0.9)
    assert ranks.coverage(np.arange(DRAWS + 1), DRAWS, 0.5) == pytest.approx(0.5)


# --- the committed results ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_committed_results_are_uniform(bench, path):
    ranks, calibration = bench("ranks"), bench("calibration")
    kept = json.loads(path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# "))["kept"]
    results = pd.read_csv(path, skiprows=1)
    assert len(results) >= 200
    assert results["seed"].is_unique
    table = ranks.rank_tests(results.drop(columns=list(calibration.DIAGNOSTICS)), kept)
    assert table["p"].min() >= ranks.LEVEL, table.sort_values("p").head()


def test_there_are_committed_results():
    assert {"curves", "points"} <= {path.stem for path in RESULTS}


@pytest.mark.slow
def test_a_data_set_is_a_function_of_study_and_seed(bench):
    calibration = bench("calibration")
    tiny = {"chains": 2, "warmup": 50, "draws": 60}
    first, second = (calibration.one("curves", 3, tiny) for _ in range(2))
    assert first == second
    assert dataclasses.is_dataclass(calibration.STUDIES["curves"])
    assert all(0 <= v <= calibration.KEPT for k, v in first.items() if k not in calibration.DIAGNOSTICS)
