"""``schedules=`` names runs: one that is nowhere is refused, by every function that takes it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslaw.backtest import backtest
from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.compare import compare
from bayeslaw.data.runs import Runs
from bayeslaw.errors import FitError
from bayeslaw.fit import fit
from bayeslaw.forecast import forecast
from bayeslaw.laws import Schedule
from bayeslaw.laws.schedule_updates import tissue_s2
from bayeslaw.splits import Split

LINE = "constant:peak=3e-4,total=8000,warmup=1000"
TYPO = {"cosin": LINE}
SAID = "schedules names run 'cosin', and there is no such run. Did you mean 'cosine'"


def curve(run: str, schedule: Schedule, until: int, rng: np.random.Generator) -> pd.DataFrame:
    step = np.arange(1200, until + 1, 400, dtype=float)
    loss = 2.8 + 0.55 * schedule.sums(step) ** -0.5 - 0.45 * tissue_s2(schedule, step, 0.999)
    loss *= np.exp(5e-4 * rng.standard_normal(len(step)))
    return pd.DataFrame({"run": run, "step": step, "tokens": step * 5e5, "lr": schedule.rate(step), "loss": loss})


@pytest.fixture(scope="module")
def runs() -> Runs:
    rng = np.random.default_rng(0)
    family = [
        curve("cosine", Schedule.cosine(3e-4, 8000, 1000), 8000, rng),
        curve("two", Schedule.two_stage(3e-4, 9e-5, 4000, 8000, 1000), 8000, rng),
        curve("flat", Schedule.constant(3e-4, 8000, 1000), 8000, rng),
    ]
    return Runs.from_frame(pd.concat(family, ignore_index=True))


@pytest.fixture(scope="module")
def made(runs):
    return at_mode(load_card("annealed"), runs, None, 50, {"seed": 0, "max_bins": 8})


def said(call) -> str:
    with pytest.raises(FitError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("model", ["annealed", "power-law"])
def test_fit_backtest_and_compare_refuse_a_run_that_is_not_there(runs, model):
    # whether or not the law reads schedules at all
    assert SAID in said(lambda: fit(runs, model, schedules=TYPO))
    assert SAID in said(lambda: backtest(runs, model, by="run", schedules=TYPO))
    assert SAID in said(lambda: backtest(runs, [], by="run", schedules=TYPO, baselines=["last value"]))
    assert SAID in said(lambda: compare(runs, [model, "chinchilla"], schedules=TYPO))
    assert "'two', 'flat'" in said(lambda: fit(runs, model, schedules={"x": LINE}))
    assert "not str" in said(lambda: fit(runs, model, schedules=LINE))  # pyright: ignore[reportArgumentType]


def test_forecast_knows_runs_of_the_fit_of_at_and_of_given(made):
    at = pd.DataFrame({"run": ["new", "flat"], "step": 9000.0, "tokens": 4.5e9})
    given = curve("new", Schedule.constant(3e-4, 4000, 1000), 4000, np.random.default_rng(1)).drop(columns="lr")
    stranger = given.assign(run="other")
    known = pd.concat([given, stranger], ignore_index=True)
    declared = {"new": LINE, "flat": LINE, "cosine": LINE, "other": LINE}
    band = forecast(made, at, known, schedules=declared, draws=20, backtest=False)
    assert np.isfinite(band.frame["mean"]).all()
    assert SAID in said(lambda: forecast(made, at, known, schedules=declared | TYPO, draws=20))
    assert "names run 'other'" in said(lambda: forecast(made, at, given, schedules=declared, draws=20))


def test_a_backtest_may_name_runs_that_one_of_its_forecasts_does_not_see(runs):
    held = runs.frame["run"].to_numpy()
    late = runs.frame["step"].to_numpy(float) > 4000
    # two splits that share a fit of one run, each of another run
    splits = [
        Split(run, run, 0.5, held == "flat", (held == run) & late, (held == run) & ~late) for run in ("cosine", "two")
    ]
    rates = dict.fromkeys(runs.names, "cosine:peak=3e-4,total=8000,warmup=1000")
    ask = {"splits": splits, "baselines": (), "chains": 1, "warmup": 50, "draws": 10, "max_bins": 6}
    result = backtest(runs, "annealed", schedules=rates, forecast_draws=10, **ask)
    assert set(result.points["run"]) == {"cosine", "two"}
