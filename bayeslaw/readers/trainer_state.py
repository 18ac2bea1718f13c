"""Hugging Face's ``trainer_state.json``, as transformers' Trainer saves it with every checkpoint."""

from __future__ import annotations

import json
import math
from typing import Any

from bayeslaw.data.table import Remark, Table
from bayeslaw.errors import FileError
from bayeslaw.readers.records import Records
from bayeslaw.readers.source import Source


def read(source: Source) -> Table:
    """Read the ``log_history`` of a trainer state.

    What the Trainer does to its losses is told as facts: each is a mean over the logging window, rounded to a few
    decimals, and by default (``logging_nan_inf_filter``) a NaN is replaced by the window's running mean, so that a
    step that blew up shows only in its gradient norm.

    Raises FileError where the file is cut off or holds no list of rows.
    """
    try:
        state = json.loads(source.data())
        rows = state.get("log_history") if isinstance(state, dict) else None
    except (ValueError, RecursionError) as error:
        raise FileError(
            f"{source.name} is not complete JSON ({error}): it was cut off while being written, or damaged. Take the "
            f"trainer_state.json of an earlier checkpoint."
        ) from None
    if not isinstance(rows, list) or not all(type(row) is dict for row in rows):
        raise FileError(f"{source.name} has no log_history with one object per row, as transformers' Trainer writes.")
    if not rows:
        raise FileError(f"{source.name} has an empty log_history: the run had logged nothing when it was saved.")
    notes: list[str] = []
    for key in ("num_input_tokens_seen", "total_flos"):
        if any(key in row for row in rows) and not any(row.get(key) for row in rows):
            rows = [{k: v for k, v in row.items() if k != key} for row in rows]
            notes.append(f"{key} is 0 in every row, as where the Trainer was not asked to count: taken as unknown.")
    records = Records()
    records.extend(rows)
    return records.table(remarks=tuple(_remarks(rows, state)), notes=tuple(notes))


def _remarks(rows: list[dict[str, Any]], state: dict[str, Any]) -> list[Remark]:
    remarks = []
    where = [i for i, row in enumerate(rows) if _finite(row.get("loss"))]
    losses = [float(rows[i]["loss"]) for i in where]
    decimals = min((d for d in range(1, 7) if all(round(v, d) == v for v in losses)), default=0)
    window = state.get("logging_steps")
    if not isinstance(window, (int, float)) or isinstance(window, bool) or window < 1:
        steps = [rows[i].get("step") for i in where[:3]]
        window = steps[1] - steps[0] if len(steps) > 1 and all(type(s) is int for s in steps[:2]) else 1  # type: ignore
    if losses and (window > 1 or decimals):
        mean = f"is the mean over the {window:g} steps before it" if window > 1 else "is of one step"
        rounded = f", rounded to {decimals} decimals" if decimals else ""
        remarks.append(
            Remark("window_mean", f"Each loss {mean}{rounded}: spikes are flattened.", len(losses), position=where[0])
        )
    hidden = [i for i in where if "grad_norm" in rows[i] and not _finite(rows[i]["grad_norm"])]
    if hidden:
        remarks.append(
            Remark(
                "hidden_nan",
                f"The gradient norm is not finite while the loss is, first at step {rows[hidden[0]].get('step')}: the "
                f"Trainer's logging_nan_inf_filter replaces NaN losses by a running mean.",
                len(hidden),
                position=hidden[0],
            )
        )
    return remarks


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)
