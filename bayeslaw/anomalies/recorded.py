"""What a recorded table says outright: losses of NaN, steps written again, gradient norms, and tokens beside steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslaw.anomalies.events import Event, plain
from bayeslaw.anomalies.gradients import Gradients
from bayeslaw.data.curves import AXES

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs


def axis_of(runs: Runs) -> str | None:
    """The column that rows are counted along: step, else tokens, else flops."""
    return next((name for name in AXES if name in runs.frame), None)


def nonfinite(runs: Runs) -> dict[str, np.ndarray]:
    """Steps (or tokens, or FLOP, of a table without steps) of each run's rows that were logged with NaN or infinity."""
    named = [str(row["run"]) for row in runs.facts.to_dict(orient="records") if row["kind"] == "nonfinite_loss"]
    frame, axis = runs.frame, axis_of(runs)
    if not named or axis is None:
        return {}
    run, step = np.asarray(frame["run"], str), np.asarray(frame[axis], float)
    bad = ~np.isfinite(np.asarray(frame["loss"], float)) & ~np.asarray(frame["kept"], bool) & np.isfinite(step)
    return {name: np.sort(step[bad & (run == name)]) for name in named}


def add_tokens(rows: Mapping[str, pd.DataFrame], runs: Runs) -> None:
    """Tokens beside the steps of each run's judged rows, where the table knows both."""
    if "tokens" not in runs.frame or "step" not in runs.frame:
        return
    for name in set(rows) & set(runs.names):
        part: Any = runs.curve(name)[["step", "tokens"]].dropna()
        part = part[~part["step"].duplicated()]
        if len(part):
            rows[name]["tokens"] = part.set_index("step")["tokens"].reindex(rows[name]["step"]).to_numpy()


def gradients(runs: Runs, rate: float) -> list[Event]:
    """Warnings from the gradient norms of each run that logs them."""
    if "grad_norm" not in runs.frame or "step" not in runs.frame:
        return []
    out: list[Event] = []
    for name in runs.names:
        part = runs.curve(name)
        step, norm = part["step"].to_numpy(float), part["grad_norm"].to_numpy(float)
        if not np.isfinite(norm).any():
            continue
        judge = Gradients(rate).judge
        for at, value in zip(step.tolist(), norm.tolist(), strict=True):
            if at > 0:
                out += judge(name, at, at, value)
    return out


def rewinds(runs: Runs) -> list[Event]:
    """Steps that were written again, as the table's facts have them."""
    out = []
    for fact in runs.facts.to_dict(orient="records"):
        if fact["kind"] != "rewind":
            continue
        run, step = str(fact["run"]), float(str(fact["step"]))
        out.append(plain(run, "rewind", step, step, step, False))
    return out
