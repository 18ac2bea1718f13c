"""The mixture over scales is a density, its tails are its integrals, and scatter updates it by Bayes' rule."""

import numpy as np
import pytest
from scipy import integrate, stats

from bayeslaw.anomalies import noise


def weights():
    counts = np.zeros((1, 2, len(noise.SCALES)))
    counts[0, 1, 2] = 4.0
    return noise.weights(counts)


def value(e, w):
    return float(noise.density(np.array([[e]]), w)[0, 0]) / np.sqrt(2 * np.pi)


def test_density_integrates_to_one():
    w = weights()
    total = sum(
        integrate.quad(value, a, b, args=(w,), limit=200)[0] for a, b in [(-400, -20), (-20, 0), (0, 20), (20, 400)]
    )
    assert total == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("at", [-7.0, -1.0, 0.5, 4.0, 30.0])
def test_tail_is_twice_the_integral_of_its_side(at):
    w = weights()
    side = (at, 600) if at > 0 else (-600, at)
    expected = 2 * integrate.quad(value, *side, args=(w,), limit=400, points=[at])[0]
    assert noise.tail(np.array([at]), w)[0] == pytest.approx(expected, rel=1e-5)


def test_scatter_updates_the_weights_by_bayes_rule():
    w = weights()
    got = noise.given_scatter(w, np.array([37.0]), np.array([2.0]))[0, 1]
    like = stats.chi2(2).pdf(37.0 / noise.SCALES**2) / noise.SCALES**2
    bayes = w[0, 1] * like / (w[0, 1] * like).sum()
    assert got == pytest.approx((1 - noise.SINGLE.sum()) * bayes + noise.SINGLE, rel=1e-9)
    assert got.sum() == pytest.approx(1.0)


def test_many_quiet_siblings_prove_no_more_than_a_few():
    w = weights()
    two, four = (noise.given_scatter(w, np.array([n]), np.array([n])) for n in (2.0, 4.0))
    assert four == pytest.approx(two)


def test_without_a_second_sibling_the_weights_stay_but_for_what_befalls_one_run():
    w = weights()
    got = noise.given_scatter(w, np.zeros(1), np.zeros(1))
    assert got == pytest.approx((1 - noise.SINGLE.sum()) * w + noise.SINGLE)


def test_no_agreement_of_siblings_rules_out_what_befalls_one_run():
    w = noise.weights(np.zeros((1, 2, len(noise.SCALES))), noise.CONTRAST_PRIOR)
    still = noise.given_scatter(w, np.zeros(1), np.array([1.0]))
    for at in (8.0, 16.0):
        assert noise.tail(np.array([at]), still)[0] >= noise.tail(np.array([at]), np.tile(noise.SINGLE, (1, 2, 1)))[0]


def test_quiet_siblings_make_an_outlier_less_believable():
    w = noise.weights(np.zeros((1, 2, len(noise.SCALES))), noise.CONTRAST_PRIOR)
    quiet = noise.given_scatter(w, np.array([1.0]), np.array([3.0]))
    wild = noise.given_scatter(w, np.array([400.0]), np.array([3.0]))
    p = [noise.tail(np.array([12.0]), v)[0] for v in (quiet, w, wild)]
    assert p[0] < p[1] / 3 < p[2]
