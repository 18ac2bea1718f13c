"""Which card to use: the ranking, the sentence, and what is held back for it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslaw.backtest_result import Backtest
from bayeslaw.compare import _future, applicable, compare, coverage, future_split, verdict
from bayeslaw.data.runs import Runs
from bayeslaw.errors import FitError


def table(gap=0.5, se=0.1, loo_best="a", loo_gap=30.0, runs=12) -> pd.DataFrame:
    loo = {"a": -10.0, "b": -10.0 - loo_gap} if loo_best == "a" else {"a": -10.0 - loo_gap, "b": -10.0}
    return pd.DataFrame(
        {"model": ["a", "b"], "future_diff": [0.0, -gap], "future_se": [0.0, se], "runs": runs,
         "elpd_loo": [loo["a"], loo["b"]], "loo_diff": [loo["a"] + 10, loo["b"] + 10], "loo_se": [5.0, 5.0]}
    )  # fmt: skip


def test_the_sentence_is_as_sure_as_the_numbers():
    assert verdict(table(), "the rest", "run").startswith("Use a; it is surely the better one: forecasting the rest")
    assert "probably" in verdict(table(gap=0.3), "the rest", "run")
    assert "probably" in verdict(table(loo_best="b"), "the rest", "run")
    assert "Leave-one-out by run prefers b." in verdict(table(loo_best="b"), "the rest", "run")
    assert "not by enough to tell" in verdict(table(loo_best="b", loo_gap=3), "the rest", "run")
    assert verdict(table(gap=0.1), "the rest", "bin").startswith("These runs cannot tell a and b apart")
    assert "do not rely on it" in verdict(table(runs=2), "the rest", "run")


def test_future_scores_are_paired_over_runs():
    rng = np.random.default_rng(0)
    level = rng.standard_normal(10)
    frames = [
        pd.DataFrame({"model": m, "split": "s", "fold": "f", "origin": 0.0, "run": [f"r{i}" for i in range(10)],
                      "level": "raw", "final": True, "loss": 3.0, "mean": 3.0, "crps": 0.01, "pit": 0.5,
                      "log_score": level + worse + 0.1 * rng.standard_normal(10), "curve_error": 0.0,
                      **{f"{e}{q}": 3.0 for e in ("lo", "hi") for q in (50, 80, 90, 95)}})
        for m, worse in (("plain", 0.4), ("good", 0.0))
    ]  # fmt: skip
    found = _future(Backtest(pd.concat(frames, ignore_index=True), (), {}))
    assert found["model"].tolist() == ["good", "plain"]
    assert found["future_diff"].tolist() == [0.0, pytest.approx(-0.4, abs=0.1)]
    # what runs share cancels: the runs differ by 1, the difference is known to a twentieth
    assert found["future_se"].iloc[1] < 0.1


def test_what_is_held_back(toy_runs):
    split = future_split(toy_runs, 0.7)
    assert toy_runs.frame.loc[split.score, "step"].min() > 14_000
    assert toy_runs.frame.loc[split.score, "run"].nunique() == 6
    points = Runs.from_frame({"run": list("abcd"), "n_params": [1e8, 1e9, 1e8, 1e9], "tokens": [1e9, 1e9, 4e9, 4e10],
                              "loss": [3.0, 2.8, 2.9, 2.5]})  # fmt: skip
    dear = future_split(points, 0.5)
    assert points.frame.loc[dear.score, "run"].tolist() == ["b", "d"]


def test_cards_that_fit_the_columns(toy_runs):
    names = [card.name for card in applicable(toy_runs)]
    assert "chinchilla" in names
    assert "chinchilla-interaction" in names
    assert not {"multi-power", "annealed", "iso-depth", "looped-total"} & set(names)
    with pytest.raises(FitError, match="two cards"):
        compare(toy_runs, ["chinchilla"])
    with pytest.raises(FitError, match="share"):
        compare(toy_runs, share=1.0)


def backtest_of(inside: float, runs: int) -> Backtest:
    """A backtest whose 90 % bands held that share of ten losses of each run."""
    loss = np.tile(np.where(np.arange(10) < 10 * inside, 3.0, 4.0), runs)
    points = pd.DataFrame(
        {"model": "a", "split": "s", "fold": "f", "origin": 0.0, "run": np.repeat([f"r{i}" for i in range(runs)], 10),
         "level": "raw", "final": True, "loss": loss, "mean": 3.0, "crps": 0.01, "pit": 0.5, "log_score": 0.0,
         "curve_error": 0.0, **{f"lo{q}": 2.9 for q in (50, 80, 90, 95)}, **{f"hi{q}": 3.1 for q in (50, 80, 90, 95)}}
    )  # fmt: skip
    return Backtest(points, (), {"models": {"a": {}}})


def test_bands_that_have_not_held_are_told_where_that_is_sure():
    said = coverage(backtest_of(0.5, 20), "a")
    assert said.startswith(
        "The 90 % bands of a are too narrow here: they held 50% of what was held back (95 % interval"
    )
    assert "too wide" in coverage(backtest_of(1.0, 20), "a")
    assert coverage(backtest_of(0.9, 20), "a") == ""
    assert coverage(backtest_of(0.5, 1), "a") == ""


def test_too_few_draws_for_leave_one_out_are_said_before_sampling(toy_runs):
    with pytest.raises(FitError, match="at least 25 draws, all chains together, not 20"):
        compare(toy_runs, chains=1, draws=20)


def test_one_run_gives_no_standard_error(toy_runs, toy_settings):
    one = toy_runs.select(toy_runs.names[0])
    found = compare(one, ["power-law", "power-law-steps"], **{**toy_settings, "warmup": 50, "draws": 50})
    assert found.frame[["future_se", "loo_se"]].isna().all(axis=None)
    assert "nan" not in str(found)


@pytest.mark.slow
def test_compare_prefers_the_law_that_made_the_data(toy_runs, toy_settings):
    flat = {"extends": "chinchilla", "name": "no-tokens", "law": "chinchilla",
            "parameters": {"B": {"prior": "lognormal(0.0001, 0.1)"}}}  # fmt: skip
    found = compare(toy_runs, ["chinchilla", flat], **toy_settings)
    assert found.frame["model"].tolist() == ["chinchilla", "no-tokens"]
    assert found.frame["elpd_loo"].idxmax() == 0
    assert "Use chinchilla" in str(found)
