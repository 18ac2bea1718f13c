"""A law from outside joins the registry, fits like the shipped ones, and is refused where it breaks a rule."""

import math
import pickle
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import bayeslaw
from bayeslaw.backtest_work import Unit
from bayeslaw.errors import CardError
from bayeslaw.laws import LAWS, Law, Symbol, get_law, register
from bayeslaw.laws.register import checked


class Plain(Law):
    """``L = E + B / D^beta``: a law of tokens alone."""

    name = "plain-tokens"
    title = "Plain"
    formula = "L = E + B / D^beta"
    reference = "this test"
    covariates = ("tokens",)
    along = ("B",)
    symbols = (
        Symbol("E", "irreducible loss", "nats", "amplitude"),
        Symbol("B", "token term", "nats * tokens^beta", "amplitude"),
        Symbol("beta", "exponent of tokens", "1", "shape"),
    )

    def terms(self, p, x):
        return {"E": p["E"], "B": p["B"] * x["tokens"] ** -p["beta"]}


CARD = {
    "name": "plain-tokens",
    "law": "plain-tokens",
    "parameters": {
        "E": {"prior": "lognormal(1.7, 0.3)", "reason": "published losses"},
        "B": {"prior": "lognormal(0.5, 1)", "reason": "some tenths of a nat"},
        "beta": {"prior": "lognormal(0.35, 0.4)", "reason": "about a third"},
    },
}


@pytest.fixture
def registry():
    """The registry as it was, afterwards."""
    before = dict(LAWS)
    yield LAWS
    LAWS.clear()
    LAWS.update(before)


def variant(**changes):
    return type("Variant", (Plain,), {"name": "variant", **changes})


def symbols(name="beta", kind: Any = "shape", **bounds):
    return (*Plain.symbols[:2], Symbol(name, "exponent of tokens", "1", kind, **bounds))


def with_math(self, p, x):
    return {"E": p["E"], "B": p["B"] * math.exp(-p["beta"] * math.log(x["tokens"]))}


def with_if(self, p, x):
    return {"E": p["E"], "B": p["B"] * x["tokens"] ** -p["beta"] if x["tokens"] > 1 else p["B"]}


def without_slope(self, p, x):
    return {"E": p["E"], "B": p["B"] * jnp.exp(p["beta"] * jnp.log(x["tokens"] - 2e10))}


def scheduled(term):
    terms = {"terms": lambda self, p, x: {"E": p["E"], "B": term(p, x)}}
    return variant(covariates=("step", "schedule"), gains=("B",), **terms)


def test_a_registered_law_is_fitted_through_a_card(registry):
    assert register(Plain) is Plain
    assert isinstance(get_law("plain-tokens"), Plain)
    rng = np.random.default_rng(0)
    tokens = np.geomspace(1e9, 1e11, 24)
    loss = (1.8 + 2100 * tokens**-0.37) * np.exp(0.002 * rng.standard_normal(24))
    runs = bayeslaw.Runs.from_frame(pd.DataFrame({"run": [f"r{i}" for i in range(24)], "tokens": tokens, "loss": loss}))
    fit = bayeslaw.fit(runs, CARD, chains=2, warmup=100, draws=100)
    beta = fit.posterior["beta"].to_numpy()
    assert abs(beta.mean() - 0.37) < 4 * beta.std()
    assert "plain-tokens" in str(bayeslaw.load_card(CARD))


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (3, "subclass of bayeslaw.laws.Law, not int"),
        (variant(name="chinchilla"), "called 'chinchilla' is there already"),
        (variant(symbols=(Symbol("beta", "exponent", "1", "shape"),)), "at least one an amplitude"),
        (variant(along=("beta",)), "along names beta"),
        (variant(covariates=("batch",)), "reads 'batch'"),
        (variant(optional=("batch",)), "reads 'batch'"),
        (type("Variant", (Law,), {"name": "variant"}), "Law Variant has no terms"),
        (variant(covariates=("n_params",)), "read 'tokens'"),
        (variant(terms=lambda self, p, x: {"E": p["E"]}), "one term of each amplitude's name"),
        (variant(terms=lambda self, p, x: {"E": p["E"], "B": p["B"] ** 2}), "twice the amplitude B"),
        (variant(covariates=("token",)), r"reads 'token'\. Did you mean tokens\?"),
        (variant(covariates="tokens"), "covariates is a tuple, not 'tokens'"),
        (variant(title=None), "title is a text, not None"),
        (variant(terms=lambda self, p, x: p["E"]), "its terms are a dict of amplitude to nats, not float"),
        (variant(terms=lambda self, p, x: {"E": p["E"], "B": np.nan * p["B"]}), "its term B is nan where E = 0.3"),
        (variant(terms=lambda self, p, x: {"E": p["E"], "B": p["B"] * x["tokens"] ** np.ones(2)}), r"of shape \(2,\)"),
        (variant(terms=with_math), "JAX cannot follow its terms"),
        (variant(terms=with_if), "JAX cannot follow its terms"),
        (variant(terms=without_slope), r"slope of the loss in beta is .* at the row tokens = 2e\+10"),
        (variant(symbols=symbols(kind="shap")), "symbol 'beta': its kind is 'amplitude' or 'shape', not 'shap'"),
        # the engine would sample these between 0 and inf, and between 0 and 1
        (variant(symbols=symbols(low=1.0)), "'beta' lies between 1 and inf; a symbol lies between 0 and inf, 0 and 1"),
        (variant(symbols=symbols(high=2.0)), "'beta' lies between 0 and 2; a symbol"),
        (variant(symbols=symbols(low=-np.inf, high=0.0)), "'beta' lies between -inf and 0; a symbol"),
        (variant(symbols=symbols(share_of="token")), r"names a covariate \(tokens\), not 'token'"),
        (variant(symbols=symbols(name="noise")), "symbol 'noise' needs a name of letters, digits and _, which none of"),
        (variant(symbols=symbols(name="beta:2")), "symbol 'beta:2' needs a name"),
        (scheduled(lambda p, x: p["B"] * x["S_1"]), "its terms read 'S_1'"),
        (
            scheduled(lambda p, x: -p["B"] * x["seg_drop"].sum()),
            "reads 'seg_drop', and the reference row has step, S1, ",
        ),
    ],
)
def test_a_law_that_breaks_a_rule_is_refused(registry, law, words):
    with pytest.raises(CardError, match=words):
        register(law)
    assert "variant" not in LAWS


def test_a_unit_of_a_backtest_takes_the_law_to_another_process(registry):
    register(Plain)
    runs = bayeslaw.Runs.from_frame(pd.DataFrame({"run": "a", "tokens": [1e9, 2e9, 4e9], "loss": [3.0, 2.9, 2.8]}))
    packed = pickle.dumps(Unit("plain-tokens", bayeslaw.load_card(CARD), runs, ()))
    del registry["plain-tokens"]
    unit = pickle.loads(packed)
    assert isinstance(registry["plain-tokens"], Plain)
    assert unit.card.law == "plain-tokens"
    assert not hasattr(unit, "law")


@pytest.mark.parametrize("name", LAWS)
def test_the_shipped_laws_keep_to_the_rules(name):
    assert checked(LAWS[name], {}) is LAWS[name]


def test_a_law_without_a_formula_is_refused(registry):
    class Bare(Law):
        name = "bare"

        def terms(self, p, x):
            return {}

    with pytest.raises(CardError, match="Law Bare has no title"):
        register(Bare)
