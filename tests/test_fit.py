"""Fits of every shape of data that people have, and the posterior that comes out."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from bayeslaw import Runs, fit, forecast
from bayeslaw.errors import FitError

#: enough to see that it runs, not to trust it
QUICK = {"chains": 2, "warmup": 50, "draws": 10, "max_bins": 12}
SYMBOLS = ["E", "A", "alpha", "B", "beta"]


def finite(dataset) -> bool:
    return all(np.isfinite(dataset[name].to_numpy()).all() for name in dataset.data_vars)


# --- the posterior --------------------------------------------------------------------------------------------------


def test_posterior_has_plain_symbols_levels_and_runs(toy_fit, toy_runs):
    posterior = toy_fit.posterior
    assert dict(posterior.sizes) == {"chain": 2, "draw": 100, "group": 2, "size": 3, "series": 6}
    for symbol in SYMBOLS:
        assert posterior[symbol].dims == ("chain", "draw")
        assert posterior[f"{symbol}_group"].dims == ("chain", "draw", "group")
        assert posterior[f"{symbol}_run"].dims == ("chain", "draw", "series")
        assert (posterior[symbol] > 0).all()
    assert posterior["offset_size"].dims == ("chain", "draw", "size")
    assert posterior["group"].to_numpy().tolist() == ["c4", "web"]
    assert tuple(posterior["run"].to_numpy()) == toy_runs.names == toy_fit.runs
    assert finite(posterior)
    # a run's E is its group's here: only the level of a run has an effect of its own
    np.testing.assert_allclose(posterior["E_run"][..., 5], posterior["E_group"][..., 1], rtol=1e-9)
    assert float(posterior["level_run"].std()) > 0


def test_record_of_a_fit(toy_fit, toy_runs, toy_settings):
    assert toy_fit.z.shape == (2, 100, toy_fit.problem.layout.dim)
    assert toy_fit.meta["seed"] == toy_settings["seed"]
    assert toy_fit.meta["fingerprint"] == toy_runs.fingerprint
    assert {name: value.shape for name, value in toy_fit.stats.items()} == dict.fromkeys(
        ["diverging", "steps", "energy", "lp", "accept"], (2, 100)
    )
    assert repr(toy_fit) == "<Fit: chinchilla on 6 runs, 2 chains of 100 draws>"
    assert toy_fit.draws(7).shape == (7, toy_fit.problem.layout.dim)
    assert set(toy_fit.tree.children) == {"posterior", "sample_stats", "unconstrained", "observed_data"}


def test_truth_is_recovered(toy_fit, truth):
    """Within the 99.9 % interval, and the data said something: the posterior is far narrower than the prior."""
    posterior = toy_fit.posterior
    found = {
        "alpha": (posterior["alpha_group"].sel(group="c4"), truth.values["alpha"], 0.33 * 0.4),
        "beta": (posterior["beta_group"].sel(group="c4"), truth.values["beta"], 0.35 * 0.4),
        "E": (posterior["E_group"].sel(group="c4"), truth.values["E"], 1.7 * 0.3),
    }
    for name, (draws, true, prior_sd) in found.items():
        draws = draws.to_numpy()
        assert abs(draws.mean() - true) < 3.29 * draws.std(), name
        assert draws.std() < 0.6 * prior_sd, name
    ratio = (posterior["E_group"].sel(group="web") / posterior["E_group"].sel(group="c4")).to_numpy()
    assert abs(ratio.mean() - 1.06) < 3.29 * ratio.std()
    assert 0.0005 < float(posterior["effect_level_sd"].mean()) < 0.02


# --- one run --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_run(toy_frame) -> Runs:
    """A single curve, with neither step nor group."""
    return Runs.from_frame(toy_frame[toy_frame["run"] == "c4-3e+08"].drop(columns=["group", "step"]))


@pytest.fixture(scope="module")
def one_fit(one_run):
    return fit(one_run, **QUICK)


def test_one_run_without_step_and_group(one_fit, one_run, truth):
    assert one_fit.problem.levels == {}
    assert one_fit.problem.axis == "tokens"
    assert "The group level is dropped: the runs have no group." in one_fit.problem.notes
    assert "The size level is dropped: the runs have one n_params." in one_fit.problem.notes
    assert finite(one_fit.posterior)
    end = one_run.frame.tail(1)
    band = forecast(one_fit, end.drop(columns=["loss"]), draws=20).frame
    assert band["median"][0] == pytest.approx(end["loss"].iloc[0], rel=0.03)


def test_same_seed_same_numbers(one_fit, one_run):
    again, other = fit(one_run, **QUICK), fit(one_run, seed=1, **QUICK)
    np.testing.assert_array_equal(again.z, one_fit.z)
    for name, values in one_fit.stats.items():
        np.testing.assert_array_equal(again.stats[name], values)
    pd.testing.assert_frame_equal(again.posterior.to_dataframe(), one_fit.posterior.to_dataframe())
    assert (other.z != one_fit.z).any()
    assert (one_fit.z[0] != one_fit.z[1]).any(), "chains differ"


def test_precision_of_the_host_is_left_alone(one_run):
    assert not jax.config.jax_enable_x64
    found = fit(one_run, **QUICK)
    assert found.z.dtype == np.float64
    assert not jax.config.jax_enable_x64
    assert jnp.ones(2).dtype == jnp.float32
    with jax.enable_x64(True):
        fit(one_run, **QUICK)
        assert jax.config.jax_enable_x64


def test_progress_is_reported(one_run):
    seen = []
    fit(one_run, progress=lambda stage, done, total: seen.append((stage, done, total)), **QUICK)
    assert seen[0] == ("preparing the data", 0, 1)
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert {"finding the mode", "warming up", "sampling"} <= set(stages)
    assert seen[-1][1] == seen[-1][2] >= 60


def test_an_error_in_the_callback_stops_the_fit(one_run):
    def interrupt(stage, done, total):
        if stage == "warming up":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(one_run, progress=interrupt, **QUICK)
    assert not jax.config.jax_enable_x64


# --- other shapes of data -------------------------------------------------------------------------------------------


def test_runs_of_very_different_length(truth):
    """One row to three thousand."""
    rng = np.random.default_rng(2)
    lengths = {1e8: (1, 3000), 3e8: (3, 80), 1e9: (10, 20)}
    parts = [
        truth.curve(f"{g}-{n:.0e}", g, n, np.unique(np.linspace(20_000, 250, count).round()), rng)
        for n, counts in lengths.items()
        for g, count in zip(("c4", "web"), counts, strict=True)
    ]
    found = fit(Runs.from_frame(pd.concat(parts)), **QUICK | {"warmup": 100})
    assert len(found.runs) == 6
    counts = found.problem.bins.groupby("run").size()
    assert counts["c4-1e+08"] == 1
    assert counts["c4-3e+08"] == 3
    assert counts.max() == 12
    assert finite(found.posterior)


def points(truth, count: int) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    table = pd.DataFrame(
        {
            "run": [f"r{i}" for i in range(count)],
            "group": np.where(np.arange(count) % 2, "c4", "web"),
            "n_params": 10 ** rng.choice([8.0, 8.5, 9.0], count),
            "tokens": 10 ** rng.uniform(8.5, 10.5, count),
        }
    )
    loss = [truth.law(n, d, g) for n, d, g in zip(table["n_params"], table["tokens"], table["group"], strict=True)]
    return table.assign(loss=np.array(loss) * np.exp(0.003 * rng.standard_normal(count)))


def test_one_point_per_run_without_step(truth):
    table = points(truth, 40)
    found = fit(Runs.from_frame(table), **QUICK)
    assert found.problem.layout.likelihood == "points"
    assert any(note.startswith("One point per run: the run level") for note in found.problem.notes)
    assert finite(found.posterior)
    assert float(found.posterior["noise_sigma"].mean()) == pytest.approx(0.003, rel=0.7)
    band = forecast(found, table, draws=20)
    np.testing.assert_allclose(band.frame["median"], table["loss"], rtol=0.03)
    given = forecast(found, table, table, draws=20)
    np.testing.assert_array_equal(given.observed, band.observed)
    assert given.notes[0].startswith("What is given was not used: the fit is of single points")


def test_ten_thousand_runs_of_one_point(truth):
    table = points(truth, 10_000)
    alike = table[table["group"] == "c4"].drop(columns="group")
    table = pd.concat([alike, alike.assign(run=alike["run"] + "b")])
    found = fit(Runs.from_frame(table), **QUICK | {"chains": 1, "draws": 4})
    posterior = found.posterior
    assert len(found.runs) == 10_000
    assert "E_run" not in posterior, "more runs than anyone reads"
    assert float(posterior["noise_sigma"].mean()) == pytest.approx(0.003, rel=0.15)
    assert float(posterior["beta"].mean()) == pytest.approx(truth.values["beta"], abs=0.04)


def test_a_law_of_steps_needs_no_tokens():
    """Annealing law on its own formula at a constant rate: no tokens, no n_params, no group."""
    steps = np.linspace(500, 20_000, 60).round()
    loss = 2.9 + 0.5 * (3e-4 * steps) ** -0.5
    loss = loss * np.exp(0.003 * np.random.default_rng(0).standard_normal(60))
    runs = Runs.from_frame({"step": steps, "loss": loss, "lr": np.full(60, 3e-4)})
    found = fit(runs, {"extends": "annealed", "run": {"level": False}, "discrepancy": False}, **QUICK)
    assert found.problem.axis == "step"
    assert found.runs == ("run",)
    at = {"run": ["run"], "step": [25_000.0], "lr": [3e-4]}
    band = forecast(found, pd.DataFrame(at), draws=20).frame
    assert band["median"][0] == pytest.approx(2.9 + 0.5 * 7.5**-0.5, rel=0.03)
    assert np.isnan(band["tokens"][0])


def test_tokens_that_a_law_needs_are_asked_for(toy_frame):
    with pytest.raises(
        FitError, match="Law chinchilla needs the column tokens, and the runs have run, group, n_params"
    ):
        fit(Runs.from_frame(toy_frame.drop(columns="tokens")))


# --- what is refused ------------------------------------------------------------------------------------------------


def test_fit_takes_runs(toy_frame):
    with pytest.raises(FitError, match=r"^fit takes Runs, got DataFrame\. Read a file with bayeslaw\.load\(path\)"):
        fit(toy_frame)


@pytest.mark.parametrize(("name", "value", "least"), [("chains", 0, 1), ("warmup", 10, 50), ("draws", 2.5, 4)])
def test_numbers_of_draws(toy_runs, name, value, least):
    with pytest.raises(FitError, match=rf"^{name} is a whole number of at least {least}, not {value}\.$"):
        fit(toy_runs, **{name: value})
