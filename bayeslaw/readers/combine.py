"""Several runs' tables as one, and rows that complete each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from bayeslaw.data.table import Table, column

RUN = "run"


def combine(tables: Sequence[Table]) -> Table:
    """One table out of the tables of several runs, each of which says what its run is called.

    A single table is returned as it is, its run name still open to the user's choice.
    """
    if len(tables) == 1:
        return tables[0]
    frames = [t.frame.assign(**{RUN: t.run or f"run {i}"}) for i, t in enumerate(tables, 1)]
    joined = pd.concat(frames, ignore_index=True)
    starts = np.cumsum([0, *(len(f) for f in frames)])
    remarks = [
        replace(r, run=r.run or t.run, position=int(start) + r.position)
        for t, start in zip(tables, starts[:-1], strict=True)
        for r in t.remarks
    ]
    return Table(
        joined,
        join_empty(joined, frames, [t.empty for t in tables]),
        np.concatenate([t.row if t.row is not None else np.arange(1, len(t.frame) + 1) for t in tables]),
        tuple(line for t in tables for line in t.torn),
        None,
        tuple(remarks),
        tuple(dict.fromkeys(note for t in tables for note in t.notes)),
    )


def join_empty(joined: pd.DataFrame, frames: Sequence[pd.DataFrame], empties: Sequence) -> dict[str, np.ndarray]:
    """The masks of empty cells of concatenated frames; a column that a frame lacks is empty there."""
    empty = {}
    for name in joined.columns:
        parts = [
            e.get(name, np.zeros(len(f), bool)) if name in f else np.ones(len(f), bool)
            for f, e in zip(frames, empties, strict=True)
        ]
        mask = np.concatenate(parts)
        if mask.any():
            empty[name] = mask
    return empty


def unique_names(named: Sequence[tuple[str, str]]) -> list[str]:
    """Names of runs from (name, id) pairs: the name alone where no two runs share it."""
    counts = Counter(name for name, _ in named)
    return [name if counts[name] == 1 else f"{name} ({key})" for name, key in named]


def complete(table: Table, mapping: dict[str, str]) -> Table:
    """Fill what a row with a loss lacks from the rows beside it that were logged at the same step.

    Trainers that log metric by metric (Lightning's learning-rate monitor, W&B with several ``log`` calls) spread one
    step over consecutive rows. ``lr``, ``grad_norm``, ``tokens`` and ``flops`` are completed; no row is added or lost.
    """
    source = {c: mapping[c] for c in ("step", "loss") if c in mapping}
    wanted = [mapping[c] for c in ("lr", "grad_norm", "tokens", "flops") if c in mapping]
    if len(source) < 2 or not wanted:
        return table
    frame = table.frame
    step, loss = numbers(frame, source["step"]), numbers(frame, source["loss"])
    if step is None or loss is None or not np.isnan(loss).any():
        return table
    has_loss = ~np.isnan(loss)
    change = np.diff(step, prepend=np.nan) != 0
    if "run" in mapping:
        change |= np.append(True, np.diff(pd.factorize(frame[mapping["run"]])[0]) != 0)
    block = np.cumsum(change)
    filled, empty = {}, dict(table.empty)
    for name in wanted:
        values = numbers(frame, name)
        if values is None:
            continue
        there = ~np.isnan(values)
        lacks = has_loss & ~there
        if not lacks.any() or not (there & ~has_loss).any():
            continue
        of_block = np.full(block[-1] + 1, np.nan)
        of_block[block[there]] = values[there]
        values = np.where(lacks, of_block[block], values)
        filled[name] = values
        if name in empty:
            empty[name] = empty[name] & np.isnan(values)
    return replace(table, frame=frame.assign(**filled), empty=empty) if filled else table


def numbers(frame: pd.DataFrame, name: object) -> np.ndarray | None:
    """A column of real numbers as float64, None if it holds anything else."""
    cells = column(frame, name)
    if not pd.api.types.is_numeric_dtype(cells.dtype) or pd.api.types.is_bool_dtype(cells.dtype):
        return None
    if pd.api.types.is_complex_dtype(cells.dtype):
        return None
    return cells.to_numpy(np.float64, na_value=np.nan)
