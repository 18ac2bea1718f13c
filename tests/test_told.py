"""What a reader of a forecast is told: coverage as far out as this, and when nothing as far out was ever tested."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from bayeslaw import forecast
from bayeslaw.backtest_result import Backtest
from bayeslaw.backtest_told import told

SOURCE = {"law": "chinchilla", "name": "chinchilla"}


def points_of(cover=0.8, runs=10, rows=8, seen=True) -> pd.DataFrame:
    """Points of which the given share lies inside its 90 % band, to so many times what was known."""
    inside = np.tile(np.arange(rows) < cover * rows, runs)
    return pd.DataFrame(
        {"model": "chinchilla", "split": "s", "run": np.repeat([f"r{i}" for i in range(runs)], rows), "level": "raw",
         "loss": np.where(inside, 3.0, 4.0), "lo90": 2.9, "hi90": 3.1, "seen": seen, "reach_n": 1.0,
         "reach": np.tile(np.linspace(1.1, 3.0, rows), runs)}
    )  # fmt: skip


def fit_of(fingerprint="f", law="chinchilla") -> Any:
    card = SimpleNamespace(name="chinchilla", source={"law": law, "name": "chinchilla"})
    bins = pd.DataFrame({"run": ["a", "b"], "tokens": [0.9e9, 1.8e9], "x_hi": [1e9, 2e9], "n_params": [1e8, 2e8]})
    bins["log_x"] = np.log(bins["tokens"])
    return cast(Any, SimpleNamespace(card=card, meta={"fingerprint": fingerprint}, problem=SimpleNamespace(bins=bins)))


def rows(tokens, run="a", n_params=1e8):
    return pd.DataFrame({"run": run, "tokens": np.atleast_1d(tokens), "n_params": n_params})


def result(points=None, **meta) -> Backtest:
    return Backtest(points_of() if points is None else points, (),
                    {"models": {"chinchilla": SOURCE}, "fingerprint": "f"} | meta)  # fmt: skip


def test_coverage_as_far_out_as_this():
    (said,) = told(result(), fit_of(), rows([1.2e9, 3e9]))
    assert said.startswith("90 % bands of continued runs have covered ")
    assert "as far out as this (10 runs, 95 % interval" in said
    # at 3 times what is known only the farthest points count, and those were outside
    points = points_of()
    far = points[points["reach"] >= 2]
    assert f"{(far['loss'] == 3).mean():.0%} of {len(far)} held-out points" in said


def test_farther_than_any_test():
    said = told(result(), fit_of(), rows(6e9))
    assert said[0].startswith("Extrapolation: for continued runs this forecast reaches 6 times as far")
    assert "(tested: 3 times), farther than anything it has been tested on" in said[0]
    assert "at the farthest reach tested" in said[1]
    larger = told(result(points_of(seen=False)), fit_of(), rows(2e9, run="new", n_params=1e9))
    assert "5 times the largest known size (tested: 1 times)" in larger[0]


def test_new_runs_are_judged_by_new_runs():
    (said,) = told(result(), fit_of(), rows(2e9, run="new"))
    assert "held back no new runs" in said
    both = result(pd.concat([points_of(), points_of(cover=0.5, seen=False)], ignore_index=True))
    said = told(both, fit_of(), pd.concat([rows(1.2e9), rows(3e9, run="new")], ignore_index=True))
    assert ["continued" in said[0], "new runs" in said[-1]] == [True, True]


def test_depths_that_no_run_has_are_told():
    fit = fit_of()
    fit.problem.bins["recurrence"] = [2.0, 4.0]
    assert not any("recurrence" in said for said in told(result(), fit, rows(1.5e9).assign(recurrence=4.0)))
    said = told(result(), fit, rows(1.5e9).assign(recurrence=8.0))
    assert said[0] == "Extrapolation: this forecast is of a recurrence of 8 (at most 4 is known)."


def test_few_points_and_other_models_are_said_to_be_so():
    assert "too few" in told(result(points_of(runs=1, rows=4)), fit_of(), rows(3e9))[-1]
    assert "no model like this" in told(result(), fit_of(law="annealed"), rows(3e9))[0]
    assert "other rows than the fit" in told(result(), fit_of(fingerprint="g"), rows(3e9))[0]
    rough = result(points_of().assign(model="chinchilla (laplace)"), models={"chinchilla (laplace)": SOURCE})
    assert "rough stand-in" in told(rough, fit_of(), rows(3e9))[0]


def test_given_rows_replace_the_fitted_ones_of_their_run():
    given = pd.DataFrame({"run": ["a"], "tokens": [3e9], "n_params": [1e8], "kept": [True]})
    (said,) = told(result(), fit_of(), rows(6e9), given)
    assert "as far out as this" in said


@pytest.mark.parametrize("far", [False, True])
def test_a_band_carries_it_in_its_notes(toy_fit, far):
    source = dict(toy_fit.card.source)
    points = points_of().assign(model=toy_fit.card.name)
    mine = Backtest(points, (), {"models": {toy_fit.card.name: source}, "fingerprint": toy_fit.meta["fingerprint"]})
    at = pd.DataFrame({"run": "c4-1e+08", "group": "c4", "n_params": 1e8, "tokens": [5e10 if far else 1.5e10]})
    band = forecast(toy_fit, at, draws=50, backtest=mine)
    assert any("Extrapolation" in note for note in band.notes) == far
    assert any("held-out points" in note for note in band.notes)
