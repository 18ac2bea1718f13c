"""What a backtest is asked: contestants that can be told apart, options that exist, and laws whose code may change."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import bayeslaw
from bayeslaw.backtest import backtest
from bayeslaw.backtest_code import CODE, law_digest
from bayeslaw.backtest_work import Unit
from bayeslaw.cards import load_card
from bayeslaw.compare import compare
from bayeslaw.errors import DataError, FitError
from bayeslaw.laws import LAWS
from bayeslaw.splits import make_splits


@pytest.fixture(scope="module")
def few(toy_runs):
    return toy_runs.select("c4-1e+08", "c4-3e+08", "web-1e+08")


def test_two_contestants_of_one_name_are_refused(few, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "chinchilla"\n')
    ask = {"by": "run", "baselines": ["last value"], "approx": "laplace"}
    with pytest.raises(FitError, match=r"called 'chinchilla \(laplace\)' \(chinchilla and .*mine\.toml\).* name = "):
        backtest(few, ["chinchilla", mine], **ask)
    with pytest.raises(FitError, match=r"called 'last value' \(baseline last value and baseline last value\)"):
        backtest(few, [], by="run", baselines=["last value", "last value"])
    with pytest.raises(FitError, match=r"called 'power law' \(a dict and baseline power law\)"):
        backtest(few, {"extends": "chinchilla", "name": "power law"}, by="run", baselines=["power law"])
    with pytest.raises(FitError, match=r"called 'chinchilla' \(chinchilla and "):
        compare(few, ["chinchilla", mine])


def test_options_that_nothing_takes_are_refused(few):
    with pytest.raises(DataError, match=r"no option colum= with by='size', which takes no options\."):
        backtest(few, [], by="size", colum="x")
    with pytest.raises(DataError, match=r"no option chain= .*Did you mean chains="):
        backtest(few, [], by="size", chain=2)
    with pytest.raises(DataError, match=r"no option origins= with by='run', .* It goes with by='origin'"):
        backtest(few, [], by="run", origins=(0.5,))
    splits = make_splits(few, "run")
    with pytest.raises(DataError, match=r"no option origins=\. .* not with splits="):
        backtest(few, [], splits=splits, origins=(0.5,))
    with pytest.raises(DataError, match=r"no option draw=\. Did you mean draws="):
        backtest(few, [], splits=splits, draw=20)


LAW = """
from bayeslaw.laws import Symbol
from bayeslaw.laws.base import Law
from own_terms import term

class Own(Law):
    name, title, formula, reference = "own", "Own", "L = E + A/N^2", "none"
    symbols = (Symbol("E", "floor", "nats", "amplitude"), Symbol("A", "size", "nats", "amplitude"))
    covariates = ("n_params",)

    def terms(self, p, x):
        return {"E": p["E"], "A": p["A"] * term(x["n_params"])}
"""


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """``digest_of(law, term)``: of a law whose module and helper hold these texts, as a new process reads them."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def digest(law: str, term: str) -> str:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "own_law.py").write_text(law)
        (folder / "own_terms.py").write_text(term)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            for name in ("own_law", "own_terms"):
                sys.modules.pop(name, None)
            found = law_digest(importlib.import_module("own_law").Own())
        for name in ("own_law", "own_terms"):
            del sys.modules[name]
        return found

    return digest


def test_a_changed_law_of_ones_own_is_another_unit(digest_of, few, monkeypatch):
    term = "def term(n):\n    return n ** -2.0\n"
    one = digest_of(LAW, term)
    assert digest_of(LAW, term) == one
    assert digest_of(LAW.replace("term(x", "2 * term(x"), term) != one
    assert digest_of(LAW, term.replace("2.0", "3.0")) != one
    # the digest is part of the key
    unit = Unit("own", load_card("chinchilla"), few, ())
    before = unit.key
    assert law_digest(LAWS["chinchilla"]) == ""

    class Changed(type(LAWS["chinchilla"])):
        def terms(self, p, x):
            return super().terms(p, x)

    monkeypatch.setitem(LAWS, "chinchilla", Changed())
    assert replace(unit).key != before
    # no source tells what a function made: the same in this process, and in no other
    assert law_digest(Changed()) == law_digest(LAWS["chinchilla"])
    again = type("Changed", (Changed,), {"__qualname__": Changed.__qualname__})
    assert law_digest(again()) != law_digest(Changed())


def test_the_cards_code_is_part_of_the_key():
    assert {"cards*.py", "laws", "engine"} <= set(CODE)
    home = Path(bayeslaw.__file__).parent
    assert all(list(home.glob(name)) for name in CODE)
