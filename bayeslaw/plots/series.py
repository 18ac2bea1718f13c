"""A band and its data, cut into the series that pictures draw: one per run, or per run and exit step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslaw.data.units import human
from bayeslaw.errors import DataError
from bayeslaw.plots.style import shorten

if TYPE_CHECKING:
    import pandas as pd

    from bayeslaw.data.runs import Runs


@dataclass(frozen=True)
class Series:
    """One run's forecast rows and data rows, each sorted by x; ``until`` is the last x that was given, or None."""

    name: str
    forecast: pd.DataFrame
    data: pd.DataFrame
    until: float | None

    def label(self, most: int) -> str:
        """Name and size, ``"cosine-72k, N = 400M"``, in about ``most`` characters; a long name loses its middle."""
        size = self.first("n_params")
        # a run that is called by its size needs it no second time
        known = "" if math.isnan(size) or self.name == human(size) else f", N = {human(size)}"
        return shorten(self.name, most - len(known)) + known

    def first(self, column: str) -> float:
        """Value of a covariate in the first forecast row; NaN if it is unknown."""
        return float(self.forecast[column].to_numpy(float)[0]) if column in self.forecast else math.nan


def pick_x(band: pd.DataFrame, runs: Runs | None) -> str:
    """The x axis: tokens where the band knows them all and the data know them too, else step, compute, parameters."""
    for name in ("tokens", "step", "flops", "n_params"):
        known = runs is None or name in runs.frame
        if known and name in band and not np.isnan(band[name].to_numpy(float)).any():
            return name
    raise DataError(
        "Nothing to draw the band against: neither tokens, step, flops nor n_params is known in all of its rows and in "
        "the data. Give the rows of `at` one of these columns."
    )


def suffix(level: float) -> str:
    """The level as column names spell it: 0.9 is ``"90"``."""
    return f"{100 * level:g}"


def check_level(frame: pd.DataFrame, level: float) -> None:
    """Raise DataError if the band has no such level."""
    if f"lo{suffix(level)}" not in frame:
        have = ", ".join(name[2:] for name in frame.columns if name.startswith("lo") and name[2:3].isdigit())
        raise DataError(
            f"The band has no {suffix(level)} % level; it has {have or 'none'} (per cent). "
            f"Ask for it: forecast(..., levels=({level:g},))."
        )


def split_series(band: pd.DataFrame, runs: Runs | None, given: Runs | None, x: str) -> list[Series]:
    """The band's series in the band's order, each with the kept rows of ``runs`` that belong to it."""
    data, known = _kept(runs, x), _kept(given, x)
    staged = "exit_step" in band and not np.isnan(band["exit_step"].to_numpy(float)).all()
    keys = ["run", "exit_step"] if staged else ["run"]
    series = []
    for values, rows in band.groupby(keys, sort=False, dropna=False):
        key = dict(zip(keys, values if isinstance(values, tuple) else (values,), strict=True))
        rows = rows.sort_values(x)
        mine, before = _matching(data, key), _matching(known, key)
        exit_step = key.get("exit_step")
        name = str(key["run"]) + (f", T = {exit_step:g}" if exit_step is not None and exit_step == exit_step else "")
        series.append(Series(name, rows, mine.sort_values(x), _until(rows, mine, before, x)))
    return series


def _kept(runs: Runs | None, x: str) -> pd.DataFrame:
    import pandas as pd

    if runs is None:
        return pd.DataFrame({"run": pd.Series(dtype=str), x: pd.Series(dtype=float), "loss": pd.Series(dtype=float)})
    if x not in runs.frame:
        raise DataError(f"The data have no column {x}, against which the band is drawn; choose another with x=.")
    return runs.frame.loc[runs.frame["kept"]]


def _matching(data: pd.DataFrame, key: dict[str, Any]) -> pd.DataFrame:
    for column, value in key.items():
        if column in data:
            data = data.loc[data[column].isna() if value != value else data[column] == value]
    return data


def _until(rows: pd.DataFrame, data: pd.DataFrame, given: pd.DataFrame, x: str) -> float | None:
    """Where the given region ends: at the last given row, or, untold, at the last data row before the forecast."""
    if len(given):
        return float(given[x].to_numpy(float).max())
    at = data[x].to_numpy(float)
    before = at[at < rows[x].to_numpy(float).min()]
    return float(before.max()) if len(before) else None
