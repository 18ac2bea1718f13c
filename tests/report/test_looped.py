"""Reports on looped models: which exit a forecast is of, and the recurrence that a plan's size goes with."""

from itertools import count

import numpy as np
import pandas as pd
import pytest

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.engine.assemble import assemble
from bayeslaw.fit import Fit
from bayeslaw.report.outlook import outlook
from bayeslaw.report.sections import _plan

TOKENS = np.linspace(1e8, 1e10, 20)


def looped(card, total=False) -> Fit:
    """Draws at the prior's centre, of runs with their losses at every exit, or with their total losses alone."""
    parts = [
        pd.DataFrame({"run": f"r{n:g}-{depth}", "tokens": TOKENS, "loss": 2 + 9 / TOKENS**0.1 + 0.2 / step})
        .assign(n_params=n, recurrence=float(depth), exit_step=np.nan if total else float(step))
        for n in (1e8, 2e8)
        for depth in (2, 4)
        for step in ([depth] if total else range(depth, 0, -1))
    ]  # fmt: skip
    problem = assemble(load_card(card), bl.Runs.from_frame(pd.concat(parts, ignore_index=True)), max_bins=8)
    return Fit(load_card(card), problem, np.zeros((1, 40, problem.layout.dim)), {})


@pytest.fixture(scope="module")
def exits() -> Fit:
    return looped("looped-depth")


def test_rows_ahead_are_of_the_last_exit_and_of_the_total_where_it_is_logged(exits):
    assert set(bl.ahead(exits, tokens=2e10)["exit_step"]) == {2, 4}
    last = bl.ahead(exits, tokens=2e10, names=["r2e+08-4"])["exit_step"]
    assert set(last) == {4}
    rows = pd.DataFrame({"run": "r", "tokens": np.repeat(TOKENS, 3), "exit_step": [np.nan, 1, 2] * 20})
    rows["loss"] = np.linspace(3, 2, len(rows))
    assert "exit_step" not in bl.ahead(bl.Runs.from_frame(rows), tokens=2e10)


def test_a_forecast_says_which_exit_it_is_of(exits):
    nothing = {"at": None, "tokens": None, "step": None}
    (sentence,) = outlook(exits, None, nothing, False, 0, count(1))["verdict"]
    assert sentence.startswith("r2e+08-4, exit 4 at 20B tokens: ")
    at = pd.DataFrame({"run": "new", "tokens": 2e10, "n_params": 2e8, "recurrence": 4.0, "exit_step": [1.0, 4.0]})
    both = outlook(exits, None, {**nothing, "at": at}, False, 0, count(1))
    assert [row[0] for row in both["rows"]] == ["new, exit 1", "new, exit 4"]
    assert float(both["rows"][0][2]) > float(both["rows"][1][2])


def test_a_plans_headline_names_the_recurrence():
    (sentence,) = _plan(looped("looped-total", total=True), None, 0, count(1))["verdict"]
    assert sentence.endswith("recurrent steps.")
