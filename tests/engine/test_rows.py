"""Padded rows: padding counts nothing, nor does the order of the runs."""

from functools import partial

import jax
import numpy as np
import pandas as pd
import pytest

from bayeslaw import Runs, load_card
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.density import log_posterior, series_log_likelihood
from bayeslaw.engine.params import values
from bayeslaw.engine.rows import bucket, schedules_of
from bayeslaw.laws import Schedule


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
    bins = problem.bins
    measured = (bins["spread"] / bins["loss"]) ** 2 / bins["n_eff"]
    np.testing.assert_allclose(np.sort(rows["measured"][rows["mask"]]), np.sort(measured))


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


COSINE = Schedule.cosine(3e-4, 24_000, 2_000)


def logged(steps, schedule=COSINE):
    steps = np.asarray(steps, float)
    return pd.DataFrame({"run": "a", "step": steps, "lr": schedule.rate(steps)})


def guesses(frames, past=None):
    found = {}
    tables = [Runs.from_frame(frame, need_loss=False) for frame in frames if "lr" in frame]
    schedules_of(tables, None, past, found)
    return list(found.values())


PREFIX = np.arange(2_000, 8_001, 100)


def test_a_prefix_and_an_end_leave_the_rates_between_to_a_guess():
    (note,) = guesses([logged(PREFIX), logged([24_000])])
    assert note == (
        "No row of run 'a' says its learning rate between steps 8,000 and 24,000, where it goes from 0.000253 to "
        "3e-05: a straight line was taken for it. Ask for rows in between as well, or declare the schedule."
    )
    # the same of a run whose history the fit knows
    assert guesses([logged([24_000])], {"a": Schedule.from_rows(PREFIX, COSINE.rate(PREFIX))})


@pytest.mark.parametrize(
    "frames",
    [
        [logged(PREFIX), logged(np.linspace(8_000, 24_000, 30).round())],
        [logged(np.arange(2_000, 24_001, 100))],
        [logged(np.arange(2_000, 24_001, 2_000))],
        [
            logged(PREFIX, Schedule.constant(3e-4, 24_000, 2_000)),
            logged([24_000], Schedule.constant(3e-4, 24_000, 2_000)),
        ],
        [logged(PREFIX).drop(columns="lr"), logged([24_000])],
        [logged(PREFIX), logged([24_000]).assign(run="b")],
    ],
)
def test_rates_that_rows_tell_are_no_guess(frames):
    assert guesses(frames) == []
