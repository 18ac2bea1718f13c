"""Paths that series share, against dense Gaussian formulas and on curves made to have one."""

import jax
import jax.numpy as jnp
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
from bayeslaw.engine.levels import orders_of
from bayeslaw.engine.pointwise import pointwise
from bayeslaw.engine.predict import in_batches


def path_card(extends, **tables):
    """A card with paths of the given scale and length."""
    priors = {
        name: {key: {"prior": f"lognormal({value}, 0.5)", "reason": "made so"} for key, value in table.items()}
        for name, table in tables.items()
    }
    return {"extends": extends, "name": "together", **priors}


CARD = path_card("chinchilla", shared={"scale": 0.02, "length": 0.3})
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


def exits() -> pd.DataFrame:
    """Five looped runs of three data orders with their losses at one to four exits."""
    rng = np.random.default_rng(5)
    parts = []
    for i, (depth, order) in enumerate([(4, "x"), (2, "x"), (2, "y"), (1, "y"), (3, "z")]):
        for step in range(1, depth + 1):
            loss = 2 + 2000 / TOKENS[::8] ** 0.37 + 0.1 / step
            loss = loss * np.exp(0.01 * rng.standard_normal(len(loss)))
            frame = pd.DataFrame({"run": f"r{i}", "tokens": TOKENS[::8], "loss": loss, "data_order": order})
            parts.append(frame.assign(n_params=1e8 * (1 + i % 3), recurrence=float(depth), exit_step=float(step)))
    return pd.concat(parts, ignore_index=True)


#: two orders; runs with several exits in three orders; the same, where nothing but the run is shared
PROBLEMS = {
    "orders": lambda: (curves({"a": "x", "b": "y", "c": "x", "d": "y"}), CARD),
    "exits": lambda: (
        exits(),
        path_card(
            "looped-stepwise", exits={"scale": 0.01, "length": 0.6}, shared={"scale": 0.02, "length": 0.3}
        ),
    ),
    "exits alone": lambda: (
        exits(),
        path_card("looped-stepwise", exits={"scale": 0.01, "length": 0.6}) | {"shared": False},
    ),
}  # fmt: skip


#: compiled whole, as the sampler has them: one operation at a time takes many times as long
(pieces, designs, parameters, log_likelihood, series_log_likelihood) = (
    jax.jit(function, static_argnums=0)
    for function in (
        density.pieces,
        shared.designs,
        params.values,
        density.log_likelihood,
        density.series_log_likelihood,
    )
)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module", params=PROBLEMS)
def problem(request):
    frame, card = PROBLEMS[request.param]()
    return assemble(load_card(card), bl.Runs.from_frame(frame), max_bins=8)


@pytest.fixture(scope="module")
def point(problem):
    return np.random.default_rng(1).normal(0, 0.3, problem.layout.dim)


class Dense:
    """All rows of all series at once: residuals, their covariance, and the covariance with every path, written out."""

    def __init__(self, problem, v):
        layout, rows = problem.layout, problem.data["rows"]
        r, var, g = (np.asarray(part) for part in pieces(layout, v, problem.data))
        mask, series = rows["mask"], len(problem.series)
        self.r = np.concatenate([r[i][mask[i]] for i in range(series)])
        of = np.repeat(np.arange(series), mask[:series].sum(axis=1))
        own = np.concatenate([g[i][mask[i]] for i in range(series)])
        self.cov = np.where(of[:, None] == of, own @ own.T, 0) + np.diag(
            np.concatenate([var[i][mask[i]] for i in range(series)])
        )
        self.cross = {}
        for path, h in zip(layout.paths, designs(layout, v, problem.data, rows["log_x"]), strict=True):
            flat = np.concatenate([np.asarray(h)[i][mask[i]] for i in range(series)])
            member = rows[f"{path.level}_index"][of]
            wide = np.zeros((len(of), path.members, path.knots))
            wide[np.arange(len(of)), member] = flat
            self.cross[path.name] = wide
            self.cov += wide.reshape(len(of), -1) @ wide.reshape(len(of), -1).T

    @property
    def wide(self) -> np.ndarray:
        return np.concatenate([c.reshape(len(self.r), -1) for c in self.cross.values()], axis=1)


@pytest.fixture(scope="module")
def values(problem, point):
    with jax.enable_x64(True):
        return parameters(problem.layout, problem.data["prior"], point)


@pytest.fixture(scope="module")
def dense(problem, values):
    with jax.enable_x64(True):
        return Dense(problem, values)


def test_likelihood_is_the_joint_gaussian_of_all_that_share(problem, values, dense):
    ours = log_likelihood(problem.layout, values, problem.data)
    np.testing.assert_allclose(ours, stats.multivariate_normal.logpdf(dense.r, cov=dense.cov), rtol=1e-9)
    apart = series_log_likelihood(problem.layout, values, problem.data).sum()
    assert abs(ours - apart) > 1, "the path is part of it"


def test_gradient_against_finite_differences(problem, point):
    both = jax.jit(jax.value_and_grad(density.log_posterior, argnums=2), static_argnums=0)

    def value(z):
        return both(problem.layout, problem.data, z)[0]

    gradient, step = np.asarray(both(problem.layout, problem.data, point)[1]), 1e-5
    last = problem.layout.dim - 1 - np.arange(2 * len(problem.layout.paths))
    for i in [*np.random.default_rng(2).choice(problem.layout.dim, 4, replace=False), *last]:
        e = np.eye(problem.layout.dim)[i] * step
        slope = (value(point + e) - value(point - e)) / (2 * step)
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-5, atol=1e-5)


