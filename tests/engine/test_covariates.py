"""Rows to forecast that leave out what the fit needs: filled in where it is known, else an error that names it."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.data.runs import Runs
from bayeslaw.errors import FitError
from bayeslaw.forecast import forecast

AT = pd.DataFrame({"run": "a", "step": [6000.0, 8000.0], "tokens": [3e9, 4e9], "n_params": 1e8})


@pytest.fixture(scope="module")
def runs():
    rng, parts = np.random.default_rng(0), []
    for name, size in (("a", 1e8), ("b", 2e8), ("c", 4e8)):
        step = np.unique(np.round(np.geomspace(50, 5000, 120)))
        loss = 1.8 + 480 / size**0.35 + 2100 / (step * 5e5) ** 0.37
        loss *= np.exp(0.003 * rng.standard_normal(len(step)))
        parts.append(pd.DataFrame({"run": name, "n_params": size, "step": step, "tokens": step * 5e5, "loss": loss}))
    return Runs.from_frame(pd.concat(parts, ignore_index=True))


@pytest.fixture(scope="module")
def sizeless(runs):
    return at_mode(load_card("power-law"), runs, None, 100, {"seed": 0})


@pytest.fixture(scope="module")
def along_tokens(runs):
    """A law in steps, whose noise follows tokens."""
    return at_mode(load_card("power-law-steps"), runs, None, 100, {"seed": 0})


def median(fit, at, **more):
    return forecast(fit, at, backtest=False, **more).frame["median"].to_numpy()


@pytest.mark.parametrize("size", ["left out", "empty"])
@pytest.mark.parametrize("run", ["a", "new"])
def test_a_size_that_nothing_reads_need_not_be_said(sizeless, size, run):
    at = AT.assign(run=run)
    bare = at.drop(columns="n_params") if size == "left out" else at.assign(n_params=np.nan)
    assert (median(sizeless, bare) == median(sizeless, at)).all()


def test_a_size_that_the_noise_reads_is_known_of_fitted_runs_and_asked_of_others(runs):
    ends = runs.frame.groupby("run").tail(1).drop(columns=["kept", "row"])
    many = pd.concat([ends.assign(run=ends["run"] + f"{k}", tokens=ends["tokens"] * 2**k) for k in range(6)])
    fit = at_mode(
        load_card("power-law"), Runs.from_frame(many.assign(loss=many["tokens"] ** -0.1 * 30)), None, 100, {"seed": 0}
    )
    assert fit.problem.layout.likelihood == "points"
    at = AT.assign(run="a0").drop(columns=["n_params", "step"])
    assert np.isfinite(median(fit, at)).all()
    with pytest.raises(FitError, match="changes with n_params, and the rows to forecast have none for run 'new'"):
        median(fit, at.assign(run="new"))


def test_the_axis_of_the_fit_is_asked_for(along_tokens):
    assert along_tokens.problem.axis == "tokens"
    with pytest.raises(FitError, match="along tokens: the rows to forecast need a column tokens"):
        median(along_tokens, AT.drop(columns="tokens"))


def test_no_row_may_be_without_its_axis(sizeless, along_tokens):
    gap = AT.assign(tokens=[3e9, np.nan])
    with pytest.raises(FitError, match="1 of the rows to forecast, the first of run 'a', have none"):
        median(along_tokens, gap)
    given = pd.DataFrame({"run": "a", "step": [100.0, 200.0], "loss": [5.0, 4.9], "n_params": 1e8})
    with pytest.raises(FitError, match="the given rows need a column tokens"):
        median(along_tokens, AT, given=given)
