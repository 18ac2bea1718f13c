"""The annealing laws' sums over a few stretches, against the sums over single updates."""

import os
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayeslaw.laws import LAWS, Schedule
from bayeslaw.laws.schedule_updates import multipower_drop, tissue_s2

PEAK, TOTAL, WARMUP = 3e-4, 24_000, 2_160

DATA = Path(os.environ.get("BAYESLAW_DATA", Path(__file__).parents[2] / "../shared/data"))

SMOOTH = {
    "cosine": Schedule.cosine(PEAK, TOTAL, WARMUP),
    "cosine 72k": Schedule.cosine(PEAK, 72_000, WARMUP),
    "cosine to 0": Schedule.cosine(PEAK, TOTAL, WARMUP, 0.0),
    "wsd linear": Schedule.wsd(PEAK, TOTAL, WARMUP, 4000, "linear", 0.1),
    "wsd linear to 0": Schedule.wsd(PEAK, TOTAL, WARMUP, 0.2, "linear"),
    "wsd exponential": Schedule.wsd(PEAK, TOTAL, WARMUP, 4000, "exponential"),
    "wsd cosine": Schedule.wsd(PEAK, TOTAL, WARMUP, 0.2, "cosine"),
    "wsd root": Schedule.wsd(PEAK, TOTAL, WARMUP, 0.2, "1-sqrt"),
}
#: largest error on the way, as a share of the largest gain, that so many stretches may leave
ALLOWED = {32: 8e-3, 64: 3e-3, 128: 1.2e-3}


def along(x):
    return {k: 0 if k in ("step", "S1", "warm") else None for k in x}


# compiled whole, as the engine has the laws: one operation at a time takes many times as long
@partial(jax.jit, static_argnums=0)
def terms(name, p, x):
    return jax.vmap(lambda row: LAWS[name].terms(p, row), in_axes=(along(x),))(x)


@partial(jax.jit, static_argnums=0)
def losses_and_gradients(name, p, x):
    return jax.vmap(jax.value_and_grad(LAWS[name].loss), in_axes=(None, along(x)))(p, x)


def gains(cases, name, schedule, steps, m, **changes):
    """The law's gain per unit of amplitude at ``steps``, positive."""
    (symbol,) = LAWS[name].gains
    p = {**cases[name].values, symbol: 1.0, **changes}
    return -np.asarray(terms(name, p, schedule.covariates(steps, m))[symbol])


def exact(cases, name, schedule, steps):
    v = cases[name].values
    if name == "annealed":
        return tissue_s2(schedule, steps, v["lam"])
    return multipower_drop(schedule, steps, v["C"], v["beta"], v["gamma"])


def on_the_way(schedule, n=200):
    return np.unique(np.round(np.linspace(schedule.warmup, schedule.total, n)))


@pytest.mark.parametrize("m", ALLOWED)
@pytest.mark.parametrize("label", SMOOTH)
@pytest.mark.parametrize("name", ["annealed", "multi-power"])
def test_few_stretches_tell_smooth_schedules(cases, name, label, m):
    schedule = SMOOTH[label]
    steps = on_the_way(schedule)
    reference = exact(cases, name, schedule, steps)
    error = np.abs(gains(cases, name, schedule, steps, m) - reference).max()
    assert error < ALLOWED[m] * reference.max()


@pytest.mark.parametrize("name", ["annealed", "multi-power"])
def test_abrupt_drops_are_exact(cases, name):
    schedule = Schedule(
        np.array([0, 100, 499, 500, 899, 900, 1299, 1300, 2000.0]),
        np.array([0, 3e-4, 3e-4, 1e-4, 1e-4, 2e-4, 2e-4, 0, 0]),
        warmup=100,
    )
    steps = np.arange(100, 2100)
    np.testing.assert_allclose(
        gains(cases, name, schedule, steps, 8), exact(cases, name, schedule, steps), rtol=1e-9, atol=1e-13
    )


@pytest.mark.parametrize("name", ["annealed", "multi-power"])
def test_as_many_stretches_as_drops_are_exact(cases, name):
    schedule = Schedule.wsd(PEAK, 600, 100, 60, "cosine", 0.1)
    steps = np.arange(100, 650)
    np.testing.assert_allclose(
        gains(cases, name, schedule, steps, 60), exact(cases, name, schedule, steps), rtol=1e-9, atol=1e-13
    )