def standard(layout, flat):
    """A flat vector of all paths' coefficients → name → (members, L)."""
    out, start = {}, 0
    for path in layout.paths:
        size = path.members * path.knots
        out[path.name] = flat[start : start + size].reshape(path.members, path.knots)
        start += size
    return out


def test_draws_of_paths_have_their_joint_conditional_mean_and_covariance(problem, values, dense):
    layout = problem.layout
    size = sum(path.members * path.knots for path in layout.paths)

    @jax.jit
    def drawn(flat):
        total, out = density.evidence_and_paths(layout, values, problem.data, standard(layout, flat))
        return total, jax.numpy.concatenate([out[path.name].ravel() for path in layout.paths])

    both, mean = drawn(np.zeros(size))
    np.testing.assert_allclose(both, log_likelihood(layout, values, problem.data), rtol=1e-11)
    gain = dense.wide.T @ np.linalg.inv(dense.cov)
    np.testing.assert_allclose(mean, gain @ dense.r, atol=1e-8)
    # the map from standard normals to draws is affine
    linear_part = np.asarray(jax.vmap(lambda e: drawn(e)[1] - mean)(np.eye(size))).T
    np.testing.assert_allclose(linear_part @ linear_part.T, np.eye(size) - gain @ dense.wide, atol=1e-8)


def test_given_the_paths_series_are_independent_and_add_up(problem, values, dense):
    """p(y) = p(y | paths) p(paths) / p(paths | y), at any paths."""
    layout = problem.layout
    flat = 0.1 * np.random.default_rng(3).standard_normal(dense.wide.shape[1])
    given = float(series_log_likelihood(layout, values, problem.data, standard(layout, flat)).sum())
    gain = dense.wide.T @ np.linalg.inv(dense.cov)
    posterior = stats.multivariate_normal.logpdf(flat, gain @ dense.r, np.eye(len(flat)) - gain @ dense.wide)
    together = log_likelihood(layout, values, problem.data)
    np.testing.assert_allclose(together, given + stats.norm.logpdf(flat).sum() - posterior, rtol=1e-9)


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


def test_an_exit_follows_what_the_other_exits_of_its_run_met():
    """The last exit of one run is known to a third of the tokens, its other exits to the end, which strays."""
    frame = exits()
    bump = np.exp(np.interp(frame["tokens"], TOKENS, BUMP))
    frame["loss"] *= np.where(frame["run"] == "r0", bump, 1.0)
    late = (frame["run"] == "r0") & (frame["exit_step"] == 4) & (frame["tokens"] > 7e9)
    at = frame[late & (frame["tokens"] > 8e9)].reset_index(drop=True)
    errors = {}
    for name, change in {"together": {}, "apart": {"exits": False}}.items():
        card = path_card("looped-stepwise", exits={"scale": 0.03, "length": 0.3}) | {"shared": False}
        card["exits"]["step"] = 0.25
        card |= change
        fit = at_mode(load_card(card), bl.Runs.from_frame(frame[~late]), None, 200, {"seed": 0, "max_bins": 16})
        band = bl.forecast(fit, at.drop(columns="loss"), backtest=False).frame
        errors[name] = np.abs(band["curve_mean"] / at["loss"] - 1).mean()
    assert errors["together"] < 0.6 * errors["apart"]


def test_it_is_left_out_where_no_two_runs_share_an_order(toy_frame):
    card = load_card(CARD)
    for frame in (toy_frame, toy_frame.assign(data_order=toy_frame["run"]), toy_frame.assign(data_order=None)):
        problem = assemble(card, bl.Runs.from_frame(frame))
        assert problem.layout.paths == ()
        assert "no two runs have the same data_order" in " ".join(problem.notes)
    # a single run has nobody to share with, and is told nothing of it
    lone = assemble(card, bl.Runs.from_frame(toy_frame[toy_frame["run"] == toy_frame["run"].iloc[0]]))
    assert "data_order" not in " ".join(lone.notes)


def test_whose_order_a_run_reads():
    frame = pd.DataFrame({"run": ["a", "a", "b", "b", "c", "d"], "data_order": ["x", None, "x", "y", "", "7"]})
    # b changes its order midway, c says none: each is told apart from all others
    assert orders_of(frame) == {"a": "order x", "b": "run b", "c": "run c", "d": "order 7"}
    assert orders_of(frame[["run"]]) == {run: f"run {run}" for run in "abcd"}


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
    # and a farther end, of more knots, leaves every draw of what comes before as it is
    known = bl.Runs.from_frame(frame[(frame["run"] == "a") & (frame["tokens"] < 1.1e10)])
    at = pd.DataFrame({"run": "a", "n_params": 1e8, "tokens": [1.5e10, 1e12]})
    near, far = (bl.forecast(fit, rows, known, draws=50).curve for rows in (at[:1], at))
    np.testing.assert_allclose(far[:, 0], near[:, 0], rtol=1e-9)


@pytest.mark.parametrize("count", [1, 5, 16, 37])
def test_batches_are_whole_and_change_nothing(count):
    """A last batch of another size would be worked on beside the others, and both could wait for ever."""
    chols = np.eye(3) * np.arange(1.0, count + 1)[:, None, None]

    def both(m):
        return in_batches(jnp.linalg.cholesky, m)

    np.testing.assert_allclose(both(chols**2), chols, rtol=1e-6)
    # one factorisation in the whole program, inside the loop
    assert str(jax.make_jaxpr(both)(chols)).count(" = cholesky ") == 1
