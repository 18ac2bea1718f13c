"""What is given, in the parameters that runs share: draws picked by how well they explain it."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw import forecast
from bayeslaw.engine.weights import resampled

S = 4000


@pytest.mark.parametrize("slope", [-0.7, 0.4, 1.0])
def test_a_tilted_normal_is_a_shifted_normal(slope):
    """Weights exp(c z) turn N(0, 1) into N(c, 1), and are worth S exp(-c^2) draws."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal(S)
    pick, worth, k = resampled(slope * z, rng)
    assert z[pick].mean() == pytest.approx(slope, abs=0.08)
    assert z[pick].std() == pytest.approx(1.0, abs=0.08)
    assert worth == pytest.approx(S * np.exp(-(slope**2)), rel=0.15)
    assert k < 0.5


def test_a_narrow_likelihood_says_that_it_is_narrow():
    """A likelihood a hundred times narrower than the draws leaves a hundredth or so of them."""
    rng = np.random.default_rng(1)
    z = rng.standard_normal(S)
    pick, worth, _ = resampled(-0.5 * ((z - 0.5) / 0.01) ** 2, rng)
    assert z[pick].mean() == pytest.approx(0.5, abs=0.005)
    # S draws of density phi(0.5), over a width of 2 sqrt(pi) 0.01: 50, give or take what smoothing does to them
    assert 25 < worth < 100


def test_equal_weights_pick_every_draw_once():
    pick, worth, _ = resampled(np.full(S, -3.0), np.random.default_rng(2))
    np.testing.assert_array_equal(np.sort(pick), np.arange(S))
    assert worth == S


@pytest.mark.parametrize(
    "log_w",
    [
        np.r_[np.zeros(60), -np.arange(1, 141.0)],  # the tail has no spread
        -1e5 * np.arange(200.0),  # all but one are nothing
        np.linspace(-1, 0, 10),  # too few draws for a tail
        np.repeat(np.linspace(-3, 0, 20), 10),  # ties, as a chain that stays makes them
    ],
)
def test_odd_weights_are_taken_as_they_are(log_w):
    pick, worth, _ = resampled(log_w, np.random.default_rng(3))
    weights = np.exp(log_w - log_w.max())
    assert worth == pytest.approx(weights.sum() ** 2 / (weights**2).sum(), rel=0.05)
    # systematic picks: no draw is off its share by more than one
    share = len(log_w) * weights / weights.sum()
    assert (abs(np.bincount(pick, minlength=len(log_w)) - share) <= 1.3).all()


def test_what_one_run_tells_moves_the_others_of_its_group(toy_fit, toy_frame):
    """Two new runs of a new group: one given 3 % above the first group, so that the other is expected higher too."""
    known = toy_frame[(toy_frame["run"] == "c4-3e+08") & (toy_frame["step"] <= 10_000)].assign(group="books", run="a")
    steps = np.array([12_000.0, 20_000.0])
    rows = pd.DataFrame({"group": "books", "n_params": 3e8, "step": steps, "tokens": steps * 5e5})
    at = pd.concat([rows.assign(run="a"), rows.assign(run="b")])
    other = {
        shift: forecast(toy_fit, at, known.assign(loss=shift * known["loss"]), draws=200).frame["curve_mean"][2:]
        for shift in (0.97, 1.03)
    }
    # the group's own E, A and B are free to move: most of the 6 % between the two is handed on
    assert (other[1.03] / other[0.97] > 1.02).all()
