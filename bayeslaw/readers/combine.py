"""Several runs' tables as one, and rows that complete each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from bayeslaw.data.aliases import EVAL_LOSS
from bayeslaw.data.columns import CANONICAL, match
from bayeslaw.data.table import Table, column
from bayeslaw.errors import DataError

RUN = "run"
_EVALUATED = frozenset(alias.lower() for alias, _ in EVAL_LOSS)


def combine(tables: Sequence[Table]) -> Table:
    """One table out of the tables of several runs, each of which says what its run is called.

    A single table is returned as it is, its run name still open to the user's choice.
    """
    if len(tables) == 1:
        return tables[0]
    tables = agree(tables, [t.run or f"run {i}" for i, t in enumerate(tables, 1)])
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


def agree(tables: Sequence[Table], called: Sequence[str], chosen: Mapping[str, str] | None = None) -> list[Table]:
    """Tables with a common name for each of bayeslaw's columns, but for those that the user has chosen.

    Where one table has ``loss`` and another ``train/loss``, the second is given a column ``loss`` too: joined as they
    are, one name would be taken for all rows, and the others' losses be lost. A validation loss is not put among train
    losses. ``called`` is what each table is called in the notes on this, which the first table takes. Nothing is done
    where a table's names leave open which column is meant: that is asked of the joined table.
    """
    out = list(tables)
    try:
        found = _matches(tables)
    except DataError:
        return out
    notes: list[str] = []
    for name in CANONICAL:
        sources = [mapping.get(name) for mapping in found]
        if name in (chosen or {}) or len(set(sources) - {None}) < 2:
            continue
        readers: dict[str, list[str]] = {}
        trained = name == "loss" and not all(map(_evaluated, filter(None, sources)))
        for i, source in enumerate(sources):
            if source is None or source == name:
                continue
            readers.setdefault(source, []).append(called[i])
            if trained and _evaluated(source):
                continue
            empty = {**out[i].empty, name: out[i].empty[source]} if source in out[i].empty else out[i].empty
            out[i] = replace(out[i], frame=out[i].frame.assign(**{name: out[i].frame[source]}), empty=empty)
        for source, those in readers.items():
            if trained and _evaluated(source):
                notes.append(f"{_some(those)} has no train loss; its validation loss {source!r} was left aside.")
            else:
                notes.append(f"In {_some(those)} the column {source!r} was read as {name}.")
    if notes:
        out[0] = replace(out[0], notes=(*out[0].notes, *notes))
    return out


def _evaluated(source: str) -> bool:
    return source.strip().lower() in _EVALUATED


def _matches(tables: Sequence[Table]) -> list[Mapping[str, str]]:
    known: dict[tuple[str, ...], Mapping[str, str]] = {}
    for names in (tuple(t.frame.columns) for t in tables):
        if names not in known:
            known[names] = match(list(names), need_loss=False).mapping
    return [known[tuple(t.frame.columns)] for t in tables]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3:,} more"


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
