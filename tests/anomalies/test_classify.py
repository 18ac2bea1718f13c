"""Templates: what a stretch of residuals is taken for, its size, its end, and what is left over."""

import numpy as np
import pytest

from bayeslaw.anomalies.classify import classify

K = np.arange(100.0)
SHAPES = {
    "point": (K == 0) * 1.0,
    "spike": np.exp(-K / 20),
    "malignant_spike": 0.75 * np.exp(-K / 20) + 0.25,
    "level": np.ones(100),
    "drift": np.minimum((K + 1) / 80, 1),
    "divergence": np.expm1(K / 30) / np.expm1(100 / 30),
}


def judged(shape, height, seed, scale=0.004):
    noise = np.random.default_rng(seed).standard_t(5, len(shape)) * 0.8
    return classify(scale * (height * shape + noise), np.full(len(shape), scale))


@pytest.mark.parametrize("kind", list(SHAPES))
def test_kinds(kind):
    called = [judged(SHAPES[kind], 15.0, seed).kind for seed in range(40)]
    assert called.count(kind) >= 34


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_size_does_not_depend_on_direction(sign):
    verdict = judged(sign * SHAPES["level"], 10.0, 3)
    assert verdict.magnitude == pytest.approx(sign * 0.04, abs=0.002)
    assert verdict.lasting == pytest.approx(sign * 0.04, abs=3 * verdict.lasting_sd)


def test_benign_is_told_from_malignant():
    right = sum(judged(SHAPES["spike"], 20.0, seed).kind == "spike" for seed in range(50))
    right += sum(judged(SHAPES["malignant_spike"], 20.0, seed).kind == "malignant_spike" for seed in range(50))
    assert right >= 85


def test_a_spike_ends_where_it_is_back_in_the_noise():
    verdict = judged(np.exp(-K / 5), 30.0, 1)
    assert 10 <= verdict.end <= 25


def test_probabilities_sum_to_one_and_noise_is_not_a_certain_anything():
    verdict = classify(np.random.default_rng(0).standard_normal(60) * 0.01, np.full(60, 0.01))
    assert sum(verdict.odds.values()) == pytest.approx(1.0)
    assert abs(verdict.magnitude) < 0.05


def test_one_row_is_enough():
    verdict = classify(np.array([0.5]), np.array([0.01]))
    assert verdict.magnitude == 0.5
    assert verdict.peak == verdict.end == 0
