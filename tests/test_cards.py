"""Model cards: what ships is complete and prints well; a card of one's own is short."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bayeslaw.cards import Card, Prior, card_names, load_card
from bayeslaw.cards_text import describe
from bayeslaw.laws import get_law

NAMES = (
    "annealed",
    "chinchilla",
    "chinchilla-balanced",
    "chinchilla-interaction",
    "iso-depth",
    "isoflop",
    "looped-depth",
    "looped-stepwise",
    "looped-stepwise-exponential",
    "looped-total",
    "multi-power",
    "power-law",
    "power-law-steps",
)

#: as a user writes it
OWN = """\
name = "ours"
extends = "chinchilla"
summary = "Our runs: one tokenizer, code only."
offset.size = false

[parameters.E]
prior = "lognormal(0.9, 0.2)"
reason = "code is easier than prose"
pool = { group = false }
"""


def reasons(card: Card) -> dict[str, str]:
    parts = {"": card.parameters, "offset.": card.offset, "run.": card.run, "noise.": card.noise}
    parts |= {"discrepancy.": card.discrepancy, "exits.": card.exits, "shared.": card.shared}
    return {prefix + name: entry.reason for prefix, part in parts.items() for name, entry in part.items()}


# --- what ships -----------------------------------------------------------------------------------------------------


def test_the_names_are_these():
    assert card_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_shipped_card_is_complete(name):
    card = load_card(name)
    assert card.name == name
    assert list(card.parameters) == [s.name for s in get_law(card.law).symbols]
    assert card.law == ("chinchilla" if name == "chinchilla-balanced" else name)
    assert card.summary.endswith(".")
    assert re.search(r"arXiv \d{4}\.\d{5}", card.reference)
    for where, reason in reasons(card).items():
        assert len(reason.split()) >= 4, f"{where} of {name} has no reason in plain words: {reason!r}"
        # a reason that a person, or a public table, gives; not one that was read off the sets a forecast is scored on
        assert not re.search(r"held[- ]out|test set|benchmark|gadre|epoch|vanilla", reason, re.IGNORECASE), where


@pytest.mark.parametrize("name", NAMES)
def test_shipped_card_prints_all_of_itself(name):
    card, law = load_card(name), get_law(load_card(name).law)
    text = str(card)
    assert text == describe(card)
    assert max(map(len, text.splitlines())) <= 80
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert text.isascii()
    flat = " ".join(text.split())
    for part in (law.title, card.summary, law.formula, card.reference):
        assert part in flat
    for symbol in law.symbols:
        mark = r" \*" if symbol.kind == "amplitude" else ""
        line = re.search(rf"^{re.escape(symbol.name)}{mark} .*$", text, re.MULTILINE)
        assert line, symbol.name
        shown = Prior.parse(re.search(r"\w+\([^)]*\)", line[0])[0], "print")  # pyright: ignore[reportOptionalSubscript]
        assert shown == card.parameters[symbol.name].prior
        # what stands in the last column from here to the next symbol
        block = text[line.start() :].splitlines()
        column = block[0].index(symbol.meaning.split()[0], len(symbol.name) + len(mark))
        words = " ".join(" ".join(row[column:] for row in block).split())
        assert words.startswith(symbol.meaning)
        assert f"why: {card.parameters[symbol.name].reason}" in words
    for spec in card.parameters.values():
        assert spec.slope is None or f"slope {spec.slope}" in text
        assert all(f"{level} {spread}" in text for level, spread in spec.pool.items())
    for part in (card.offset, card.run, card.noise, card.discrepancy, card.exits, card.shared):
        assert all(re.search(rf"^{key} +{re.escape(str(e.prior))}", text, re.MULTILINE) for key, e in part.items())


def test_print_says_what_is_pooled_over_what():
    pooled = str(load_card("looped-total")).split("Pooled:")[1].split("\n\n")[0]
    assert pooled.splitlines()[1:] == [
        "  over group: E, A, alpha, B, beta",
        "  over recurrence: A, B",
        "  over size: the whole loss",
        "  over run: the whole loss",
        "  along log N, by slopes: beta, gamma",
    ]
    assert "  along log N, by slopes: L0, A, alpha, alpha0, C\n" in str(load_card("annealed"))
    bare = load_card({"name": "bare", "extends": "chinchilla", "offset": False, "run": False, "discrepancy": False,
                      "parameters": {name: {"pool": False} for name in ("A", "B", "E", "alpha", "beta")}})  # fmt: skip
    text = str(bare)
    assert "Nothing is pooled: all runs share every parameter." in text
    assert "Offsets" not in text
    assert "Run effects" not in text
    assert "Discrepancy" not in text


def test_interaction_is_a_weak_prior_about_chinchilla():
    card, plain = load_card("chinchilla-interaction"), load_card("chinchilla")
    assert card.parameters["kappa"].prior == Prior("normal", 0.05, 0.1)
    assert {k: v for k, v in card.parameters.items() if k != "kappa"} == plain.parameters
    # the reason's own arithmetic
    assert round(100**0.1, 1) == 1.6


def test_balanced_exponents_lie_close_together_and_are_shared():
    card, plain = load_card("chinchilla-balanced"), load_card("chinchilla")
    assert card.parameters["beta"].prior == Prior("lognormal", 1.0, 0.1, "alpha")
    assert [name for name, spec in card.parameters.items() if spec.pool] == ["E", "A", "B"]
    for name in ("E", "A", "alpha", "B"):
        assert card.parameters[name].prior == plain.parameters[name].prior
    assert "A symbol for a median is that symbol's value" in " ".join(str(card).split())


def test_iso_depth_does_not_assume_its_answer():
    phi = load_card("iso-depth").parameters["phi"]
    lo, hi = phi.prior.centre * np.exp(np.array([-1.645, 1.645]) * phi.prior.sd)
    assert lo < 0.2
    assert hi > 1.1
    assert not load_card("iso-depth").offset


# --- a card of one's own --------------------------------------------------------------------------------------------


def test_own_card_in_ten_lines(tmp_path):
    assert len(OWN.splitlines()) <= 10
    path = tmp_path / "ours.toml"
    path.write_text(OWN, encoding="utf-8")
    card, parent = load_card(path), load_card("chinchilla")
    assert load_card(str(path)) == card
    assert (card.name, card.law, card.reference) == ("ours", "chinchilla", parent.reference)
    assert card.parameters["E"].prior == Prior("lognormal", 0.9, 0.2)
    assert card.parameters["E"].pool == {}
    assert "size" not in card.offset
    assert {k: v for k, v in card.parameters.items() if k != "E"} == {
        k: v for k, v in parent.parameters.items() if k != "E"
    }
    assert (card.run, card.noise, card.discrepancy) == (parent.run, parent.noise, parent.discrepancy)
    text = str(card)
    assert text.startswith("Chinchilla (model ours)\nOur runs: one tokenizer, code only.\n")
    assert "code is easier than prose" in text
    assert "over size" not in text


def test_a_card_is_taken_as_it_is_and_a_mapping_as_a_card():
    card = load_card("chinchilla")
    assert load_card(card) is card
    assert load_card(card.source) == card


def test_extending_does_not_change_the_parent():
    before = str(load_card("chinchilla"))
    load_card({"name": "x", "extends": "chinchilla", "parameters": {"E": {"prior": "lognormal(1, 0.1)"}}})
    assert str(load_card("chinchilla")) == before


def test_long_words_and_numbers_still_fit():
    words = {"E": {"prior": "lognormal(1.5, 0.3)", "reason": "see https://example.org/" + "long/" * 30}}
    words["t1"] = {"prior": "lognormal(1e6, 1.5)"}
    card = load_card({"name": "x" * 90, "extends": "looped-total", "summary": "", "parameters": words})
    assert max(map(len, str(card).splitlines())) <= 80
    assert "lognormal(1e6, 1.5)" in str(card)
