"""Prior draws are exact; prior curves look like training curves; every card meets real data."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayeslaw.cards import Card, card_names, load_card
from bayeslaw.data.runs import Runs
from bayeslaw.engine.assemble import assemble, prior_arrays
from bayeslaw.engine.density import log_posterior
from bayeslaw.engine.layout import Entry, Layout
from bayeslaw.engine.params import log_prior, values
from bayeslaw.engine.prior import lone_layout, prior_curves, prior_draws
from bayeslaw.errors import FitError
from bayeslaw.laws import Schedule, get_law

SCHEDULED = [n for n in card_names() if "schedule" in get_law(load_card(n).law).covariates]
PLAIN = [n for n in card_names() if n not in SCHEDULED]
DRAWS = 1000
CONSTANT = Schedule.constant(3e-4, 100_000, 1000)

# --- draws of the coordinates ---------------------------------------------------------------------------------------

TOY = Layout(
    "chinchilla",
    tuple(
        Entry(s.name, s.kind, "log", levels=(("group", 6),) if s.name in "EB" else ())
        for s in get_law("chinchilla").symbols
    ),
    "curves",
    offsets=(("size", 7),),
    effects=("level",),
)


def toy_prior(seed=3):
    rng = np.random.default_rng(seed)
    return {"loc": rng.normal(size=TOY.dim), "scale": rng.uniform(0.3, 0.8, TOY.dim)}


def test_a_prior_around_another_symbol_is_of_their_ratio():
    card = load_card("chinchilla-balanced")
    layout, n = lone_layout(card), 4000
    prior = prior_arrays(card, layout)
    v = jax.vmap(lambda z: values(layout, prior, z))(jnp.asarray(prior_draws(layout, prior, 0, n)))
    alpha, ratio = np.asarray(v["alpha"]), np.asarray(v["beta"] - v["alpha"])
    assert stats.kstest(alpha, stats.norm(np.log(0.33), 0.4).cdf).pvalue > 0.01
    assert stats.kstest(ratio, stats.norm(0, 0.1).cdf).pvalue > 0.01
    assert abs(np.corrcoef(alpha, ratio)[0, 1]) < 0.05
    # what does not lie around another is as before
    assert stats.kstest(np.asarray(v["E"]), stats.norm(np.log(1.7), 0.3).cdf).pvalue > 0.01


def test_draws_have_the_stated_distribution():
    prior, n = toy_prior(), 4000
    z = prior_draws(TOY, prior, 0, n)
    assert z.shape == (n, TOY.dim)
    spread: dict[str, np.ndarray] = {}
    for slot, where in TOY.placed():
        standard = z[:, where]
        if slot.name.endswith(":tau"):
            spread[slot.name[:-4]] = np.exp(prior["scale"][where] * standard)
        elif slot.kind == "deviation":
            assert standard.std() > 1.05, "a scale mixture is wider than its median spread"
            standard = standard / spread[slot.name]
        for column in standard.T:
            assert stats.kstest(column, "norm").pvalue > 1e-4, slot.name
    assert len(spread) == 3


def stein(z, prior):
    """Mean of ``1 + z_i d log p / d z_i``, in standard errors: 0 for draws from p, whatever its constant."""
    with jax.enable_x64(True):
        arrays = {k: jnp.asarray(v) for k, v in prior.items()}
        score = jax.vmap(jax.grad(lambda one: log_prior(TOY, arrays, one)))(jnp.asarray(z))
    value = 1 + z * np.asarray(score)
    return value.mean(axis=0) / (value.std(axis=0) / np.sqrt(len(z)))


def test_draws_are_from_the_density_that_is_sampled():
    prior = toy_prior()
    good = stein(prior_draws(TOY, prior, 1, 4000), prior)
    assert np.abs(good).max() < 4
    # the check can fail: standard normal coordinates throughout are other draws
    bad = stein(np.random.default_rng(1).standard_normal((4000, TOY.dim)), prior)
    assert np.abs(bad).max() > 10


def test_equal_seeds_give_equal_draws_and_other_seeds_others():
    prior = toy_prior()
    first = prior_draws(TOY, prior, 7, 5)
    np.testing.assert_array_equal(first, prior_draws(TOY, prior, 7, 5))
    assert np.abs(first - prior_draws(TOY, prior, 8, 5)).min() > 0


# --- curves ---------------------------------------------------------------------------------------------------------


@cache
def curves(name: str, axis: str | None = None) -> np.ndarray:
    """(draws, rows): along one axis, everything else at its middle; or all over the plausible."""
    if name in SCHEDULED:
        n, steps = np.geomspace(1e7, 1e11, 5), np.geomspace(300, 100_000, 9)
        rows = {"n_params": np.repeat(n, 9), "step": np.tile(steps, 5)}
        if axis == "reference":
            rows = {k: np.exp(np.log(v).mean(keepdims=True)) for k, v in rows.items()}
        return prior_curves(load_card(name), DRAWS, 0, rows, schedule=CONSTANT)
    if axis is None:
        n, d, t = plausible()
    else:
        along = np.geomspace(*{"n": (1e7, 1e11), "d": (1e8, 1e13), "t": (1, 16)}.get(axis, (1, 1)), 9)
        n, d, t = (along if axis == own else np.full(9, middle) for own, middle in (("n", 1e9), ("d", 3e10), ("t", 4)))
        if axis == "reference":
            n, d, t = n[:1], d[:1], t[:1]
    rows = {"n_params": n, "tokens": d, "step": d / 1e6, "recurrence": t, "exit_step": t}
    rows |= {"n_params_once": 0.3 * n, "n_params_recurrent": 0.7 * n}
    return prior_curves(load_card(name), DRAWS, 0, rows)


def plausible(rows: int = 200) -> tuple[np.ndarray, ...]:
    """Sizes 1e7 to 1e11, tokens 1e8 to 1e13, at least one token per parameter, 1 to 8 recurrent steps."""
    # an even spread without chance: multiples of the powers of one irrational number, modulo 1
    u = np.outer(np.arange(1, 2 * rows), 1.2207440846057596 ** -np.arange(1.0, 4.0)) % 1
    n, d, t = 10 ** (7 + 4 * u[:, 0]), 10 ** (8 + 5 * u[:, 1]), 2 ** np.floor(4 * u[:, 2])
    good = np.flatnonzero(d >= n)[:rows]
    return n[good], d[good], t[good]


@pytest.mark.parametrize("name", card_names())
def test_prior_losses_are_losses(name):
    loss = curves(name)
    assert (np.isfinite(loss) & (loss > 0)).mean() >= 0.99
    assert ((loss > 0.5) & (loss < 15)).mean() >= 0.95


@pytest.mark.parametrize("name", card_names())
def test_prior_is_not_vague_at_the_reference(name):
    lo, mid, hi = np.quantile(curves(name, "reference")[:, 0], [0.05, 0.5, 0.95])
    assert 2 < mid < 4.5
    # E or L0 alone spans a factor of 2.7; Chinchilla's two terms may each be off by a factor of e besides
    assert hi / lo < (3 if name in SCHEDULED else 4.5)
    assert hi / lo > 1.5, "a prior this narrow would overrule data"


#: at a fixed size, or at fixed tokens, these may turn upwards far from the optimum
TURNING = ("chinchilla-interaction", "isoflop")


@pytest.mark.parametrize("name", [n for n in PLAIN if n != "isoflop"])
def test_prior_curves_fall_with_tokens(name):
    assert (np.diff(curves(name, "d"), axis=1) < 0).all()


#: of one run, whose size they do not read
SIZELESS = ("power-law", "power-law-steps")


@pytest.mark.parametrize("name", [n for n in PLAIN if n not in (*TURNING, *SIZELESS)])
def test_prior_curves_fall_with_size(name):
    assert (np.diff(curves(name, "n"), axis=1) < 0).all()


@pytest.mark.parametrize("axis", ["n", "d"])
def test_prior_curves_along_profiles_mostly_fall(axis):
    step_falls = np.diff(curves("isoflop", axis), axis=1) < 0
    # four exponents free of each other: where they clash, the far side of the valley turns upwards
    assert step_falls.mean() > 0.8


def test_prior_curves_with_interaction_mostly_fall_with_size():
    step_falls = np.diff(curves("chinchilla-interaction", "n"), axis=1) < 0
    # kappa has either sign: of the draws with a positive one, many turn upwards somewhere in four decades of size
    assert step_falls.mean() > 0.8
    assert step_falls.all(axis=1).mean() > 0.6


@pytest.mark.parametrize("name", [n for n in card_names() if n.startswith(("looped-", "iso-"))])
def test_prior_curves_fall_with_recurrence(name):
    loss = curves(name, "t")
    # an exponential that has died out falls by less than a float can tell
    assert (np.diff(loss, axis=1) <= 0).all()
    assert (loss[:, 0] > loss[:, -1]).all()
    gain = 1 - loss[:, -1] / loss[:, 0]
    assert 0.005 < np.median(gain) < 0.3, "sixteen loops take off some percent"


@pytest.mark.parametrize("name", SCHEDULED)
def test_prior_curves_fall_with_steps_at_a_constant_rate(name):
    loss = curves(name).reshape(DRAWS, 5, 9)
    assert (np.diff(loss, axis=2) < 0).all()


@pytest.mark.parametrize("name", SCHEDULED)
def test_annealing_gains_a_priori_and_never_below_zero(name):
    rows = {"n_params": 1e9, "step": np.array([24_000.0])}
    reference = {"S1": 3.0, "n_params": 1e9}
    held = prior_curves(
        load_card(name), DRAWS, 0, rows, schedule=Schedule.constant(3e-4, 24_000, 1000), reference=reference
    )
    decay = Schedule.wsd(3e-4, 24_000, 1000, decay=0.2)
    annealed = prior_curves(load_card(name), DRAWS, 0, rows, schedule=decay, reference=reference)
    assert (annealed > 0).mean() >= 0.99
    # the rates lost to the decay cost less than the decay gains, nearly always
    assert (annealed < held).mean() > 0.95
    assert 0.02 < np.median(held - annealed) < 0.4


def test_prior_curves_against_numpy():
    """Chinchilla in closed form from the same coordinates."""
    card, rows = load_card("chinchilla"), {"n_params": [1e8, 1e10], "tokens": [1e10, 1e11]}
    layout = lone_layout(card)
    prior = prior_arrays(card, layout)
    z = dict(zip(layout.coordinate_names(), prior_draws(layout, prior, 5, 4).T, strict=True))
    # one member a level: spreads are fixed at their prior medians
    v = {
        name: np.log(p.prior.centre) + p.prior.sd * z[name] + p.pool["group"].centre * z[f"{name}:group[0]"]
        for name, p in card.parameters.items()
    }
    n, d = np.array(rows["n_params"]) / 1e9, np.array(rows["tokens"]) / 10**10.5
    e, a, b, alpha, beta = (np.exp(v[s])[:, None] for s in ("E", "A", "B", "alpha", "beta"))
    tau = card.offset["size"].prior
    shift = tau.centre * z["offset:size[0]"]  # one member: its spread is fixed
    expected = (e + a * n**-alpha + b * d**-beta) * np.exp(shift)[:, None]
    np.testing.assert_allclose(prior_curves(card, 4, 5, rows), expected, rtol=1e-10)


def test_equal_seeds_give_the_same_curves_at_other_rows():
    card, rows = load_card("chinchilla"), {"n_params": [1e8, 1e9], "tokens": [1e10, 1e11]}
    reference = {"n_params": 1e9, "tokens": 1e10}
    both = prior_curves(card, 3, 0, rows, reference=reference)
    second = prior_curves(card, 3, 0, {k: v[1:] for k, v in rows.items()}, reference=reference)
    np.testing.assert_allclose(both[:, 1:], second, rtol=1e-12)


def test_prior_curves_name_what_is_missing():
    with pytest.raises(FitError, match=r"The rows lack tokens, which model chinchilla needs; they have n_params\."):
        prior_curves(load_card("chinchilla"), 1, 0, {"n_params": [1e9]})
    with pytest.raises(FitError, match="reads a learning-rate schedule: give schedule= and the rows' step"):
        prior_curves(load_card("annealed"), 1, 0, {"n_params": [1e9], "step": [100.0]})
    with pytest.raises(FitError, match="lack n_params"):
        prior_curves(load_card("annealed"), 1, 0, {"step": [100.0]}, schedule=CONSTANT)


@pytest.mark.parametrize("name", [n for n in card_names() if n.startswith("looped-")])
def test_a_looped_prior_serves_small_models_as_well_as_large_ones(name):
    """Amplitudes are nats at the reference row and offsets shares of it: no size is a unit of its own."""
    rows = {"n_params": [1e8, 1e10], "tokens": [1e10, 1e11], "recurrence": [4.0, 8.0], "exit_step": [2.0, 8.0]}
    small = {k: [1e-5 * x for x in v] if k in ("n_params", "tokens") else v for k, v in rows.items()}
    card = load_card(name)
    np.testing.assert_allclose(prior_curves(card, 20, 0, rows), prior_curves(card, 20, 0, small), rtol=1e-9)


# --- real data ------------------------------------------------------------------------------------------------------


def real(name: str, shared_data) -> Runs:
    if name.startswith("chinchilla"):
        return Runs.from_frame(pd.read_csv(shared_data("gadre-overtraining") / "runs.csv"))
    if name in SCHEDULED:
        frame = pd.read_csv(shared_data("multipowerlaw") / "runs.csv")
        return Runs.from_frame(frame[frame["split"] == "fit"])
    if name == "power-law-steps":
        return Runs.from_frame(pd.read_csv(shared_data("multipowerlaw") / "runs.csv"))
    frame = pd.read_csv(shared_data("looped-iso-depth") / "runs.csv")
    if name.startswith("looped-stepwise"):
        # stops at the first step, at the last, and twice as deep
        frame["exit_step"] = np.select(
            [frame.index % 3 == 0, frame.index % 3 == 1], [1, frame["recurrence"]], 2 * frame["recurrence"]
        )
    return Runs.from_frame(frame)


@pytest.mark.parametrize("name", card_names())
def test_every_card_meets_real_data(name, shared_data):
    problem = assemble(load_card(name), real(name, shared_data), max_bins=12)
    with jax.enable_x64(True):
        # compiled whole, as the sampler has it: one operation at a time takes many times as long
        both = jax.jit(jax.value_and_grad(lambda z, data: log_posterior(problem.layout, data, z)))
        value, slope = both(jnp.zeros(problem.layout.dim), jax.tree.map(jnp.asarray, problem.data))
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    named = dict(zip(problem.layout.coordinate_names(), np.asarray(slope), strict=True))
    assert all(named[s.name] != 0 for s in get_law(load_card(name).law).symbols), "a symbol that the data do not move"


def test_iso_depth_pools_over_variants_and_has_no_offset(shared_data):
    card: Card = load_card("iso-depth")
    problem = assemble(card, real("iso-depth", shared_data))
    assert problem.levels == {"group": ["hyperconnect", "trunc_bptt", "vanilla"]}
    assert {e.symbol for e in problem.layout.entries if e.levels} == {"E", "A", "alpha", "phi", "B", "beta"}
    assert problem.layout.offsets == ()


def test_looped_total_pools_over_recurrence_on_real_data(shared_data):
    problem = assemble(load_card("looped-total"), real("looped-total", shared_data))
    assert [e.symbol for e in problem.layout.entries if "recurrence" in dict(e.levels)] == ["A", "B"]
    assert problem.levels["recurrence"] == [1, 2, 4, 8]
