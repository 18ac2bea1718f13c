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


def label_of(run: str, exit_step: float) -> str:
    """What a curve is called: its run, and the exit of a looped run whose loss it is (NaN: the total loss)."""
    return run if exit_step != exit_step else f"{run} exit {exit_step:g}"


def labels(runs: Runs) -> np.ndarray:
    """(n,) the curve, as ``label_of`` names it, that each row of the table is of."""
    run = np.asarray(runs.frame["run"], str).astype(object)
    if "exit_step" not in runs.frame:
        return run
    exits = runs.frame["exit_step"].to_numpy(float)
    return np.array([label_of(name, at) for name, at in zip(run, exits, strict=True)], object)


def nonfinite(runs: Runs) -> tuple[dict[str, np.ndarray], list[Event]]:
    """Losses logged as NaN or infinity.

    Returns
    -------
    Steps (tokens, or FLOP, of a table without steps) of each curve's rows that have one; and an event for each stretch
    of them that the run left behind, for it went back and wrote those steps again.
    """
    frame, axis = runs.frame, axis_of(runs)
    if runs.nonfinite is None or axis is None or not runs.nonfinite.any():
        return {}, []
    step, label = np.asarray(frame[axis], float), labels(runs)
    bad, finite = runs.nonfinite & np.isfinite(step), np.isfinite(np.asarray(frame["loss"], float))
    steps: dict[str, np.ndarray] = {}
    events: list[Event] = []
    for name in dict.fromkeys(label[bad]):
        at = np.flatnonzero((label == name) & (bad | finite) & np.isfinite(step))
        # the least step that a row with a loss has later on
        ahead = np.minimum.accumulate(np.where(finite[at], step[at], np.inf)[::-1])[::-1]
        gone = bad[at] & (ahead <= step[at])
        steps[name] = np.sort(step[at][bad[at] & ~gone])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], gone, [False]]).astype(int)))
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            start, end = float(step[at][first:last].min()), float(step[at][first:last].max())
            events.append(plain(name, "nonfinite", start, end, start, False))
    return steps, events


def add_tokens(rows: Mapping[str, pd.DataFrame], runs: Runs) -> None:
    """Tokens beside the steps of each curve's judged rows, where the table knows both."""
    if "tokens" not in runs.frame or "step" not in runs.frame:
        return
    kept: Any = runs.frame.assign(curve=labels(runs))[runs.frame["kept"].to_numpy(bool)]
    known: Any = kept[["curve", "step", "tokens"]].dropna().drop_duplicates(["curve", "step"])
    for name, part in known.groupby("curve", sort=False):
        if name in rows:
            rows[name]["tokens"] = part.set_index("step")["tokens"].reindex(rows[name]["step"]).to_numpy()


def gradients(runs: Runs, rate: float) -> list[Event]:
    """Warnings from the gradient norms of each run that logs them."""
    if "grad_norm" not in runs.frame or "step" not in runs.frame:
        return []
    out: list[Event] = []
    for name in runs.names:
        # the exits of a looped run have one gradient
        part = runs.curve(name).dropna(subset=["step", "grad_norm"]).drop_duplicates("step")
        part = part.sort_values("step", kind="stable")
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
