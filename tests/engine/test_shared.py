"""The path that runs of one data order share, against dense Gaussian formulas and on curves made to have one."""

import jax
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayeslaw as bl
from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.engine import density, params, shared
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.conditioning import conditioned
from bayeslaw.engine.pointwise import pointwise

CARD = {
    "extends": "chinchilla",
    "name": "together",
    "shared": {
        "scale": {"prior": "lognormal(0.02, 0.5)", "reason": "made so"},
        "length": {"prior": "lognormal(0.3, 0.5)", "reason": "made so"},
    },
}
TOKENS = np.geomspace(1e9, 2e10, 400)
#: what the batches of one data order do to every run that reads them
BUMP = 0.04 * np.exp(-0.5 * ((np.log(TOKENS) - np.log(1.2e10)) / 0.2) ** 2)


def curves(orders, bump=BUMP, seed=0) -> pd.DataFrame:
    """Curves of four sizes, each in the data order that ``orders`` says; those of order "x" have the bump."""
    rng = np.random.default_rng(seed)
    parts = []
    for (name, order), n in zip(orders.items(), np.geomspace(1e8, 8e8, len(orders)), strict=True):
        loss = 1.8 + 400 / n**0.34 + 2000 / TOKENS**0.37
        loss = loss * np.exp((bump if order == "x" else 0) + 0.004 * rng.standard_normal(len(TOKENS)))
        parts.append(pd.DataFrame({"run": name, "n_params": n, "tokens": TOKENS, "loss": loss, "data_order": order}))
    return pd.concat(parts, ignore_index=True)


ALL_X = {"a": "x", "b": "x", "c": "x", "d": "x"}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def problem():
    frame = curves({"a": "x", "b": "y", "c": "x", "d": "y"})
    return assemble(load_card(CARD), bl.Runs.from_frame(frame), max_bins=8)


@pytest.fixture(scope="module")
def point(problem):
    return np.random.default_rng(1).normal(0, 0.3, problem.layout.dim)


def dense(problem, v, order):
    """Residuals of all rows of one data order, and their covariance, written out."""
    rows = problem.data["rows"]
    r, var, g = (np.asarray(part) for part in density.pieces(problem.layout, v, problem.data))
    h = np.asarray(shared.design(problem.layout, v, problem.data, rows["log_x"]))
    mine = [i for i in range(len(problem.series)) if rows["order_index"][i] == order]
    masks = [rows["mask"][i] for i in mine]
    own = [np.diag(var[i][m]) + g[i][m] @ g[i][m].T for i, m in zip(mine, masks, strict=True)]
    together = np.concatenate([h[i][m] for i, m in zip(mine, masks, strict=True)])
    cov = together @ together.T
    start = 0
    for block in own:
        end = start + len(block)
        cov[start:end, start:end] += block
        start = end
    return np.concatenate([r[i][m] for i, m in zip(mine, masks, strict=True)]), cov, together


def test_likelihood_is_the_joint_gaussian_of_all_runs_of_an_order(problem, point):
    assert (problem.layout.orders, problem.levels["order"]) == (2, ["order x", "order y"])
    v = params.values(problem.layout, problem.data["prior"], point)
    expected = 0.0
    for order in (0, 1):
        r, cov, _ = dense(problem, v, order)
        expected += stats.multivariate_normal.logpdf(r, cov=cov)
    ours = density.log_likelihood(problem.layout, v, problem.data)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)
    apart = density.series_log_likelihood(problem.layout, v, problem.data).sum()
    assert abs(ours - apart) > 1, "the path is part of it"


def test_gradient_against_finite_differences(problem, point):
    def value(z):
        return density.log_posterior(problem.layout, problem.data, z)

    gradient = np.asarray(jax.grad(value)(point))
    step = 1e-5
    for i in np.random.default_rng(2).choice(problem.layout.dim, 6, replace=False):
        e = np.eye(problem.layout.dim)[i] * step
        slope = (value(point + e) - value(point - e)) / (2 * step)
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-5, atol=1e-6)


def test_draws_of_the_path_have_its_conditional_mean_and_covariance(problem, point):
    layout = problem.layout
    v = params.values(layout, problem.data["prior"], point)
    zero = np.zeros((layout.orders, layout.shared))
    both = density.evidence_and_path(layout, v, problem.data, zero)[0]
    np.testing.assert_allclose(both, density.log_likelihood(layout, v, problem.data), rtol=1e-11)
    mean = np.asarray(density.evidence_and_path(layout, v, problem.data, zero)[1])
    for order in (0, 1):
        r, cov, h = dense(problem, v, order)
        gain = h.T @ np.linalg.inv(cov)
        np.testing.assert_allclose(mean[order], gain @ r, atol=1e-9)
        noise = np.zeros((layout.shared, *zero.shape))
        noise[:, order] = np.eye(layout.shared)
        draws = [
            np.asarray(density.evidence_and_path(layout, v, problem.data, e)[1])[order] - mean[order] for e in noise
        ]
        np.testing.assert_allclose(
            np.stack(draws, axis=1) @ np.stack(draws), np.eye(layout.shared) - gain @ h, atol=1e-9
        )


def test_given_the_path_series_are_independent_and_add_up(problem, point):
    """p(y) = p(y | path) p(path) / p(path | y), at any path."""
    layout = problem.layout
    v = params.values(layout, problem.data["prior"], point)
    path = 0.1 * np.random.default_rng(3).standard_normal((layout.orders, layout.shared))
    given = float(density.series_log_likelihood(layout, v, problem.data, path).sum())
    prior = stats.norm.logpdf(path).sum()
    posterior = 0.0
    for order in (0, 1):
        r, cov, h = dense(problem, v, order)
        gain = h.T @ np.linalg.inv(cov)
        posterior += stats.multivariate_normal.logpdf(path[order], gain @ r, np.eye(layout.shared) - gain @ h)
    np.testing.assert_allclose(density.log_likelihood(layout, v, problem.data), given + prior - posterior, rtol=1e-9)