def test_even_drops_are_exact_for_the_annealed_law(cases):
    schedule = SMOOTH["wsd linear to 0"]
    steps = np.arange(19_000, 24_200, 7)
    reference = exact(cases, "annealed", schedule, steps)
    np.testing.assert_allclose(gains(cases, "annealed", schedule, steps, 4), reference, rtol=1e-8, atol=1e-12)


def test_momentum_sum_is_that_of_the_recursion():
    schedule = Schedule.from_rows([10, 40, 60, 90], [1.0, 0.4, 0.7, 0.0])
    eta, momentum, s2, recursion = schedule.rate(np.arange(120)), 0.0, 0.0, []
    for k in range(1, 120):
        momentum = 0.9 * momentum + (eta[k - 1] - eta[k] if k > 10 else 0)
        s2 += momentum
        recursion.append(s2)
    np.testing.assert_allclose(tissue_s2(schedule, np.arange(1, 120), 0.9), recursion, atol=1e-12)


@pytest.mark.parametrize("name", ["annealed", "multi-power"])
def test_a_constant_rate_gains_exactly_nothing(cases, name):
    schedule = Schedule.constant(PEAK, TOTAL, WARMUP)
    assert (gains(cases, name, schedule, on_the_way(schedule), 64) == 0).all()


@pytest.mark.parametrize("name", ["annealed", "multi-power"])
def test_a_rise_after_the_warm_up_counts_as_a_loss(cases, name):
    schedule = Schedule.two_stage(PEAK, 2 * PEAK, 8000, TOTAL, WARMUP)
    gained = gains(cases, name, schedule, np.array([7999, 20_000]), 4)
    assert gained[0] == 0
    assert gained[1] < 0


@pytest.mark.parametrize("name", ["annealed", "multi-power"])
@pytest.mark.parametrize("label", [*SMOOTH, "constant", "drop to 0"])
def test_value_and_gradient_are_finite_everywhere(cases, name, label):
    schedule = {
        **SMOOTH,
        "constant": Schedule.constant(PEAK, TOTAL, WARMUP),
        "drop to 0": Schedule.two_stage(PEAK, 0.0, 8000, TOTAL, WARMUP),
    }[label]
    steps = np.concatenate([[1, 100, WARMUP, WARMUP + 1, 7999, 8000, 8001], on_the_way(schedule, 40), [10**6]])
    x = schedule.covariates(steps, 32)
    for changes in (
        {},
        {"gamma": 1.4, "beta": 0.01},
        {"C": 1e-6},
        {"C": 1e4, "gamma": 2.0, "lam": 1 - 1e-6},
        {"lam": 0.01},
    ):
        p = {k: jnp.asarray(changes.get(k, v)) for k, v in cases[name].values.items()}
        value, gradient = losses_and_gradients(name, p, x)
        assert np.isfinite(value).all()
        for symbol, g in gradient.items():
            assert np.isfinite(g).all(), (symbol, changes)


def test_stretches_tile_the_drops_and_padding_is_empty():
    schedule = SMOOTH["wsd linear"]
    seg = schedule.segments(16)
    assert all(a.shape == (16,) for a in seg.values())
    assert (seg["seg_step0"][0], seg["seg_step1"][-1]) == (20_000, 24_000)
    np.testing.assert_array_equal(seg["seg_step0"][1:], seg["seg_step1"][:-1])
    assert seg["seg_drop"].sum() == pytest.approx(0.9 * PEAK)
    np.testing.assert_allclose(
        seg["seg_S1"] - seg["seg_S0"], np.diff(schedule.sums(np.append(seg["seg_step0"], 24_000)))
    )
    two = Schedule.two_stage(PEAK, 9e-5, 8000, 16_000, WARMUP).segments(16)
    assert (two["seg_step0"][0], two["seg_step1"][0], two["seg_eta"][0]) == (7999, 8000, 9e-5)
    assert (two["seg_drop"][1:] == 0).all()
    assert (two["seg_step1"] > two["seg_step0"]).all()


