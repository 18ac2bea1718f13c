"""Levels: which runs a card's parameters are pooled over, and which of a level's members a series belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.cards import Card
from bayeslaw.errors import FitError

#: a pooled level with more members than this would put too many coordinates into NUTS
MOST_MEMBERS = 64
COLUMN_OF_LEVEL = {
    "group": "group", "size": "n_params", "recurrence": "recurrence", "exit_step": "exit_step", "budget": "budget",
    "order": "order", "run": "run",
}  # fmt: skip
#: a card's tables of what series share, innermost first, and the level whose members share it
PATHS = {"exits": "run", "shared": "order"}


def levels_of(card: Card, series: pd.DataFrame, points: bool, notes: list[str]) -> dict[str, list[Any]]:
    """Level → its members among the series, for the levels that these data can tell anything of; ``notes`` is told of
    the others. FitError names a run that belongs to no member."""
    wanted = dict.fromkeys([*(level for p in card.parameters.values() for level in p.pool), *card.offset])
    levels: dict[str, list[Any]] = {}
    for level in wanted:
        column = COLUMN_OF_LEVEL[level]
        values = series[column] if column in series else pd.Series(dtype=float)
        members = (
            _size_members(values.to_numpy(float)) if level == "size" else sorted(values.dropna().unique().tolist())
        )
        if len(members) < 2:
            notes.append(f"The {level} level is dropped: the runs have {'one' if members else 'no'} {column}.")
        elif bool(values.isna().any()):
            missing = series.loc[values.isna(), "run"].iloc[0]
            raise FitError(
                f"The card pools over {level}, but run {missing!r} has no {column}. Fill it in or drop the column."
            )
        elif len(members) > MOST_MEMBERS:
            notes.append(f"The {level} level is dropped: {len(members):,} members are more than {MOST_MEMBERS}.")
        elif len(members) > 0.6 * len(set(series["run"])):
            notes.append(f"The {level} level is dropped: hardly two runs share a {column}.")
        else:
            levels[level] = members
    if card.exits and not points and len(series) > len(set(series["run"])):
        levels["run"] = list(dict.fromkeys(series["run"]))
    if card.shared and not points:
        orders, runs = sorted(set(series["order"])), len(set(series["run"]))
        if runs > len(orders):
            levels["order"] = orders
        elif runs > 1:
            notes.append(
                "What runs of one data order share is left out: no two runs have the same data_order. Where they read "
                "the same batches at the same steps, say so in that column: bands become truer."
            )
    return levels


def orders_of(frame: pd.DataFrame) -> dict[str, str]:
    """Run → the data order that its rows' ``data_order`` says; one of its own where that is empty or changes."""
    found = {str(run): f"run {run}" for run in frame["run"].unique()}
    if "data_order" in frame:
        said = frame[["run", "data_order"]].drop_duplicates().astype("string").fillna("")
        orders: dict[str, set[str]] = {}
        for run, order in zip(said["run"], said["data_order"], strict=True):
            orders.setdefault(str(run), set()).update([str(order)] if order else [])
        found |= {run: f"order {min(names)}" for run, names in orders.items() if len(names) == 1}
    return found


#: sizes closer than this in log N are one size: tables read off figures repeat a size with a small error
SAME_SIZE = 0.02


def _size_members(n_params: np.ndarray) -> list[float]:
    """Distinct sizes, as geometric means of the sizes taken together."""
    log_n = np.sort(np.log(n_params[np.isfinite(n_params)]))
    if not log_n.size:
        return []
    return [float(np.exp(c.mean())) for c in np.split(log_n, np.flatnonzero(np.diff(log_n) > SAME_SIZE) + 1)]


def member_index(level: str, members: list[Any], series: pd.DataFrame) -> np.ndarray:
    """Each series' position among ``members``, -1 where it is none of them."""
    values = series[COLUMN_OF_LEVEL[level]]
    if level != "size":
        place = {m: i for i, m in enumerate(members)}
        return np.array([place.get(value, -1) for value in values], int)
    distance = np.abs(np.log(values.to_numpy(float))[:, None] - np.log(members))
    # within a member's own spread of sizes: chains of near sizes may be wider than the gap that ends them
    return np.where(distance.min(axis=1) < 2 * SAME_SIZE, distance.argmin(axis=1), -1)
