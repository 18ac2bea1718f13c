"""Gaussian algebra of one series: run effects and discrepancy integrated out, or drawn given data.

One series has residuals ``r = G b + e`` with ``b ~ N(0, I)`` of K coefficients (their scales are inside ``G``) and
independent ``e ~ N(0, var)``. Everything costs O(n K^2 + K^3): linear in the number of bins.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular

Array = jax.Array
LOG_2PI = 1.8378770664093453
#: operations below which jaxlib works on a batch of matrices in the thread that asks (its limit is 200,000)
ALONE = 190_000


@jax.custom_jvp
def inverse_logdet(m: Array) -> tuple[Array, Array]:
    """``(M^-1, log det M)`` of a positive definite M (K, K).

    The tangents are spelled out (``-M^-1 dM M^-1``, ``tr(M^-1 dM)``) so that they are products of matrices: JAX's own
    would be further triangular solves, one for each direction of a Hessian.
    """
    chol = jnp.linalg.cholesky(m)
    inverse = cho_solve((chol, True), jnp.eye(m.shape[-1], dtype=m.dtype))
    return inverse, 2 * jnp.sum(jnp.log(jnp.diagonal(chol)))


@inverse_logdet.defjvp
def _tangents(primals, tangents):
    inverse, logdet = inverse_logdet(*primals)
    (dm,) = tangents
    return (inverse, logdet), (-inverse @ dm @ inverse, jnp.sum(inverse * dm.T))


@jax.custom_vjp
def quad_logdet(m: Array, v: Array) -> tuple[Array, Array]:
    """``(v' M^-1 v, log det M)`` of a positive definite M (K, K) and v (K,).

    The gradient is spelled out (``-a a'``, ``2 a``, ``M^-1`` with ``a = M^-1 v``): JAX's own, through the Cholesky
    factor, costs several times more for matrices this small.
    """
    return _quad_logdet(m, v)[0]


def _quad_logdet(m, v):
    # one inverse gives both a and what the gradient needs
    inverse, logdet = inverse_logdet(m)
    a = inverse @ v
    return (v @ a, logdet), (a, inverse)


def _backward(saved, cotangents):
    a, inverse = saved
    d_quad, d_logdet = cotangents
    return d_logdet * inverse - d_quad * jnp.outer(a, a), 2 * d_quad * a


quad_logdet.defvjp(_quad_logdet, _backward)


def log_evidence(r: Array, var: Array, g: Array, mask: Array) -> Array:
    """Log density of the residuals r (n,) with noise variances var (n,), design g (n, K); masked rows count nothing."""
    weight = jnp.where(mask, 1 / var, 0.0)
    base = -0.5 * jnp.sum(jnp.where(mask, r**2 / var + jnp.log(var) + LOG_2PI, 0.0))
    if g.shape[-1] == 0:
        return base
    weighted = g * weight[:, None]
    quad, logdet = quad_logdet(jnp.eye(g.shape[-1], dtype=g.dtype) + g.T @ weighted, weighted.T @ r)
    return base + 0.5 * quad - 0.5 * logdet


def log_evidences(r: Array, var: Array, g: Array, mask: Array) -> Array:
    """``log_evidence`` (m,) of m series: r, var and mask (m, n), g (m, n, K).

    As many series at once as jaxlib factorises without help from its pool of threads: beyond ``ALONE`` operations it
    hands out parts of a batch and blocks, and where as many chains as the pool has threads do so at the same time,
    all of them wait for ever (jaxlib/cpu/lapack_kernels.cc, ParallelBatchMap; seen with 0.10).
    """
    return _each(log_evidence, g.shape[-1], r, var, g, mask)


def _each(function: Callable[..., Any], k: int, *arguments: Array) -> Any:
    """``function``, which factorises a k × k matrix, along the first axis of its arguments."""
    at_once = max(ALONE // max(k, 1) ** 3, 1)
    if arguments[0].shape[0] <= at_once:
        return jax.vmap(function)(*arguments)
    return jax.lax.map(lambda one: function(*one), arguments, batch_size=at_once)


def tellings(r: Array, var: Array, g: Array, h: Array, mask: Array) -> tuple[Array, Array, Array]:
    """What each of m series tells of coefficients ``a`` that it shares with others, ``r = H a + G b + e``.

    Shapes as in ``log_evidences``, h (m, n, L). With V the covariance of ``G b + e``: information ``H' V^-1 H``
    (m, L, L), score ``H' V^-1 r`` (m, L), and log density (m,) of r at ``a = 0``.
    """
    return _each(_telling, g.shape[-1], r, var, g, h, mask)


def _telling(r: Array, var: Array, g: Array, h: Array, mask: Array) -> tuple[Array, Array, Array]:
    product = gram(jnp.concatenate([g, h, r[:, None]], axis=1), jnp.where(mask, 1 / var, 0.0))
    own = g.shape[-1]
    rest, logdet = without(product, own) if own else (product, 0.0)
    at_zero = -0.5 * (jnp.sum(jnp.where(mask, jnp.log(var) + LOG_2PI, 0.0)) + rest[-1, -1] + logdet)
    return rest[:-1, :-1], rest[:-1, -1], at_zero


@jax.custom_vjp
def gram(x: Array, weight: Array) -> Array:
    """``X' diag(weight) X`` (k, k) of x (n, k). Its gradient, spelled out, is one product in place of two."""
    return x.T @ (x * weight[:, None])


def _gram_backward(saved, cotangent):
    x, weight = saved
    pulled = x @ (cotangent + cotangent.T)
    return pulled * weight[:, None], 0.5 * jnp.sum(pulled * x, axis=1)


gram.defvjp(lambda x, weight: (gram(x, weight), (x, weight)), _gram_backward)


def without(product: Array, k: int) -> tuple[Array, Array]:
    """Of a symmetric M (m, m), whose first k coordinates are standard normal and integrated out: what is left for the
    others, ``M_bb - M_ba (I + M_aa)^-1 M_ab``, and ``log det (I + M_aa)``. The gradient is spelled out."""
    return _left(product, k)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _left(product, k) -> Any:
    return _without(product, k)[0]


def _without(product, k):
    inverse, logdet = inverse_logdet(jnp.eye(k, dtype=product.dtype) + product[:k, :k])
    gain = inverse @ product[:k, k:]
    return (product[k:, k:] - product[k:, :k] @ gain, logdet), (inverse, gain)


def _without_backward(k, saved, cotangents):
    inverse, gain = saved
    d_rest, d_logdet = cotangents
    d_rest = 0.5 * (d_rest + d_rest.T)
    across = gain @ d_rest
    return (jnp.block([[across @ gain.T + d_logdet * inverse, -across], [-across.T, d_rest]]),)


_left.defvjp(_without, _without_backward)


def eliminated(information: Array, score: Array, k: int) -> tuple[Array, Array, Array]:
    """The first k of L shared coefficients, ``N(0, I)``, integrated out, for each of o sets of series that share them.

    From information (o, L, L) and score (o, L): by how much the log density of all rises over those coefficients being
    0, and information and score (o, L - k) of the rest.
    """
    if information.shape[-1] == k:
        quad, logdet = _each(quad_logdet, k, jnp.eye(k, dtype=information.dtype) + information, score)
        return 0.5 * jnp.sum(quad - logdet), information[:, k:, k:], score[:, k:]

    def one(information: Array, score: Array) -> tuple[Array, Array, Array]:
        # with the score as one more coordinate, whose own entry becomes minus what integrating out gains
        bordered = jnp.block([[information, score[:, None]], [score[None, :], jnp.zeros((1, 1), score.dtype)]])
        rest, logdet = without(bordered, k)
        return -0.5 * (rest[-1, -1] + logdet), rest[:-1, :-1], rest[:-1, -1]

    gain, information, score = _each(one, k, information, score)
    return jnp.sum(gain), information, score


def halfway(r: Array, var: Array, g: Array, mask: Array) -> tuple[Array, Array]:
    """Of b given r: the Cholesky factor L (K, K) of its precision, and ``L' mean`` (K,). With every row masked: the
    prior's."""
    weight = jnp.where(mask, 1 / var, 0.0)
    weighted = g * weight[:, None]
    chol = jnp.linalg.cholesky(jnp.eye(g.shape[-1], dtype=g.dtype) + g.T @ weighted)
    return chol, solve_triangular(chol, weighted.T @ r, lower=True)


def draw(chol: Array, half: Array, noise: Array) -> Array:
    """One exact draw of b from standard normals ``noise`` (K,), see ``halfway``: mean and deviation come out of one
    solve, because two that do not wait for one another can stop for ever (``log_evidences``)."""
    return solve_triangular(chol, half + noise, lower=True, trans=1)


def leave_one_out(r: Array, var: Array, g: Array, mask: Array) -> Array:
    """Log density (n,) of each residual given all the others of its series; 0 where masked.

    Closed form: with S the marginal covariance, residual j given the rest has precision ``(S^-1)_jj`` and deviates
    from its conditional mean by ``(S^-1 r)_j / (S^-1)_jj`` (Sundararajan and Keerthi 2001, eq. 11).
    """
    weight = jnp.where(mask, 1 / var, 0.0)
    weighted = g * weight[:, None]
    chol = jnp.linalg.cholesky(jnp.eye(g.shape[-1], dtype=g.dtype) + g.T @ weighted)
    half = solve_triangular(chol, weighted.T, lower=True)
    precision = jnp.where(mask, weight - jnp.sum(half**2, axis=0), 1.0)
    solved = weight * r - half.T @ (half @ jnp.where(mask, r, 0.0))
    density = -0.5 * (LOG_2PI - jnp.log(precision) + solved**2 / precision)
    return jnp.where(mask, density, 0.0)
