"""Series: curves of runs, one per run or per exit of one, with what is constant in each and its noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.engine.levels import orders_of
from bayeslaw.errors import FitError

#: how to add a column that is missing, where it is not a constant
_ADD = {
    "tokens": 'they are step times batch_tokens: load(..., batch_tokens="4M"), or --batch-tokens 4M',
    "n_params": '{0}="7B" of load, or --n-params 7B, holds for every run',
}


def usable(law: Any, frame: pd.DataFrame, what: str) -> pd.DataFrame:
    """The frame itself, after a check that the law's covariates are there; FitError names what is missing where."""
    for name in law.covariates:
        if name == "schedule":
            continue
        if name not in frame:
            raise FitError(
                f"Law {law.name} needs the column {name}, and the {what} have {', '.join(_covariates(frame))}. Add it "
                f"({_ADD.get(name, 'load(..., {0}=...) fills in a constant').format(name)}), or choose another model."
            )
        gone = frame.loc[frame[name].isna(), "run"].unique()
        if len(gone):
            raise FitError(
                f"Law {law.name} needs {name}, which is empty in {len(gone):,} of {frame['run'].nunique():,} runs, for "
                f"example {str(gone[0])!r}. Fill it in, or leave those runs out with .where(...)."
            )
    return frame


def _covariates(frame: pd.DataFrame) -> list[str]:
    mine = ("kept", "row", "spread", "count", "rho", "n_eff", "x_lo", "x_hi", "log_x")
    return [str(c) for c in frame.columns if c not in mine]


def series_table(frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """One row per series with what is constant in it, and the series of every row of ``frame``."""
    keys = ["run"] + (["exit_step"] if "exit_step" in frame else [])
    code = frame.groupby(keys, dropna=False, sort=False).ngroup().to_numpy()
    first = pd.Index(code).duplicated()
    constant = ("group", "budget", "n_params", "recurrence", "n_params_once", "n_params_recurrent")
    keep = [c for c in (*keys, *constant) if c in frame]
    table = frame.loc[~first, keep].reset_index(drop=True)
    orders = orders_of(frame)
    table["order"] = [orders[str(run)] for run in table["run"]]
    if "spread" in frame:
        table["row_noise"] = row_noise(frame, code)
    return table, code


#: rows' worth of the usual noise that a series' own is blended with: few rows tell a spread poorly
ROWS_OF_OTHERS = 30


def row_noise(bins: pd.DataFrame, code: np.ndarray, usual: np.ndarray | None = None) -> np.ndarray:
    """Relative sd of one raw row about its curve, per series; NaN where nothing tells it.

    Root mean square over the later half of each curve's bins (early ones are too steep to tell noise from trend),
    blended with ``usual``, which counts as ``ROWS_OF_OTHERS`` rows: a series of few rows is given little but that.

    Parameters
    ----------
    bins : binned curves, each in its order; ``code``: the series of every bin.
    usual : (series,) relative sd to blend with; by default the median over these series.
    """
    relative, rows = (bins["spread"] / bins["loss"]).to_numpy(float), bins["count"].to_numpy(float)
    size = int(code.max()) + 1 if usual is None else len(usual)
    place = pd.Series(code).groupby(code)
    late = (place.cumcount().to_numpy() >= place.transform("size").to_numpy() // 2) & np.isfinite(relative)
    count = np.bincount(code[late], rows[late], minlength=size)
    total = np.bincount(code[late], rows[late] * relative[late] ** 2, minlength=size)
    if usual is None:
        square = np.full(size, np.median(total[count > 0] / count[count > 0]) if count.any() else np.nan)
    else:
        square = np.asarray(usual, float) ** 2
    blended = (total + ROWS_OF_OTHERS * square) / (count + ROWS_OF_OTHERS)
    # without a usual noise, enough rows may speak for themselves
    alone = np.where(count >= ROWS_OF_OTHERS, total / np.maximum(count, 1), np.nan)
    return np.sqrt(np.where(np.isfinite(square), blended, alone))
