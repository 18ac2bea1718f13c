"""What one split of a backtest asks: the rows to score, on the raw level and smoothed, and how far out they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.columns import is_canonical
from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError
from bayeslaw.reach import how_far

#: a pandas DataFrame; its stubs lose track of what a selection returns
Frame = Any


@dataclass(frozen=True)
class Part:
    """What one split asks: rows to forecast with their losses, and what the forecast is given.

    ``rows`` has the canonical columns and ``level`` ("raw" or "curve"), ``noise`` (relative sd of a raw row, measured
    about the mean that stands here; curve level only), ``n_eff`` (independent rows that the mean is worth, 1 on the raw
    level), ``final``, ``reach``, ``reach_n``."""

    name: str
    fold: str
    origin: float
    rows: Frame
    given: Runs | None


def plain(runs: Runs) -> Frame:
    """The kept rows, each run's in the order of its axis."""
    return runs.frame.iloc[runs.curves.order].reset_index(drop=True)


def parts_of(
    runs: Runs, splits: Sequence[Any], levels: Sequence[str], most_rows: int, most_bins: int
) -> tuple[Part, ...]:
    """The parts of splits that share their fitted rows: rows to score thinned and binned, and how far out they lie."""
    out = []
    for split in splits:
        score, learn = runs.where(split.score), runs.where(split.learn)
        given = runs.where(split.given) if split.given is not None and split.given.any() else None
        tables: list[Any] = []
        if "raw" in levels:
            rows = plain(score)
            place, size = rows.groupby("run").cumcount(), rows.groupby("run")["run"].transform("size")
            # the last row of each run is always among those that are kept
            behind = (size - 1 - place).to_numpy()
            stride = np.ceil(size.to_numpy() / most_rows)
            tables.append(rows[behind % stride == 0].assign(level="raw", noise=0.0, n_eff=1.0))
        if "curve" in levels and not score.one_point:
            bins = score.bins(max_bins=most_bins).frame
            tables.append(bins.assign(level="curve", noise=(bins["spread"] / bins["loss"]).fillna(0.0)))
        if not tables:
            raise DataError("Runs of one point each have no curve to smooth: score the level 'raw'.")
        columns = dict.fromkeys(c for t in tables for c in t.columns if is_canonical(c))
        rows = pd.concat(tables, ignore_index=True).reindex(columns=[*columns, "level", "noise", "n_eff"])
        out.append(Part(split.name, split.fold, split.origin, _with_reach(rows, learn, given), given))
    return tuple(out)


def _with_reach(rows: Frame, learn: Runs, given: Runs | None) -> Frame:
    known = plain(learn) if given is None else pd.concat([plain(learn), plain(given)], ignore_index=True)
    reach, reach_n, seen = how_far(rows, known)
    rows = rows.assign(reach=reach, reach_n=reach_n, seen=seen, final=False)
    axis = next((name for name in ("step", "tokens", "flops") if name in rows and rows[name].notna().all()), None)
    keys = ["run", "level", *(["exit_step"] if "exit_step" in rows else [])]
    last = rows.groupby(keys, dropna=False, sort=False)[axis].idxmax() if axis else rows.index
    rows.loc[last, "final"] = True
    return rows
