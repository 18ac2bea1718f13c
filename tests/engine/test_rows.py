"""Padded rows: padding counts nothing, nor does the order of the runs."""

from functools import partial

import jax
import numpy as np
import pytest

from bayeslaw import Runs, load_card
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.density import log_posterior, series_log_likelihood
from bayeslaw.engine.params import values
from bayeslaw.engine.rows import bucket


@pytest.fixture(scope="module")
def problem(toy_runs):
    return assemble(load_card("chinchilla"), toy_runs, max_bins=6)


def padded(rows: dict, series: int, columns: int) -> dict:
    """More series and more columns behind, filled with numbers that would show if they counted."""

    def pad(value):
        value = np.asarray(value)
        grow = [(0, series), (0, columns)][: value.ndim]
        fill = False if value.dtype == bool else (0 if value.dtype.kind == "i" else 2.5)
        return np.pad(value, grow, constant_values=fill)

    return jax.tree.map(pad, rows)


@partial(jax.jit, static_argnums=0)
def evaluate(layout, data, z):
    likelihood = series_log_likelihood(layout, values(layout, data["prior"], z), data)
    return likelihood, jax.grad(lambda z: log_posterior(layout, data, z))(z)


def both(problem, data) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihood of every series, and the gradient of the log posterior, somewhere near the prior's centre."""
    z = 0.3 * np.random.default_rng(0).standard_normal(problem.layout.dim)
    with jax.enable_x64(True):
        value, slope = evaluate(problem.layout, data, z)
        return np.asarray(value), np.asarray(slope)


def test_buckets_are_monotone_few_and_not_much_larger():
    counts = np.arange(0, 3000)
    sizes = np.array([bucket(int(c)) for c in counts])
    assert (np.diff(sizes) >= 0).all()
    assert (sizes >= np.maximum(counts, 1)).all()
    assert (sizes[5:] <= 1.34 * counts[5:]).all()
    assert len(np.unique(sizes[counts > 1000])) < 20
    assert all(bucket(int(s)) == s for s in np.unique(sizes)), "a padded size is its own"


def test_rows_hold_every_bin_once(problem):
    rows = problem.data["rows"]
    assert rows["mask"].sum() == len(problem.bins)
    loss = np.sort(np.exp(rows["log_y"][rows["mask"]]))
    np.testing.assert_allclose(loss, np.sort(problem.bins["loss"]))
    for name in ("n_params", "tokens"):
        np.testing.assert_array_equal(np.sort(rows["x"][name][rows["mask"]]), np.sort(problem.bins[name]))


def test_padding_counts_nothing(problem):
    plain, slope = both(problem, problem.data)
    more, more_slope = both(problem, {**problem.data, "rows": padded(problem.data["rows"], 3, 5)})
    count = len(problem.series)
    np.testing.assert_allclose(more[:count], plain[:count], rtol=1e-10)
    np.testing.assert_allclose(more[count:], 0.0, atol=1e-12)
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(more_slope, slope, rtol=1e-8, atol=1e-8)
    # the check can fail: one row among the padding unmasked
    rows = padded(problem.data["rows"], 3, 5)
    rows["mask"][:count, -1] = True
    assert (np.abs(both(problem, {**problem.data, "rows": rows})[0][:count] - plain[:count]) > 1).all()


def test_order_of_runs_does_not_matter(problem, toy_frame):
    names = list(dict.fromkeys(toy_frame["run"]))
    order = [names[i] for i in (4, 0, 5, 2, 1, 3)]
    mixed = toy_frame.set_index("run").loc[order].reset_index()
    other = assemble(load_card("chinchilla"), Runs.from_frame(mixed), max_bins=6)
    assert other.layout == problem.layout
    first = dict(zip(problem.series["run"], both(problem, problem.data)[0], strict=False))
    second = dict(zip(other.series["run"], both(other, other.data)[0], strict=False))
    assert first == pytest.approx(second, rel=1e-9)
    assert len(set(first.values())) == 6
