"""The replay of next runs (benchmarks): its fast fits against the slow ones, its reading of errors on known cases."""

import importlib
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SHARES = (0.0625, 0.125, 0.25, 0.5)


@pytest.fixture
def bench(monkeypatch):
    """``bench(name)``: a module of the benchmarks folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def pools(value):
    """Two sub-pools whose random orders err 8, 4, 2, 1 on average, and 0.5 with all runs bought."""
    return [
        {"value": [v * factor for v in value], "random": [[9.0, 5, 3, 2], [7.0, 3, 1, 0]], "all": 0.5}
        for factor in (0.9, 1.1)
    ]


def test_compute_that_random_orders_need(bench):
    times = bench("replay_report").times_compute
    assert times(pools([8, 2, 2, 1]), "value", "random", SHARES, 1) == pytest.approx(2)
    assert times(pools([8, 4, 2, 1]), "value", "random", SHARES, 2) == pytest.approx(1)
    # half way in logs, and no further than all runs
    assert times(pools([8, 8**0.5, 2, 1]), "value", "random", SHARES, 1) == pytest.approx(2**0.5)
    assert times(pools([8, 0.1, 2, 1]), "value", "random", SHARES, 1) == pytest.approx(8)


def test_duels_count_ties_as_half(bench):
    duel = bench("replay_report").duel
    found = [{"value": [1.0, 2, 3, 4], "D": [1.0, 1, 4, 5], "all": 2.0}] * 2
    gap, won, ratio = duel(found, "value", "D", False)
    assert np.allclose(gap, 0.25)
    assert won == pytest.approx((0.5 + 0 + 1 + 1) / 4)
    assert ratio == pytest.approx(10 / 11)
    # at twice the compute the other's errors are 1, 4, 5 and, with all runs, 2
    gap, won, ratio = duel(found, "value", "D", True)
    assert np.allclose(gap, 0.5)
    assert won == pytest.approx((0.5 + 1 + 1 + 0) / 4)


@pytest.mark.slow
def test_fast_fits_find_the_slow_ones_mode(bench, made_fit):
    import bayeslaw as bl
    from bayeslaw.cards import load_card
    from bayeslaw.plan.surface import Surface

    quick, swift = bench("quick"), bench("swift")
    frame = made_fit().problem.bins[["run", "n_params", "tokens", "loss"]]
    card, runs = load_card(quick.PLAIN), bl.Runs.from_frame(frame)
    seen = np.arange(len(frame)) % 2 == 0
    fast = swift.Pool(card, runs).fit(seen, 800, 4000)
    slow = quick.quick_fit(card, runs, draws=800, proposals=4000, seen=seen)
    assert np.array_equal(fast.problem.data["rows"]["mask"], slow.problem.data["rows"]["mask"])
    a, b = fast.draws(800), slow.draws(800)
    assert np.abs((a.mean(axis=0) - b.mean(axis=0)) / b.std(axis=0)).max() < 0.2
    surface = swift.SwiftSurface(fast, draws=50)
    plain = Surface(fast, draws=50)
    for name, value in plain.values.items():
        assert np.allclose(value, surface.values[name], rtol=1e-12)
