"""Budgets as a level: final losses at (nearly) the same compute share what their budget was done with.

Learning rates, batch sizes and schedules are set anew for each budget of a sweep, so that a budget's losses, and the
size that is best there, stray together from any law of compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

#: budgets closer than this (log) are one
SAME_BUDGET = 0.05


def wants_budgets(card: Any, points: bool, notes: list[str]) -> bool:
    """Whether a card pools over budgets that these rows have: a curve passes through all of them."""
    wanted = "budget" in card.offset or any("budget" in p.pool for p in card.parameters.values())
    if wanted and not points:
        notes.append("The budget level is dropped: it is of final losses, one row a run.")
    return wanted and points


def with_budgets(frame: pd.DataFrame, members: Sequence[str] = ()) -> pd.DataFrame:
    """The frame with a column ``budget``, "group @ FLOP": rows of a group whose compute is one within 5 %.

    Compute is ``flops`` where a row has it, else 6 N D. ``members``: budgets that are known, and keep their names.
    """
    n, d = frame["n_params"].to_numpy(float), frame["tokens"].to_numpy(float)
    flops = frame["flops"].to_numpy(float) if "flops" in frame else np.full(len(frame), np.nan)
    log_c = np.log(np.where(flops > 0, flops, 6.0 * n * d))
    groups = frame["group"].astype(str).to_numpy() if "group" in frame else np.full(len(frame), "")
    names = np.empty(len(frame), object)
    for group in np.unique(groups):
        known = [(np.log(float(m.rpartition("@")[2])), m) for m in members if m.rpartition(" @")[0] == group]
        at = np.flatnonzero(groups == group)
        at = at[np.argsort(log_c[at], kind="stable")]
        for part in np.split(at, np.flatnonzero(np.diff(log_c[at]) > SAME_BUDGET) + 1):
            centre = float(np.median(log_c[part]))
            near = [name for value, name in known if abs(value - centre) < SAME_BUDGET]
            names[part] = near[0] if near else f"{group} @ {np.exp(centre):.4g}"
    return frame.assign(budget=names)
