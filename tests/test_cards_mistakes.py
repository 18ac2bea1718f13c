"""Mistakes in a model card, and in finding one: each has a message that names the place and what would do."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from bayeslaw.cards import Prior, card_names, load_card
from bayeslaw.errors import CardError

# --- priors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "prior", "location"),
    [
        ("lognormal(0.35, 0.4)", Prior("lognormal", 0.35, 0.4), np.log(0.35)),
        (" normal( -1e-1 , 2)", Prior("normal", -0.1, 2.0), -0.1),
        ("logitnormal(0.999, 0.7)", Prior("logitnormal", 0.999, 0.7), np.log(999)),
        ("lognormal(alpha, 0.1)", Prior("lognormal", 1.0, 0.1, "alpha"), 0.0),
    ],
)
def test_priors_are_read_and_written(text, prior, location):
    assert Prior.parse(text, "here") == prior
    assert Prior.parse(str(prior), "here") == prior
    assert prior.location == pytest.approx(location)


@pytest.mark.parametrize("text", ["cauchy(0, 1)", "normal(0)", "normal(0, 1, 2)", "normal(a, 1)", "", 3, None])
def test_unreadable_priors(text):
    with pytest.raises(CardError) as error:
        Prior.parse(text, "here")
    assert str(error.value) == (
        f"here: cannot read the prior {text!r}. Write lognormal(median, sd of the log), logitnormal(median, sd of the "
        f"logit) or normal(mean, sd), for example lognormal(0.35, 0.4)."
    )


@pytest.mark.parametrize(
    "text",
    ["lognormal(0, 1)", "lognormal(-2, 1)", "logitnormal(1, 1)", "logitnormal(0, 1)", "normal(0, 0)", "normal(0, -1)",
     "normal(0, nan)", "normal(nan, 1)", "normal(inf, 1)", "lognormal(1, inf)"],
)  # fmt: skip
def test_priors_that_are_no_distributions(text):
    with pytest.raises(CardError) as error:
        Prior.parse(text, "here")
    assert str(error.value).startswith(f"here: {text!r} is not a distribution: its sd must be above 0")


# --- mistakes in a card ---------------------------------------------------------------------------------------------

GOOD = {"prior": "lognormal(1, 0.5)", "reason": "why not"}

MISTAKES = {
    "unknown key": ({"colour": 1}, r"the card: unknown key 'colour'\. A card has name, extends, law, "),
    "nearly a key": ({"offsets": {}}, r"the card: unknown key 'offsets'\. Did you mean offset\? A card has name, "),
    "nearly a level": (
        {"parameters": {"E": {"pool": {"groups": "lognormal(1, 1)"}}}},
        r"unknown level 'groups'\. Did you mean group\? The levels are ",
    ),
    "nearly a name of errors": (
        {"noise": {"sigm": GOOD}},
        r"\[noise\.sigm\]: unknown\. Did you mean sigma\? \[noise\] ",
    ),
    # what was meant would have stayed in, and nothing said so
    "a table that is none taken out": (
        {"discrepency": False},
        r"^the card: discrepency = false takes nothing out: a card has no 'discrepency'\. Did you mean discrepancy\?$",
    ),
    "a level that is none taken out": (
        {"offset": {"sizes": False}},
        r"\[offset\]: sizes = false .* Did you mean size\?$",
    ),
    "a level of a symbol that is none taken out": (
        {"parameters": {"E": {"pool": {"goup": False}}}},
        r"\[parameters\.E\.pool\]: goup = false takes nothing out: a card has no 'goup'\. Did you mean group\?$",
    ),
    "no name": ({"name": None}, r'the card: a card needs name = "\.\.\."\.'),
    "unknown law": ({"law": "chinchila"}, r"No law is called 'chinchila'\. Did you mean chinchilla"),
    "unknown symbol": (
        {"parameters": {"alhpa": GOOD}},
        r"law chinchilla has no symbol 'alhpa'\. Did you mean alpha\? It has E, A, alpha, B, beta\.",
    ),
    "unlike any symbol": ({"parameters": {"zzz": GOOD}}, r"has no symbol 'zzz'\. It has E, A, alpha, B, beta\."),
    "no such symbol left": (
        {"parameters": {"beta": False}},
        r"no prior for beta \(exponent of tokens\)\. Add \[parameters\.beta\] with a prior and a reason, or start the "
        r'card with extends = "chinchilla"\.',
    ),
    "parameters not a table": ({"parameters": 3}, r"the card: parameters is a table \(\[parameters\.\.\.\]\), not 3\."),
    "noise not a table": ({"noise": "loud"}, r"the card: noise is a table \(\[noise\.\.\.\]\), not 'loud'\."),
    "discrepancy not a table": ({"discrepancy": 1}, r"discrepancy is a table \(\[discrepancy\.\.\.\]\), not 1\."),
    "a parameter not a table": (
        {"parameters": {"E": "lognormal(1, 1)"}},
        r'\[parameters\.E\]: needs prior = "\.\.\." and reason = "\.\.\."\.',
    ),
    "a parameter without a prior": ({"parameters": {"E": {"prior": False}}}, r"\[parameters\.E\]: needs prior"),
    "unknown key of a parameter": (
        {"parameters": {"E": {"priors": "lognormal(1, 1)"}}},
        r"\[parameters\.E\]: unknown key 'priors'\. Did you mean prior\? It has prior, reason, slope, pool\.",
    ),
    "bad prior": (
        {"parameters": {"E": {"prior": "gamma(2, 1)"}}},
        r"the card, \[parameters\.E\]: cannot read the prior 'gamma\(2, 1\)'\. Write lognormal\(median",
    ),
    "wrong kind, positive": (
        {"parameters": {"E": {"prior": "normal(1, 1)"}}},
        r"\[parameters\.E\]: E lies between 0 and inf: its prior is a lognormal\.",
    ),
    "wrong kind, real": (
        {"extends": "chinchilla-interaction", "parameters": {"kappa": {"prior": "lognormal(1, 1)"}}},
        r"kappa lies between -inf and inf: its prior is a normal\.",
    ),
    "wrong kind, share": (
        {"extends": "annealed", "parameters": {"lam": {"prior": "lognormal(1, 1)"}}},
        r"lam lies between 0 and 1: its prior is a logitnormal\.",
    ),
    "around itself": (
        {"parameters": {"beta": {"prior": "lognormal(beta, 0.1)"}}},
        r"the prior lognormal\(beta, 0\.1\) has a symbol for its median\. Both .* shapes of the law \(alpha, beta\)",
    ),
    "around each other": (
        {"parameters": {"beta": {"prior": "lognormal(alpha, 0.1)"}, "alpha": {"prior": "lognormal(beta, 0.1)"}}},
        r"\[parameters\.alpha\]: the prior lognormal\(beta, 0\.1\) has a symbol",
    ),
    "around nothing": (
        {"parameters": {"beta": {"prior": "lognormal(omega, 0.1)"}}},
        r"\[parameters\.beta\]: the prior lognormal\(omega, 0\.1\) has a symbol",
    ),
    "around an amplitude": (
        {"parameters": {"beta": {"prior": "lognormal(B, 0.1)"}}},
        r"\[parameters\.beta\]: the prior lognormal\(B, 0\.1\) has a symbol",
    ),
    "an amplitude around a shape": (
        {"parameters": {"A": {"prior": "lognormal(alpha, 0.1)"}}},
        r"\[parameters\.A\]: the prior lognormal\(alpha, 0\.1\) has a symbol",
    ),
    "a spread around a symbol": (
        {"parameters": {"E": {"pool": {"group": "lognormal(alpha, 1)"}}}},
        r"pool\.group: a spread is positive: write lognormal",
    ),
    "noise around a symbol": (
        {"noise": {"sigma": {"prior": "lognormal(alpha, 1)"}}},
        r"\[noise\.sigma\]: its prior is a lognormal of numbers, not 'lognormal\(alpha, 1\)'",
    ),
    "wrong kind of slope": (
        {"parameters": {"E": {"slope": "lognormal(1, 1)"}}},
        r"\[parameters\.E\], slope: a slope may have either sign: write normal\(mean, sd\)\.",
    ),
    "unknown level": (
        {"parameters": {"E": {"pool": {"corpus": "lognormal(1, 1)"}}}},
        r"\[parameters\.E\], pool: unknown level 'corpus'\. "
        r"The levels are group, size, recurrence, exit_step, budget\.",
    ),
    "wrong kind of spread": (
        {"parameters": {"E": {"pool": {"group": "normal(0, 1)"}}}},
        r"pool\.group: a spread is positive: write lognormal\(median, sd of the log\)\.",
    ),
    "bad spread": ({"parameters": {"E": {"pool": {"group": 0.1}}}}, r"pool\.group: cannot read the prior 0\.1\."),
    "unknown level of an offset": (
        {"offset": {"corpus": GOOD}},
        r"\[offset\.corpus\]: unknown\. \[offset\] has group, size, recurrence, exit_step, budget\.",
    ),
    "run effect on no symbol": (
        {"run": {"lambda": GOOD}},
        r"\[run\.lambda\]: unknown\. \[run\] has level, E, A, alpha, B, beta\.",
    ),
    "run effect on a share": (
        {"law": "annealed", "extends": "annealed", "parameters": {}, "run": {"lam": GOOD}},
        r"\[run\.lam\]: unknown\. \[run\] has level, L0, A, alpha, alpha0, kappa, C\.",
    ),
    "unknown noise": (
        {"noise": {"hum": GOOD}},
        r"\[noise\.hum\]: unknown\. \[noise\] has sigma, early, nu, by_x, by_n",
    ),
    "noise without a prior": ({"noise": {"sigma": 0.1}}, r'\[noise\.sigma\]: needs prior = "\.\.\." and reason'),
    "wrong kind of noise": (
        {"noise": {"sigma": {"prior": "normal(0, 1)"}}},
        r"\[noise\.sigma\]: its prior is a lognormal, not 'normal\(0, 1\)'\.",
    ),
    "wrong kind of trend": (
        {"noise": {"by_x": GOOD}},
        r"\[noise\.by_x\]: its prior is a normal, not 'lognormal\(1, 0\.5\)'",
    ),
    "unknown discrepancy": (
        {"discrepancy": {"width": GOOD}},
        r"\[discrepancy\.width\]: unknown\. \[discrepancy\] has scale, length, step\.",
    ),
    "half a discrepancy": (
        {"discrepancy": {"length": False}},
        r"the card: \[discrepancy\] needs both scale and length\.",
    ),
    "clock of a law without a schedule": (
        {"schedule": {"clock": 0.8}},
        r"\[schedule\]: law chinchilla reads no learning-rate schedule\.",
    ),
    "unknown key of the schedule": (
        {"schedule": {"tempo": 1}},
        r"\[schedule\]: unknown key 'tempo'\. It has clock, reason\.",
    ),
    "knots": ({"discrepancy": {"step": 0}}, r"\[discrepancy\]: step is the knots' distance in e-folds .* above 0: 0\."),
    "knots in words": ({"discrepancy": {"step": "wide"}}, r"\[discrepancy\]: step is the knots' distance .*: 'wide'\."),
    "knots at no end": ({"discrepancy": {"step": math.inf}}, r"\[discrepancy\]: step is the knots' distance .*: inf\."),
    "knots nowhere": ({"discrepancy": {"step": math.nan}}, r"\[discrepancy\]: step is the knots' distance .*: nan\."),
    "knots of true": ({"discrepancy": {"step": True}}, r"\[discrepancy\]: step is the knots' distance .*: True\."),
    "pool not a table": (
        {"parameters": {"E": {"pool": "x"}}},
        r"\[parameters\.E\]: pool is a table \(\[pool\.\.\.\]\), not 'x'\.",
    ),
    "parent not a name": (
        {"extends": 3},
        r"^the card: extends is a model's name or the path of a \.toml file, not 3\.",
    ),
    "unknown parent": ({"extends": "chinchila"}, r"No model is called 'chinchila'\. Did you mean chinchilla"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_a_card(mistake):
    changes, message = MISTAKES[mistake]
    raw = {"name": "x", "extends": "chinchilla", **changes}
    with pytest.raises(CardError, match=message):
        load_card(raw)


def test_a_mistake_in_a_file_names_the_file(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text('name = "ours"\nextends = "chinchilla"\nparameters.E.prior = "flat"\n', encoding="utf-8")
    with pytest.raises(CardError, match=r"^ours\.toml, \[parameters\.E\]: cannot read the prior 'flat'\."):
        load_card(path)


def test_false_takes_out_what_no_parent_has():
    # nothing of the kind is inherited: what is set to false is simply not there
    raw = {"name": "x", "extends": "chinchilla", "run": {"level": False}, "discrepancy": False}
    bare = load_card(raw)
    again = load_card({**bare.source, "name": "y", "discrepancy": {"scale": False}, "run": {"level": False, "E": GOOD}})
    assert list(again.run) == ["E"]
    assert not again.discrepancy
    assert "level" not in again.source["run"]


def test_a_card_that_extends_itself(tmp_path):
    a, b = tmp_path / "a.toml", tmp_path / "b.toml"
    a.write_text(f'name = "a"\nextends = "{a.as_posix()}"\n', encoding="utf-8")
    with pytest.raises(CardError, match=r"^a\.toml: the card extends itself \(a\.toml -> a\.toml\)\. Let one of them "):
        load_card(a)
    a.write_text(f'name = "a"\nextends = "{b.as_posix()}"\n', encoding="utf-8")
    b.write_text(f'name = "b"\nextends = "{a.as_posix()}"\n', encoding="utf-8")
    with pytest.raises(CardError, match=r"\(b\.toml -> a\.toml -> b\.toml\)"):
        load_card(b)


# --- mistakes in finding one ----------------------------------------------------------------------------------------


def test_unknown_model_offers_the_nearest():
    with pytest.raises(CardError) as error:
        load_card("Chinchila")
    assert str(error.value).startswith("No model is called 'Chinchila'. Did you mean chinchilla")
    assert str(error.value).endswith(
        f"There are {', '.join(card_names())}; a card of your own is given as the path of its .toml file."
    )
    with pytest.raises(CardError, match="Did you mean looped-depth"):
        load_card("looped_dept")
    with pytest.raises(CardError, match=r"No model is called 'zzz'\. There are annealed"):
        load_card("zzz")


@pytest.mark.parametrize("model", [3, None, 2.5, ["chinchilla"]])
def test_what_is_no_model_at_all(model):
    with pytest.raises(CardError) as error:
        load_card(model)
    expected = "A model is a card's name, the path of its .toml file, a Card or a mapping, not "
    assert str(error.value) == f"{expected}{model!r}."


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "gone.toml"
    with pytest.raises(CardError) as error:
        load_card(path)
    assert str(error.value) == f"Cannot read the card {path}: No such file or directory."


@pytest.mark.parametrize("content", [b"name = \n", b"[parameters", b"\xff\xfe\x00"])
def test_a_file_that_is_no_toml(tmp_path, content):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(CardError, match=rf"^{re.escape(str(path))} is not a TOML file: "):
        load_card(path)


@pytest.mark.parametrize("clock", [0, -1, 3, True, "fast", "lognormal(0.9, 0.1)", "normal(0.9, 0.4)", "normal(3, 0.1)"])
def test_a_clock_is_a_power_between_0_and_2(clock):
    with pytest.raises(CardError, match=r"\[schedule\]: clock is a power of the learning rate between 0 and 2"):
        load_card({"extends": "multi-power", "name": "mine", "schedule": {"clock": clock}})


def test_a_card_may_set_the_clock_and_says_so():
    card = load_card({"extends": "annealed", "name": "mine", "schedule": {"clock": 0.9, "reason": "measured so"}})
    assert card.clock == 0.9
    assert "rates to the power 0.9: measured so" in str(card)
    free = load_card({"extends": "annealed", "name": "mine", "schedule": {"clock": "normal(0.9, 0.1)"}})
    assert (free.clock, free.clock_sd) == (0.9, 0.1)
    assert "rates to the power normal(0.9, 0.1): " in str(free)
    assert "to the power" not in str(load_card({"extends": "annealed", "name": "mine", "schedule": {"clock": 1}}))
