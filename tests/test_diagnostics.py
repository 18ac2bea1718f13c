"""The verdict on chains made by hand, and leave-one-out scores of a right and a wrong law."""

import dataclasses
import warnings

import numpy as np
import pytest

from bayeslaw import fit
from bayeslaw.errors import FitError

CHAINS, DRAWS = 4, 1000


@pytest.fixture
def made(toy_fit):
    """``made(z=..., ...)``: a fit with independent normal draws, which pass every check, but for what is given."""

    def make(**changes):
        rng = np.random.default_rng(5)
        z = rng.standard_normal((CHAINS, DRAWS, toy_fit.problem.layout.dim))
        stats = {
            "diverging": np.zeros((CHAINS, DRAWS), bool),
            "steps": np.full((CHAINS, DRAWS), 7),
            "energy": rng.standard_normal((CHAINS, DRAWS)),
            "lp": rng.standard_normal((CHAINS, DRAWS)),
            "accept": np.full((CHAINS, DRAWS), 0.9),
        }
        z = changes.pop("z")(z) if "z" in changes else z
        return dataclasses.replace(toy_fit, z=z, stats=stats | changes)

    return make


def failed(check) -> list[str]:
    return check.frame.loc[~check.frame["ok"], "test"].tolist()


def test_independent_normal_draws_pass(made):
    check = made().check()
    assert check.ok
    assert failed(check) == []
    assert str(check).startswith("The sampling can be trusted: all checks passed.\n")
    assert "FAIL" not in str(check)


def test_a_failure_by_a_hair_is_written_with_digits_enough_to_see_it(made):
    found = made().check().frame.set_index("test")["value"]
    text = str(made().check(rhat=found["R-hat"] - 2e-5, ess=found["ESS bulk"] + 0.05))
    for test, relation in (("R-hat", "<="), ("ESS bulk", ">=")):
        line = next(line for line in text.splitlines() if f"FAIL {test}" in line)
        before, after = line.split(f"(wanted {relation} ")
        value, limit = float(before.split()[-1]), float(after.split(")")[0])
        assert value > limit if relation == "<=" else value < limit
        assert value == pytest.approx(found[test], rel=1e-5)


def test_a_chain_elsewhere_fails_and_the_parameter_is_named(made, toy_fit):
    names = toy_fit.problem.layout.coordinate_names()
    place = names.index("beta")

    def move(z):
        z[2, :, place] += 3
        return z

    check = made(z=move).check()
    assert not check.ok
    assert "R-hat" in failed(check)
    text = str(check)
    assert text.startswith("Do not trust this fit yet: R-hat")
    assert ", at beta" in text
    assert "The chains disagree." in text


def test_stuck_chains_fail(made):
    """Every chain stays where it started: no spread within, all spread between."""
    check = made(z=lambda z: np.repeat(z[:, :1], DRAWS, axis=1)).check()
    assert {"R-hat", "ESS bulk"} <= set(failed(check))
    assert float(check.frame.set_index("test").loc["R-hat", "value"]) > 1.5


def test_one_stuck_coordinate_fails(made):
    def stick(z):
        z[..., 0] = 0.25
        return z

    check = made(z=stick).check()
    assert not check.ok
    assert ", at E" in str(check)


def test_slow_chains_lack_effective_draws(made):
    def slow(z):
        for i in range(1, DRAWS):
            z[:, i] = 0.98 * z[:, i - 1] + 0.199 * z[:, i]
        return z

    check = made(z=slow).check()
    assert "ESS bulk" in failed(check)
    assert "Sample more: draws (and warm-up) at twice the number, draws= or --draws." in str(check)
    assert "ESS bulk" not in failed(made(z=slow).check(ess=1))


def test_divergences_fail(made):
    diverging = np.zeros((CHAINS, DRAWS), bool)
    diverging[0, :3] = True
    check = made(diverging=diverging).check()
    assert failed(check) == ["divergences"]
    assert check.frame.set_index("test").loc["divergences", "value"] == 3
    assert made(diverging=diverging).check(divergences=3).ok


def test_energy_that_creeps_fails(made):
    energy = np.cumsum(np.random.default_rng(0).standard_normal((CHAINS, DRAWS)), axis=1)
    assert failed(made(energy=energy).check()) == ["E-BFMI"]