def test_runs_of_a_lower_peak_begin_with_the_drop_to_it():
    schedule = SMOOTH["wsd linear"]
    alone, among = schedule.segments(16), schedule.segments(16, top=2 * PEAK)
    assert among["seg_drop"].sum() == pytest.approx(alone["seg_drop"].sum() + PEAK)
    head = {k: float(a[0]) for k, a in among.items()}
    assert (head["seg_step0"], head["seg_step1"], head["seg_S0"]) == (0, schedule.warmup, 0)
    assert (head["seg_eta"], head["seg_drop"]) == pytest.approx((PEAK, PEAK))
    assert head["seg_S1"] == pytest.approx(float(schedule.sums(schedule.warmup)))
    same = schedule.segments(16, top=PEAK)
    assert all(np.array_equal(a, alone[k]) for k, a in same.items())


@pytest.mark.parametrize("clock", [0.7, 1.3])
def test_stretches_keep_the_clock(clock):
    schedule = SMOOTH["cosine"]
    seg = schedule.segments(16, clock=clock)
    np.testing.assert_allclose(seg["seg_S0"], schedule.sums(seg["seg_step0"], clock))
    np.testing.assert_allclose(seg["seg_S1"], schedule.sums(seg["seg_step1"], clock))
    assert seg["seg_drop"].sum() == pytest.approx(schedule.segments(16)["seg_drop"].sum())


def test_asked_for_edges_are_boundaries():
    seg = SMOOTH["cosine"].segments(16, edges=[5000, 9999.6])
    assert {5000, 10_000} <= set(seg["seg_step0"])


@pytest.mark.parametrize("name", ["annealed", "multi-power"])
def test_a_stretch_holds_no_rise_and_fall(cases, name):
    # sixteen restarts, logged every 50 steps: the restart's rise and a part of the fall beside it stood in one stretch
    rows = np.arange(50, 20_001, 50)
    share = (rows - 1000) % 1187.5 / 1187.5
    rates = PEAK * np.where(rows < 1000, rows / 1000, 0.1 + 0.45 * (1 + np.cos(np.pi * share)))
    schedule = Schedule.from_rows(rows, rates, warmup=1000)
    steps = on_the_way(schedule, 100)
    whole = PEAK / (1 - cases[name].values["lam"]) if name == "annealed" else PEAK
    error = np.abs(gains(cases, name, schedule, steps, 32) - exact(cases, name, schedule, steps)).max() / whole
    assert error < 0.12
    # where rises and falls outnumber the stretches, the drops still add up
    seg = schedule.segments(8)
    assert seg["seg_drop"].sum() == pytest.approx(schedule.rate(1000) - schedule.rate(20_000))


def test_more_jumps_than_stretches_still_sum_to_the_whole_drop():
    steps = np.concatenate([[0.0], *[[100 * i, 100 * i + 1] for i in range(1, 41)]])
    rates = np.concatenate([[1.0], *[[0.97 ** (i - 1), 0.97**i] for i in range(1, 41)]])
    seg = Schedule(steps, rates).segments(8)
    assert (seg["seg_drop"] != 0).sum() == 8
    assert seg["seg_drop"].sum() == pytest.approx(1 - 0.97**40)


@pytest.mark.skipif(
    not (DATA / "multipowerlaw").exists(), reason="no multipowerlaw data; set BAYESLAW_DATA to its folder"
)
@pytest.mark.parametrize("name", ["annealed", "multi-power"])
def test_few_stretches_tell_logged_schedules(cases, name):
    import pandas as pd

    frame = pd.read_csv(DATA / "multipowerlaw" / "runs.csv")
    for run, rows in frame[frame.n_params == 25_000_000].groupby("run"):
        schedule = Schedule.from_rows(rows.step, rows.lr)
        steps = on_the_way(schedule, 100)
        reference = exact(cases, name, schedule, steps)
        error = np.abs(gains(cases, name, schedule, steps, 64) - reference).max()
        assert error <= 2e-3 * reference.max(), run
        if "wsdcon" in str(run):
            assert error <= 1e-9 * reference.max(), run
