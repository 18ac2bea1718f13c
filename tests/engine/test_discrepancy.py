"""The discrepancy's covariance and its interpolation, against the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayeslaw.engine.discrepancy import interpolation, ou_factor


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def covariance(scale, length, step, knots):
    factor = np.asarray(ou_factor(scale, length, step, knots))
    return factor @ factor.T


@pytest.mark.parametrize(("scale", "length", "step"), [(0.004, 1.0, 0.5), (2.0, 0.2, 0.5), (1.0, 1e4, 0.1)])
def test_factor_squared_is_the_ou_covariance(scale, length, step):
    t = step * np.arange(12)
    expected = scale**2 * np.exp(-np.abs(t[:, None] - t) / length)
    np.testing.assert_allclose(covariance(scale, length, step, 12), expected, rtol=1e-11)
    factor = np.asarray(ou_factor(scale, length, step, 12))
    assert (factor[np.triu_indices(12, 1)] == 0).all()


def test_more_knots_change_nothing_at_the_old_ones():
    few, many = np.asarray(ou_factor(0.01, 0.7, 0.5, 8)), np.asarray(ou_factor(0.01, 0.7, 0.5, 20))
    np.testing.assert_allclose(many[:8, :8], few, rtol=1e-14)
    # nor does starting the grid earlier: the process is stationary
    np.testing.assert_allclose(covariance(0.01, 0.7, 0.5, 20)[5:13, 5:13], covariance(0.01, 0.7, 0.5, 8), rtol=1e-11)


def test_gradients_are_finite_where_knots_all_but_agree():
    slope = jax.grad(lambda length: jnp.sum(ou_factor(1.0, length, 0.5, 6)))(1e6)
    assert np.isfinite(slope)


def test_interpolation_is_straight_between_knots_and_level_beyond():
    log_x = np.array([-9.0, -1.0, -0.75, 0.1, 2.5, 9.0])
    weights = np.asarray(interpolation(log_x, -1.0, 0.5, 8))
    knots = -1.0 + 0.5 * np.arange(8)
    path = np.random.default_rng(0).normal(size=8)
    np.testing.assert_allclose(weights @ path, np.interp(log_x, knots, path), atol=1e-12)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
