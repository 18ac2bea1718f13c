"""The budget level: which rows share a budget, and what a budget that is new does to a forecast."""

import numpy as np
import pandas as pd

from bayeslaw.cards import load_card
from bayeslaw.data.runs import Runs
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.budgets import with_budgets
from bayeslaw.fit import Fit
from bayeslaw.forecast import forecast


def sweep(budgets=(1e18, 3e18, 1e19), groups=("web",)):
    n = np.geomspace(5e7, 5e8, 6)
    rows = [pd.DataFrame({"group": g, "n_params": n, "tokens": c / 6 / n, "flops": c}) for g in groups for c in budgets]
    frame = pd.concat(rows, ignore_index=True)
    return frame.assign(run=[f"r{i}" for i in range(len(frame))], loss=3.0)


def test_rows_of_a_group_within_five_percent_are_one_budget():
    frame = sweep((1e18, 1.03e18, 3e18), ("code", "web"))
    names = with_budgets(frame)["budget"].to_numpy().reshape(2, 3, 6)
    assert [len(set(names[g].ravel())) for g in (0, 1)] == [2, 2]
    assert not set(names[0].ravel()) & set(names[1].ravel())
    assert (names[:, 0] == names[:, 1]).all()


def test_compute_is_six_n_d_where_no_row_says_more():
    frame = sweep()
    pd.testing.assert_series_equal(
        with_budgets(frame.drop(columns="flops"))["budget"], with_budgets(frame)["budget"], check_names=False
    )


def test_known_budgets_keep_their_names():
    known = sorted(set(with_budgets(sweep())["budget"]))
    again = with_budgets(sweep((1.02e18, 3e19)), known)["budget"]
    assert set(again[:6]) == {known[0]}
    assert not set(again[6:]) & set(known)


def test_members_are_the_budgets_and_a_curve_has_none():
    problem = assemble(load_card("isoflop"), Runs.from_frame(sweep()))
    assert len(problem.levels["budget"]) == 3
    assert problem.series.groupby("budget").size().tolist() == [6, 6, 6]
    curve = sweep().assign(run=lambda f: [f"run {n:.3g}" for n in f["n_params"]])
    problem = assemble(load_card("isoflop"), Runs.from_frame(curve))
    assert "budget" not in problem.levels
    assert any("budget level is dropped" in note for note in problem.notes)


def test_a_new_budget_strays_and_a_known_one_does_not():
    card = load_card("isoflop")
    problem = assemble(card, Runs.from_frame(sweep()))
    # every draw the same: what spreads is only what is drawn anew
    fit = Fit(card, problem, np.zeros((1, 400, problem.layout.dim)), {}, {"seed": 0})
    known, new = sweep((3e18,)), sweep((1e20,))
    at = Runs.from_frame(pd.concat([known, new], ignore_index=True).assign(run=[f"x{i}" for i in range(12)]))
    band = forecast(fit, at).frame
    width = (band["curve_hi90"] / band["curve_lo90"] - 1).to_numpy()
    assert width[:6].max() < 1e-9
    assert width[6:].min() > 0.003
