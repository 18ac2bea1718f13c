"""Likelihood ratios have mean one under health, and the average run length keeps its bound."""

import numpy as np
import pytest
from scipy import integrate

from bayeslaw.anomalies import evidence, noise

W = noise.weights(np.zeros((1, 2, len(noise.SCALES))))


def draw(rng, size):
    """Residuals from the health model itself."""
    side = rng.integers(0, 2, size)
    cumulative = W[0].cumsum(axis=1)[side]
    scale = noise.SCALES[np.minimum((rng.random(size)[..., None] > cumulative).sum(-1), len(noise.SCALES) - 1)]
    return np.where(side > 0, 1, -1) * np.abs(rng.standard_normal(size)) * scale


def test_every_ratio_has_mean_one_under_health():
    def weighted(e, k):
        ratio = evidence.ratios(np.array([e]), W, np.zeros(1), np.zeros(1))[0, k]
        return ratio * noise.density(np.array([[e]]), W)[0, 0] / np.sqrt(2 * np.pi)

    for k in range(evidence.N_DETECTORS):
        pieces = [(-900, -60), (-60, -8), (-8, 0), (0, 8), (8, 60), (60, 900)]
        shift = evidence.SHIFTS[k % len(evidence.SHIFTS)] if k < 2 * len(evidence.SHIFTS) else 0.0
        cuts = [-shift, shift]
        total = 0.0
        for a, b in pieces:
            inside = [c for c in cuts if a < c < b] or None
            total += integrate.quad(weighted, a, b, args=(k,), limit=300, points=inside)[0]
        assert total == pytest.approx(1.0, abs=2e-3), k


def test_shares_of_the_budget_sum_to_one():
    assert sum(evidence.BUDGET.values()) == pytest.approx(1.0)
    ones = np.ones((1, evidence.N_DETECTORS))
    assert evidence.combine(ones, np.ones(1))[0] == pytest.approx(1.0)
    assert evidence.by_kind(ones, np.ones(1)).sum() == pytest.approx(1.0)


def alarms(scale, seed=0, streams=200, steps=1000, rate=0.01):
    rng = np.random.default_rng(seed)
    e = scale * draw(rng, (steps, streams))
    w = np.repeat(W, streams, axis=0)
    state, count = np.zeros((streams, evidence.N_DETECTORS)), 0
    for k in range(steps):
        _, point = evidence.point_evidence(e[k], w, rate)
        state = evidence.advance(state, evidence.ratios(e[k], w, np.zeros(streams), np.zeros(streams)))
        hit = evidence.combine(state, point) >= 1 / rate
        state[hit] = 0
        count += hit.sum()
    return count / (streams * steps) / rate


def test_false_alarms_keep_to_the_rate():
    assert 0.1 < alarms(1.0) <= 1.0


def test_the_bound_fails_where_the_noise_is_not_the_model():
    assert alarms(1.7) > 1.5


def test_a_tolerated_wander_raises_no_alarm_that_an_untolerated_one_does():
    e, w = np.full(400, 0.4), np.repeat(W, 400, 0)
    for tolerance, expected in ((0.6, False), (0.0, True)):
        ratio = evidence.ratios(e, w, np.full(400, tolerance), np.zeros(400))
        state = np.zeros((1, evidence.N_DETECTORS))
        for k in range(400):
            state = evidence.advance(state, ratio[k : k + 1])
        assert (evidence.by_kind(state, np.zeros(1))[0, 1] >= 1e4) is np.bool_(expected)


def test_a_tempered_ratio_has_mean_at_most_one():
    e = np.linspace(-200, 200, 400_001)
    f = noise.density(e[None], W)[0] / np.sqrt(2 * np.pi)
    w = np.repeat(W, len(e), 0)
    ratio = evidence.ratios(e, w, np.zeros(len(e)), np.zeros(len(e)), np.full(len(e), 0.6))
    mean = (ratio * f[:, None]).sum(axis=0) * (e[1] - e[0])
    assert (mean < 1.0 + 1e-6).all()
    assert (mean > 0.01).all()


def test_a_single_loss_alarms_on_its_own_side_at_that_sides_share():
    w = np.repeat(W, 3, 0)
    for sign, share in ((1, evidence.POINT_UP), (-1, evidence.POINT_DOWN)):
        grid = sign * np.linspace(2, 60, 20_000)
        big = np.repeat(W, len(grid), 0)
        p, hit = evidence.point_evidence(grid, big, 1e-3)
        first = int(np.argmax(hit > 0))
        assert 0.5 * p[first] == pytest.approx(share * 1e-3, rel=0.02)
    assert evidence.combine(
        np.zeros((3, evidence.N_DETECTORS)), evidence.point_evidence(np.full(3, 500.0), w, 1e-3)[1]
    )[0] == pytest.approx(1e3)