def fitted(frame, draws=200):
    return at_mode(load_card(CARD), bl.Runs.from_frame(frame), None, draws, {"seed": 0, "max_bins": 20})


def asked(frame, run):
    return frame[(frame["run"] == run) & (frame["tokens"] > 8e9)].iloc[::20].reset_index(drop=True)


@pytest.mark.parametrize("how", ["fitted", "given"])
def test_a_run_follows_what_its_siblings_met(how):
    """Three runs are finished and met a stretch of hard batches; the fourth has read a third of the tokens."""
    frame = curves(ALL_X)
    late = (frame["run"] == "b") & (frame["tokens"] > 7e9)
    at, prefix = asked(frame, "b"), frame[(frame["run"] == "b") & ~late]
    errors, widths = {}, {}
    for told in ("x", "z"):
        # told another data order, the same curve has no reason to follow
        known = frame[~late].assign(data_order=np.where(frame[~late]["run"] == "b", told, "x"))
        fit = fitted(known if how == "fitted" else known[known["run"] != "b"])
        given = None if how == "fitted" else bl.Runs.from_frame(prefix.assign(data_order=told))
        rows = at.drop(columns=["loss", "data_order"])
        band = bl.forecast(fit, rows, given, backtest=False).frame
        errors[told] = np.abs(band["curve_mean"] / at["loss"] - 1).mean()
        widths[told] = ((band["curve_hi90"] - band["curve_lo90"]) / band["curve_mean"]).mean()
    assert errors["x"] < 0.006
    assert errors["z"] > 2 * errors["x"]
    assert widths["x"] < 0.6 * widths["z"]


def test_given_what_was_fitted_the_forecast_stays_as_it_was():
    frame = curves(ALL_X)
    early = frame[(frame["run"] != "d") | (frame["tokens"] < 7e9)]
    fit, at = fitted(early), asked(frame, "d").drop(columns="loss")
    again = bl.Runs.from_frame(early[early["run"] == "d"])
    with_given = bl.forecast(fit, at, again, backtest=False, seed=1)
    without = bl.forecast(fit, at, backtest=False, seed=1)
    assert not with_given.notes
    np.testing.assert_allclose(with_given.frame["curve_mean"], without.frame["curve_mean"], rtol=2e-3)


def test_a_new_run_of_a_known_order_is_told_its_path():
    frame = curves(ALL_X)
    fit = fitted(frame)
    new = asked(frame, "b").drop(columns="loss").assign(run="new")
    known = bl.forecast(fit, new, backtest=False).frame
    other = bl.forecast(fit, new.assign(data_order="other"), backtest=False).frame
    unsaid = bl.forecast(fit, new.drop(columns="data_order"), backtest=False).frame
    width = [float((f["curve_hi90"] - f["curve_lo90"]).mean()) for f in (known, other, unsaid)]
    assert width[0] < 0.8 * width[1]
    assert width[2] == pytest.approx(width[1], rel=0.1)


def test_it_is_left_out_where_no_two_runs_share_an_order(toy_frame):
    card = load_card(CARD)
    for frame in (toy_frame, toy_frame.assign(data_order=toy_frame["run"]), toy_frame.assign(data_order=None)):
        problem = assemble(card, bl.Runs.from_frame(frame))
        assert (problem.layout.shared, problem.layout.orders) == (0, 0)
        assert "no two runs have the same data_order" in " ".join(problem.notes)


def test_saved_and_loaded_it_forecasts_the_same(tmp_path):
    frame = curves({"a": "x", "b": "x", "c": None, "d": "y"})
    fit = bl.fit(bl.Runs.from_frame(frame), CARD, chains=2, warmup=75, draws=50, max_bins=10)
    assert fit.problem.levels["order"] == ["order x", "order y", "run c"]
    fit.save(tmp_path / "fit.nc")
    back = bl.load_fit(tmp_path / "fit.nc")
    assert back.problem.levels == fit.problem.levels
    at = asked(frame, "a").drop(columns="loss")
    one, two = (bl.forecast(f, at, backtest=False).frame for f in (fit, back))
    pd.testing.assert_frame_equal(one, two)
    assert {"shared_scale", "shared_length"} <= set(fit.posterior.data_vars)
    for unit, count in (("bin", len(fit.problem.bins)), ("run", 4)):
        assert np.isfinite(values := pointwise(fit.problem, fit.draws(20), unit)).all()
        assert values.shape == (20, count)


def test_knots_reach_where_the_forecast_goes():
    frame = curves(ALL_X)
    fit = fitted(frame[frame["tokens"] < 1e10])
    at = frame[frame["run"] == "a"].iloc[[0, -1]].drop(columns=["loss", "data_order"]).assign(run="far")
    at["tokens"] *= [0.01, 50]
    rng = np.random.default_rng(0)
    rows = bl.Runs.from_frame(at, need_loss=False)
    curve, *_ = conditioned(fit.problem, fit.draws(200), rows, None, {}, rng)
    assert np.isfinite(curve).all()
    # far from all rows the path is as wide as its prior, wherever its knots begin
    v = fit.posterior["shared_scale"].to_numpy()
    assert np.log(curve).std(axis=0).min() > 0.7 * np.sqrt(np.mean(v**2))
