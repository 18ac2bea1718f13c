"""Scores against closed forms, and intervals over runs against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayeslaw import scores
from bayeslaw.errors import DataError


@pytest.fixture(scope="module")
def normal():
    """Many draws of N(2, 0.5) for three truths."""
    return 2 + 0.5 * np.random.default_rng(0).standard_normal((20_000, 3)), np.array([1.2, 2.0, 3.1])


def test_crps_is_that_of_a_normal(normal):
    draws, truth = normal
    w = (truth - 2) / 0.5
    exact = 0.5 * (w * (2 * stats.norm.cdf(w) - 1) + 2 * stats.norm.pdf(w) - 1 / np.sqrt(np.pi))  # Gneiting 2005
    np.testing.assert_allclose(scores.crps(draws, truth), exact, atol=0.01)


def test_log_score_is_minus_the_log_density(normal):
    draws, truth = normal
    np.testing.assert_allclose(scores.log_score(draws, truth), -stats.norm.logpdf(truth, 2, 0.5), atol=0.06)


def test_interval_score_by_hand():
    found = scores.interval_score([1.0, 1.0], [2.0, 2.0], [1.5, 2.3], 0.9)
    np.testing.assert_allclose(found, [1.0, 1.0 + 20 * 0.3])


def test_interval_and_pit_of_a_normal(normal):
    draws, truth = normal
    low, high = scores.interval(draws, 0.9)
    np.testing.assert_allclose([low[0], high[0]], [2 - 0.5 * 1.645, 2 + 0.5 * 1.645], atol=0.03)
    np.testing.assert_allclose(scores.pit(draws, truth), stats.norm.cdf(truth, 2, 0.5), atol=0.01)


def test_pit_counts_ties_half_and_stays_inside():
    assert scores.pit(np.array([[1.0], [1.0], [2.0], [3.0]]), 1.0)[0] == pytest.approx((1 + 0.5) / 5)
    assert 0 < scores.pit(np.zeros((9, 1)), -1.0)[0] < scores.pit(np.zeros((9, 1)), 1.0)[0] < 1


def test_shapes_and_infinities_are_refused():
    with pytest.raises(DataError, match=r"\(S, n\)"):
        scores.crps(np.zeros(3), np.zeros(3))
    with pytest.raises(DataError, match="finite"):
        scores.crps(np.array([[1.0], [np.inf]]), [1.0])


def _clustered(rng, runs=20, rows=15, shift=0.0, scale=1.0):
    """PIT values of runs whose points err together (correlation 0.8), uniform where shift is 0 and scale 1."""
    common, own = rng.standard_normal((runs, 1)), rng.standard_normal((runs, rows))
    z = scale * (np.sqrt(0.8) * common + np.sqrt(0.2) * own) + shift
    return stats.norm.cdf(z).ravel(), np.repeat(np.arange(runs), rows)


def test_pit_test_keeps_its_size_when_points_hang_together_and_sees_what_is_wrong():
    rng = np.random.default_rng(1)
    honest = [scores.pit_test(*_clustered(rng)).p for _ in range(400)]
    assert 0.02 < np.mean(np.array(honest) < 0.05) < 0.12
    # the naive test, as if points were independent, is fooled: this is what the clusters are for
    naive = [stats.kstest(_clustered(rng)[0], "uniform").pvalue for _ in range(100)]
    assert np.mean(np.array(naive) < 0.05) > 0.5
    narrow = scores.pit_test(*_clustered(rng, runs=40, scale=2.0))
    assert narrow.p < 0.05
    assert narrow.spread > 1.2
    high = scores.pit_test(*_clustered(rng, runs=40, shift=1.0))
    assert high.p < 0.05
    assert high.bias > 0.1


def _one_each(rng, runs):
    """Honest PIT values, all points of a run the same."""
    return np.repeat(rng.random(runs), 5), np.repeat(np.arange(runs), 5)


def _some_bad(rng, runs):
    """Honest PIT values of runs one in ten of which ends below its band's first tenth, and no other."""
    bad = rng.random((runs, 1)) < 0.1
    u = np.where(bad, 0.1 * rng.random((runs, 15)), 0.1 + 0.9 * rng.random((runs, 15)))
    return u.ravel(), np.repeat(np.arange(runs), 15)


@pytest.mark.parametrize("runs", [4, 10, 20])
@pytest.mark.parametrize("make", [_one_each, _some_bad])
def test_pit_test_rejects_no_more_honest_forecasts_than_it_says_with_few_runs(make, runs):
    rng = np.random.default_rng(runs)
    p = np.array([scores.pit_test(*make(rng, runs)).p for _ in range(1000)])
    assert np.mean(p < 0.05) < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 1000)
    assert np.mean(p < 0.01) < 0.01 + 2.5 * np.sqrt(0.01 * 0.99 / 1000)
    if make is _one_each:
        assert np.mean(p < 0.05) > 0.03


def test_pit_test_sees_with_few_runs_what_is_far_wrong():
    rng = np.random.default_rng(4)
    narrow = [scores.pit_test(*_clustered(rng, runs=10, scale=3.0)).p for _ in range(200)]
    high = [scores.pit_test(*_clustered(rng, runs=6, shift=1.5)).p for _ in range(200)]
    wide = [scores.pit_test(*_clustered(rng, runs=20, scale=0.4)).p for _ in range(200)]
    assert min(np.mean(np.array(p) < 0.05) for p in (narrow, high, wide)) > 0.8
    assert np.isnan(scores.pit_test([0.1, 0.2, 0.3], [0, 1, 2]).p)
    assert np.isnan(scores.pit_test([], []).p)


def test_spread_is_the_mean_square_about_the_middle():
    u = np.array([0.93, 0.95, 0.97, 0.95])
    found = scores.pit_test(u, np.arange(4))
    assert found.spread == pytest.approx(12 * np.mean((u - 0.5) ** 2))
    assert found.bias == pytest.approx(0.45)


def test_pooled_interval_covers_as_often_as_it_says():
    rng, inside = np.random.default_rng(2), 0
    for seed in range(300):
        # a run's coverage is all or nothing, nine times in ten
        values = (rng.random(30) < 0.9).astype(float)
        inside += 0.9 in scores.pooled(values, np.arange(30), draws=400, seed=seed)
    assert 0.85 < inside / 300 <= 1.0


def test_pooled_draws_whole_runs_again():
    values = np.repeat([0.0, 1.0, 0.0, 1.0], 50)
    together = scores.pooled(values, np.repeat(np.arange(4), 50))
    apart = scores.pooled(values, np.arange(200))
    assert together.value == apart.value == 0.5
    assert together.high - together.low > 3 * (apart.high - apart.low)
    assert np.isnan(scores.pooled(values, np.repeat([0, 1], 100)).low)


def test_simultaneous_band_is_wider_than_pointwise_and_covers_all_at_once():
    rng, inside = np.random.default_rng(3), 0
    for seed in range(150):
        values = rng.standard_normal((60, 8))
        _, low, high = scores.simultaneous_band(values, np.arange(60), draws=300, seed=seed)
        inside += bool(((low <= 0) & (high >= 0)).all())
    assert inside / 150 > 0.85
    se = values.std(axis=0) / np.sqrt(60)
    assert ((high - low) / 2 > 2.2 * se).all()


def test_log_score_stays_a_number_far_outside(normal):
    draws, _ = normal
    found = scores.log_score(draws[:, :2], np.array([2.0 + 0.5 * 100, 2.0]))
    assert found[0] == pytest.approx(0.5 * 100**2, rel=0.05)
