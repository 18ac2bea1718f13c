"""How far out a forecast lies, and what is said of one that nothing was tested for."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from bayeslaw.data.runs import Runs
from bayeslaw.forecast import forecast
from bayeslaw.reach import fitted_rows, how_far, untested


def test_how_far_is_by_the_runs_own_last_row():
    known = pd.DataFrame({"run": ["a", "a", "b"], "tokens": [1e9, 2e9, 8e9], "n_params": [1e8, 1e8, 5e8]})
    rows = pd.DataFrame({"run": ["a", "c"], "tokens": [4e9, 4e9], "n_params": [1e8, 1e9]})
    reach, reach_n, seen = how_far(rows, known)
    np.testing.assert_allclose(reach, [2.0, 0.5])
    np.testing.assert_allclose(reach_n, [0.2, 2.0])
    assert seen.tolist() == [True, False]


def test_without_a_backtest_the_reader_is_told_that_nothing_was_tested():
    bins = pd.DataFrame({"run": ["a", "b"], "tokens": [0.9e9, 1.8e9], "x_hi": [1e9, 2e9], "n_params": [1e8, 2e8]})
    bins["log_x"] = np.log(bins["tokens"])
    fit = cast(Any, SimpleNamespace(problem=SimpleNamespace(bins=bins)))
    at = pd.DataFrame({"run": ["a"], "tokens": [1e9], "n_params": [1e8]})
    assert untested(fit, at)[0].startswith("How often such bands hold is untested: bayeslaw backtest")
    (far,) = untested(fit, at.assign(run="new", tokens=6e9, n_params=5e8))
    assert far.startswith("It reaches 3 times as far as what is known and 2.5 times the largest known size, and how")
    # given rows count as known
    (given,) = untested(fit, at.assign(tokens=4e9), at.assign(tokens=2e9, kept=True))
    assert given.startswith("It reaches 2 times as far")


def test_where_a_run_ends_does_not_depend_on_what_other_runs_count():
    """One run counts steps and tokens, one tokens alone, and one lacks the step of a single row."""
    step = np.arange(100.0, 8001, 100)
    parts = []
    for run, known in (("both", step > 0), ("tokens", step < 0), ("gap", step != 4000)):
        frame = pd.DataFrame({"run": run, "step": np.where(known, step, np.nan), "tokens": step * 5e5})
        parts.append(frame.assign(loss=2 + 30 * step**-0.5))
    bins = Runs.from_frame(pd.concat(parts, ignore_index=True)).bins(max_bins=12).frame
    last = fitted_rows(cast(Any, SimpleNamespace(problem=SimpleNamespace(bins=bins)))).groupby("run").max()
    assert last["tokens"].to_dict() == pytest.approx({"both": 4e9, "tokens": 4e9, "gap": 4e9})
    assert last["step"].fillna(0).to_dict() == {"both": 8000, "tokens": 0, "gap": pytest.approx(8000)}


def test_depths_that_no_run_has_are_told():
    bins = pd.DataFrame({"run": "a", "tokens": [1e9, 2e9], "recurrence": 4.0, "exit_step": [1.0, 4.0]})
    fit = cast(Any, SimpleNamespace(problem=SimpleNamespace(bins=bins)))
    at = pd.DataFrame({"run": "a", "tokens": [1e9], "recurrence": 4.0, "exit_step": [4.0]})
    assert untested(fit, at)[0].startswith("How often")
    (deep,) = untested(fit, at.assign(run="b", recurrence=32.0, exit_step=16.0))
    assert "It reaches a recurrence of 32 (at most 4 is known) and exit step 16 (at most 4 is known), and how" in deep
    # one that no column tells of is no depth
    assert untested(fit, at.assign(recurrence=np.nan, exit_step=np.nan))[0].startswith("How often")


def test_a_band_says_so_unless_asked_not_to(toy_fit):
    at = pd.DataFrame({"run": "c4-1e+08", "group": "c4", "n_params": 1e8, "tokens": [5e10]})
    assert "is untested: bayeslaw backtest measures it" in forecast(toy_fit, at, draws=50).notes[-1]
    assert not any("untested" in note for note in forecast(toy_fit, at, draws=50, backtest=False).notes)