def test_full_trees_fail(made):
    steps = np.full((CHAINS, DRAWS), 7)
    steps[:, ::20] = 1023
    check = made(steps=steps).check()
    assert failed(check) == ["tree depth"]
    assert "5.0% (wanted <= 1% full)" in str(check)


def test_one_chain_is_not_enough(made):
    single = {k: v[:1] for k, v in made().stats.items()}
    check = made(z=lambda z: z[:1], **single).check()
    assert failed(check) == ["R-hat"]
    assert np.isnan(check.frame["value"][0])
    assert "  FAIL R-hat                 - (wanted <= 1.01)\n" in str(check)
    said = " ".join(str(check).split())
    assert "One chain cannot be checked against another: fit with four, chains=4 or --chains 4." in said


def test_values_and_thresholds_are_numbers_with_units(made):
    frame = made().check(ess=100).frame.set_index("test")
    assert frame["value"].dtype == frame["threshold"].dtype == float
    assert frame["threshold"].to_dict() == {
        "R-hat": 1.01, "ESS bulk": 100, "ESS tail": 100, "divergences": 0, "E-BFMI": 0.3, "tree depth": 0.01
    }  # fmt: skip
    assert (frame["relation"] == ["<=", ">=", ">=", "<=", ">=", "<="]).all()
    assert frame["unit"].tolist() == ["", "draws", "draws", "draws", "", "share of draws"]
    # independent draws: about as many effective ones as draws
    assert frame.loc["ESS bulk", "value"] == pytest.approx(CHAINS * DRAWS, rel=0.5)
    assert (frame["remedy"] == "").all()


def test_summary_is_of_the_published_symbols(toy_fit):
    table = toy_fit.summary()
    assert list(table.index) == ["E", "A", "alpha", "B", "beta"]
    draws = toy_fit.posterior["alpha"].to_numpy()
    assert table.loc["alpha", "mean"] == pytest.approx(draws.mean())
    assert table.loc["alpha", "lo90"] == pytest.approx(np.quantile(draws, 0.05))
    assert (table["lo90"] < table["hi90"]).all()


def test_description_fits_a_terminal(toy_fit):
    text = str(toy_fit)
    assert text.startswith("chinchilla: L = E + A / N^alpha + B / D^beta\n6 runs, 72 points; 2 chains of 100 draws\n")
    assert max(map(len, text.splitlines())) <= 88


@pytest.fixture(scope="module")
def wrong_fit(toy_runs, toy_settings):
    """The same law held at an exponent of tokens that is far too small: same layout, so nothing is compiled anew."""
    held = {"prior": "lognormal(0.03, 0.01)", "pool": {"group": "lognormal(0.001, 0.1)"}}
    return fit(toy_runs, {"extends": "chinchilla", "parameters": {"beta": held}}, **toy_settings | {"draws": 50})


@pytest.mark.parametrize(("unit", "points"), [("bin", 72), ("run", 6)])
def test_loo_prefers_the_true_law(toy_fit, wrong_fit, unit, points):
    with warnings.catch_warnings():
        # few draws and six runs: some Pareto k is large, which the score says and does not hide
        warnings.simplefilter("ignore", UserWarning)
        right, wrong = toy_fit.loo(unit), wrong_fit.loo(unit)
    assert right.n_data_points == points
    assert np.isfinite(right.elpd)
    assert right.elpd > wrong.elpd + 2


def test_pointwise_densities_add_up(toy_fit):
    """The runs' densities together are the likelihood that was sampled."""
    import jax

    from bayeslaw.engine.density import series_log_likelihood
    from bayeslaw.engine.params import values
    from bayeslaw.engine.pointwise import pointwise

    z = toy_fit.draws(3)
    with jax.enable_x64(True):
        by_run = pointwise(toy_fit.problem, z, "run")
        layout, data = toy_fit.problem.layout, toy_fit.problem.data
        whole = jax.jit(lambda one: series_log_likelihood(layout, values(layout, data["prior"], one), data).sum())
        direct = [whole(one) for one in z]
    np.testing.assert_allclose(by_run.sum(axis=1), direct, rtol=1e-9)


def test_loo_unit(toy_fit):
    with pytest.raises(FitError, match=r"^unit is 'bin' or 'run', not 'token'\.$"):
        toy_fit.loo("token")


def test_the_usual_verdict_is_reached_once(made):
    fitted = made()
    assert fitted.check() is fitted.check()
    assert not fitted.check(ess=1e9).ok
    assert fitted.check().ok
    assert made().check() is not fitted.check()
