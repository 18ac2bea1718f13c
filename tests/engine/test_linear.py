"""The algebra of one series against dense Gaussian formulas written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bayeslaw.engine import linear

#: compiled whole, as the engine has them: one operation at a time takes many times as long
draw, gram, halfway, leave_one_out, log_evidence, log_evidences, quad_logdet, tellings = map(
    jax.jit,
    (
        linear.draw,
        linear.gram,
        linear.halfway,
        linear.leave_one_out,
        linear.log_evidence,
        linear.log_evidences,
        linear.quad_logdet,
        linear.tellings,
    ),
)
eliminated, without = jax.jit(linear.eliminated, static_argnums=2), jax.jit(linear.without, static_argnums=1)

RNG = np.random.default_rng(4)
N, K = 9, 4
R, VAR, G = RNG.normal(size=N), RNG.uniform(0.2, 2.0, N), RNG.normal(size=(N, K))
MASKS = {
    "all": np.ones(N, bool),
    "some": np.array([1, 0, 1, 1, 0, 1, 1, 1, 0], bool),
    "one": np.arange(N) == 5,
    "none": np.zeros(N, bool),
}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=MASKS)
def mask(request):
    return MASKS[request.param]


def dense(mask, g=G):
    """Residuals that count, and their marginal covariance."""
    return R[mask], np.diag(VAR[mask]) + g[mask] @ g[mask].T


def test_evidence_is_the_marginal_gaussian(mask):
    r, cov = dense(mask)
    expected = stats.multivariate_normal.logpdf(r, cov=cov) if len(r) else 0.0
    np.testing.assert_allclose(log_evidence(R, VAR, G, mask), expected, rtol=1e-11, atol=1e-12)


def test_evidence_without_coefficients_is_white_noise(mask):
    expected = stats.norm.logpdf(R[mask], scale=np.sqrt(VAR[mask])).sum()
    np.testing.assert_allclose(log_evidence(R, VAR, np.zeros((N, 0)), mask), expected, rtol=1e-12)


def test_masked_rows_count_nothing_whatever_they_hold():
    mask = MASKS["some"]
    r, var, g = R.copy(), VAR.copy(), G.copy()
    r[~mask], var[~mask], g[~mask] = 1e3, 1e-6, 50.0
    for function in (log_evidence, leave_one_out):
        np.testing.assert_allclose(function(r, var, g, mask), function(R, VAR, G, mask), rtol=1e-10, atol=1e-12)
    for ours, plain in zip(halfway(r, var, g, mask), halfway(R, VAR, G, mask), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-10)


def test_posterior_is_the_conditional_gaussian(mask):
    chol, half = halfway(R, VAR, G, mask)
    # b and r are jointly Gaussian: mean G'S^-1 r and covariance I - G'S^-1 G, without the precision that ours uses
    r, cov = dense(mask)
    gain = G[mask].T @ np.linalg.inv(cov)
    np.testing.assert_allclose(chol @ half, chol @ chol.T @ gain @ r, atol=1e-12)
    np.testing.assert_allclose(np.linalg.inv(chol @ chol.T), np.eye(K) - gain @ G[mask], atol=1e-12)


def test_draws_have_the_posterior_mean_and_covariance():
    chol, half = halfway(R, VAR, G, MASKS["some"])
    mean = np.linalg.solve(chol.T, half)
    # the map from standard normals to draws is affine: its linear part squared is the covariance, exactly
    linear_part = np.stack([draw(chol, half, e) - mean for e in jnp.eye(K)], axis=1)
    np.testing.assert_allclose(draw(chol, half, jnp.zeros(K)), mean)
    np.testing.assert_allclose(linear_part @ linear_part.T, np.linalg.inv(chol @ chol.T), atol=1e-12)


def test_leave_one_out_is_the_density_given_the_others(mask):
    ours = np.asarray(leave_one_out(R, VAR, G, mask))
    assert (ours[~mask] == 0).all()
    for j in np.flatnonzero(mask):
        rest = mask & (np.arange(N) != j)
        r, cov = dense(rest)
        gain = G[j] @ G[rest].T @ np.linalg.inv(cov) if len(r) else np.zeros(0)
        variance = VAR[j] + G[j] @ G[j] - (gain @ (G[rest] @ G[j]) if len(r) else 0.0)
        expected = stats.norm.logpdf(R[j], gain @ r if len(r) else 0.0, np.sqrt(variance))
        np.testing.assert_allclose(ours[j], expected, rtol=1e-10)


def test_evidence_is_one_row_given_the_others_times_the_others():
    everything = MASKS["all"]
    last = np.arange(N) == N - 1
    chain = log_evidence(R, VAR, G, everything & ~last) + leave_one_out(R, VAR, G, everything)[-1]
    np.testing.assert_allclose(log_evidence(R, VAR, G, everything), chain, rtol=1e-11)


def test_quad_logdet_and_its_gradient_against_finite_differences():
    half = RNG.normal(size=(K, K))
    m, v = half @ half.T + np.eye(K), RNG.normal(size=K)
    quad, logdet = quad_logdet(m, v)
    np.testing.assert_allclose(quad, v @ np.linalg.solve(m, v), rtol=1e-12)
    np.testing.assert_allclose(logdet, np.linalg.slogdet(m)[1], rtol=1e-12)

    def both(m, v):
        quad, logdet = quad_logdet(m, v)
        return 0.7 * quad - 1.3 * logdet

    both = jax.jit(both)
    d_m, d_v = jax.jit(jax.grad(both, argnums=(0, 1)))(jnp.asarray(m), jnp.asarray(v))
    step = 1e-6
    for i in range(K):
        e = step * np.eye(K)[i]
        np.testing.assert_allclose(d_v[i], (both(m, v + e) - both(m, v - e)) / (2 * step), rtol=1e-6, atol=1e-8)
        for j in range(K):
            # both triangles at once: M stays symmetric, as it always is
            e = np.zeros((K, K))
            e[i, j] = e[j, i] = step
            slope = (both(m + e, v) - both(m - e, v)) / (2 * step)
            np.testing.assert_allclose(d_m[i, j] + (d_m[j, i] if i != j else 0.0), slope, rtol=1e-6, atol=1e-8)


def test_evidence_has_the_gradient_of_the_dense_formula():
    mask = MASKS["some"]

    def plain(r, var, g):
        cov = jnp.diag(var[mask]) + g[mask] @ g[mask].T
        return jax.scipy.stats.multivariate_normal.logpdf(r[mask], jnp.zeros(mask.sum()), cov)

    def ours(r, var, g):
        return log_evidence(r, var, g, mask)

    arguments = (jnp.asarray(R), jnp.asarray(VAR), jnp.asarray(G))
    ours, dense = (jax.jit(jax.grad(f, argnums=(0, 1, 2)))(*arguments) for f in (ours, plain))
    for mine, theirs in zip(ours, dense, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-10)


def solved(jaxpr) -> list[tuple[int, ...]]:
    """Shapes of all matrices that a program factorises or solves with, inner programs included."""
    found = []
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in ("cholesky", "triangular_solve"):
            found.append(eqn.invars[0].aval.shape)
        for value in eqn.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                found += solved(inner)
    return found


@pytest.mark.parametrize("k", [3, 24, 70])
def test_no_batch_of_many_series_is_shared_out_among_threads(k):
    # two chains that wait for each other's threads never end; jaxlib shares out from 200,000 operations on
    rng = np.random.default_rng(k)
    r, g = rng.standard_normal((64, 80)), 0.1 * rng.standard_normal((64, 80, k))
    var, mask = np.full((64, 80), 0.5), np.ones((64, 80), bool)

    def total(g):
        return linear.log_evidences(r, var, g, mask).sum()

    shapes = solved(jax.make_jaxpr(jax.grad(total))(g).jaxpr)
    assert shapes
    assert all(np.prod(s[:-2], initial=1) * k**3 < 200_000 or np.prod(s[:-2], initial=1) == 1 for s in shapes)
    np.testing.assert_allclose(log_evidences(r, var, g, mask), jax.vmap(log_evidence)(r, var, g, mask), rtol=1e-12)
    alone = jax.jit(jax.grad(lambda g: jax.vmap(log_evidence)(r, var, g, mask).sum()))(g)
    np.testing.assert_allclose(jax.jit(jax.grad(total))(g), alone, rtol=1e-9, atol=1e-12)


def test_a_hessian_takes_no_more_factorisations_than_a_value():
    rng = np.random.default_rng(1)
    half = rng.standard_normal((5, 5))
    m, v = half @ half.T + np.eye(5), rng.standard_normal(5)

    def f(t):
        quad, logdet = linear.quad_logdet(m + t[0] * jnp.eye(5) + t[1] * jnp.ones((5, 5)), v)
        return quad - logdet

    t = jnp.array([0.3, 0.2])
    shapes = solved(jax.make_jaxpr(jax.jacfwd(jax.grad(f)))(t).jaxpr)
    assert len(shapes) == 3  # Cholesky, and the two triangular solves of the inverse
    assert all(len(s) == 2 for s in shapes)
    slope = jax.jit(jax.grad(f))
    numeric = [[(slope(t + h)[i] - slope(t - h)[i]) / 2e-6 for h in 1e-6 * np.eye(2)] for i in range(2)]
    np.testing.assert_allclose(jax.jit(jax.jacfwd(jax.grad(f)))(t), numeric, rtol=1e-5)


def test_gram_and_what_is_left_without_some_against_plain_formulas_and_their_gradients():
    x, weight = RNG.normal(size=(N, 6)), RNG.uniform(0.5, 2, N)
    cotangent = RNG.normal(size=(6, 6))

    def plain(x, weight):
        return jnp.einsum("nk,n,nl->kl", x, weight, x)

    np.testing.assert_allclose(gram(x, weight), plain(x, weight), rtol=1e-12)
    ours, theirs = (jax.jit(lambda x, w, f=f: jax.vjp(f, x, w)[1](cotangent))(x, weight) for f in (gram, plain))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)

    m = np.asarray(plain(x, weight))

    def left(m):
        inside = jnp.eye(2) + m[:2, :2]
        return m[2:, 2:] - m[2:, :2] @ jnp.linalg.solve(inside, m[:2, 2:]), jnp.linalg.slogdet(inside)[1]

    ours, theirs = without(m, 2), left(m)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)
    pulled = (cotangent[:4, :4] + cotangent[:4, :4].T, 0.7)
    ours, theirs = (
        np.asarray(jax.jit(lambda m, f=f: jax.vjp(f, m)[1](pulled)[0])(m)) for f in (lambda m: without(m, 2), left)
    )
    # of a symmetric matrix only the symmetric part of a gradient counts
    np.testing.assert_allclose(ours + ours.T, theirs + theirs.T, rtol=1e-10)


def test_tellings_say_all_that_a_series_knows_of_shared_coefficients(mask):
    h = RNG.normal(size=(N, 3))
    information, score, at_zero = tellings(R[None], VAR[None], G[None], h[None], mask[None])
    r, cov = dense(mask)
    inverse = np.linalg.inv(cov)
    np.testing.assert_allclose(information[0], h[mask].T @ inverse @ h[mask], atol=1e-11)
    np.testing.assert_allclose(score[0], h[mask].T @ inverse @ r, atol=1e-11)
    np.testing.assert_allclose(at_zero[0], log_evidence(R, VAR, G, mask), rtol=1e-11, atol=1e-12)
    bare = tellings(R[None], VAR[None], np.zeros((1, N, 0)), h[None], mask[None])[0]
    np.testing.assert_allclose(bare[0], h[mask].T @ (h[mask] / VAR[mask, None]), atol=1e-11)


def test_eliminating_in_steps_is_eliminating_at_once():
    half = RNG.normal(size=(2, 7, 7))
    information, score = half @ half.transpose(0, 2, 1), RNG.normal(size=(2, 7))
    whole, *nothing = eliminated(information, score, 7)
    assert [part.shape for part in nothing] == [(2, 0, 0), (2, 0)]
    first, *rest = eliminated(information, score, 3)
    second, *_ = eliminated(*rest, 4)
    np.testing.assert_allclose(first + second, whole, rtol=1e-11)
    expected = 0.0
    for one, s in zip(information, score, strict=True):
        m = np.eye(7) + one
        expected += 0.5 * (s @ np.linalg.solve(m, s) - np.linalg.slogdet(m)[1])
    np.testing.assert_allclose(whole, expected, rtol=1e-11)
