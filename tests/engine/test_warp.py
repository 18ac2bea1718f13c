"""The sampler's coordinates: a bijection that keeps volume, for every shipped card."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayeslaw.cards import card_names, load_card
from bayeslaw.engine.assemble import prior_arrays
from bayeslaw.engine.prior import lone_layout
from bayeslaw.engine.warp import from_z, to_z

#: one curve tells the token term from the rest, single points do not
SHARING = {"curves": ("E", "A"), "points": ("E", "A", "B")}


@pytest.mark.parametrize("likelihood", SHARING)
@pytest.mark.parametrize("name", card_names())
def test_round_trip_and_constant_volume(name, likelihood):
    card = load_card(name)
    layout = dataclasses.replace(lone_layout(card), likelihood=likelihood)
    prior = prior_arrays(card, layout)
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        arrays = {k: jnp.asarray(v) for k, v in prior.items()}
        dets = []
        for _ in range(3):
            z = rng.standard_normal(layout.dim)
            y = jnp.asarray(from_z(layout, prior, z))
            np.testing.assert_allclose(to_z(layout, arrays, y), z, atol=1e-10)
            dets.append(float(np.linalg.slogdet(np.asarray(jax.jacobian(lambda y: to_z(layout, arrays, y))(y)))[1]))
    # the volume depends on the prior's scales only, never on where one stands
    np.testing.assert_allclose(dets, dets[0], atol=1e-9)


@pytest.mark.parametrize("likelihood", SHARING)
def test_total_is_the_sum_of_the_terms(likelihood):
    card = load_card("chinchilla")
    layout = dataclasses.replace(lone_layout(card), likelihood=likelihood)
    prior = prior_arrays(card, layout)
    z = np.random.default_rng(1).standard_normal(layout.dim)
    names = layout.coordinate_names()
    terms = [np.exp(prior["loc"][i] + prior["scale"][i] * z[i]) for i in map(names.index, SHARING[likelihood])]
    assert from_z(layout, prior, z)[names.index("E")] == pytest.approx(np.log(sum(terms)))


@pytest.mark.parametrize("likelihood", SHARING)
def test_each_members_total_is_a_coordinate_of_its_own(likelihood):
    card = load_card("chinchilla")
    lone = lone_layout(card)
    entries = tuple(dataclasses.replace(e, levels=(("group", 3),)) for e in lone.entries)
    layout = dataclasses.replace(lone, entries=entries, likelihood=likelihood)
    prior = prior_arrays(card, layout)
    z = np.random.default_rng(2).standard_normal(layout.dim)
    names = layout.coordinate_names()
    u = prior["loc"] + prior["scale"] * z
    y = from_z(layout, prior, z)
    for member in range(3):
        terms = [np.exp(u[names.index(s)] + u[names.index(f"{s}:group[{member}]")]) for s in SHARING[likelihood]]
        total = y[names.index("E")] + y[names.index(f"E:group[{member}]")]
        assert total == pytest.approx(np.log(sum(terms)))
    with jax.enable_x64(True):
        np.testing.assert_allclose(to_z(layout, prior, jnp.asarray(y)), z, atol=1e-10)
