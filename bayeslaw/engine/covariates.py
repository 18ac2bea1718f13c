"""What the rows of a question must say of their runs, and what the fit knows of the runs that it saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.engine.assemble import Problem
from bayeslaw.engine.exits import keys_of
from bayeslaw.engine.levels import orders_of
from bayeslaw.engine.series import row_noise
from bayeslaw.errors import FitError


def need_steps(law: Any, frame: pd.DataFrame) -> None:
    """FitError unless rows to forecast have the steps that a law of schedules goes along."""
    if "schedule" in law.covariates and ("step" not in frame or bool(frame["step"].isna().any())):
        raise FitError(f"Law {law.name} forecasts along steps: the rows to forecast need a step column without gaps.")


def need_axis(problem: Problem, frame: pd.DataFrame, what: str) -> None:
    """FitError unless every row has the column that the fit's noise and discrepancy are functions of."""
    axis = problem.axis
    if not axis:
        return
    if axis not in frame:
        raise FitError(
            f"This fit follows its runs along {axis}: the {what} need a column {axis}, as what was fitted had."
        )
    gone = frame.loc[~(frame[axis] > 0), "run"]
    if len(gone):
        raise FitError(
            f"This fit follows its runs along {axis}: {len(gone):,} of the {what}, the first of run "
            f"{str(gone.iloc[0])!r}, have none. Fill {axis} in, or leave those rows out."
        )


def fill_sizes(problem: Problem, series: pd.DataFrame) -> None:
    """Parameters of every series: its own, else as its run was fitted, else the centre where the model reads none."""
    if not problem.reference["log_n"]:
        return
    fitted = dict(zip(problem.series["run"].astype(str), problem.series["n_params"], strict=True))
    known = np.array([fitted.get(str(run), np.nan) for run in series["run"]], float)
    own = series["n_params"].to_numpy(float) if "n_params" in series else np.full(len(series), np.nan)
    own = np.where(np.isnan(own), known, own)
    missing, layout = np.isnan(own), problem.layout
    if missing.any() and (layout.likelihood == "points" or any(e.slope for e in layout.entries)):
        raise FitError(
            f"The model changes with n_params, and the rows to forecast have none for run "
            f"{str(series['run'].iloc[int(missing.argmax())])!r}, which was not fitted. Add the column."
        )
    series["n_params"] = np.where(missing, np.exp(problem.reference["log_n"]), own)


def name_orders(problem: Problem, series: pd.DataFrame, given: Runs | None) -> None:
    """The data order of every series: as it was fitted, else as its own rows say, else as those given do."""
    fitted = dict(zip(problem.series["run"].astype(str), problem.series["order"], strict=True))
    told = {} if given is None else orders_of(given.frame)
    names = [
        fitted.get(run, own if own.startswith("order ") else told.get(run, own))
        for run, own in zip(series["run"].astype(str), series["order"], strict=True)
    ]
    series["order"] = np.array(names, object)


def noise_of(problem: Problem, series: pd.DataFrame, known: pd.DataFrame, from_given: np.ndarray) -> np.ndarray:
    """Relative sd of one raw row about the curve, per series.

    A fitted run's own, else the median of the fitted runs. Where rows are given they are measured too, and count
    against that as ``series.row_noise`` says: n rows of the later half of the prefix against 30.
    """
    fitted = problem.series["row_noise"].to_numpy(float)
    own = dict(zip(keys_of(problem.series), fitted, strict=True))
    usual = float(np.nanmedian(fitted)) if np.isfinite(fitted).any() else np.nan
    found = np.array([own.get(key, usual) for key in keys_of(series)])
    code = known["code"].to_numpy(int)
    mine = from_given[code]
    if mine.any():
        found = row_noise(known.loc[mine], code[mine], found)
    return np.where(np.isfinite(found), found, 0.0)
