"""Several files as one table: what their runs are called, and columns that each file calls differently."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bayeslaw.data.columns import match
from bayeslaw.data.table import Remark, Table
from bayeslaw.errors import DataError
from bayeslaw.readers.combine import agree, join_empty

_WANDB_ID = re.compile(r"^(?:(?:offline-)?run-\d{8}_\d{6}-(\w+)|run-(\w+)\.wandb)$")


def run_names(paths: list[Path], tables: list[Table]) -> list[str]:
    """What each file's run is called: as the file itself says, else as the file is called.

    Runs that only happen to have one name (two folders ``output``) keep apart; parts of one run stay together.
    """
    stems, parts = _stems(paths), [_part_of(path) for path in paths]
    names = []
    for stem, part, table in zip(stems, parts, tables, strict=True):
        others = {p for p, t in zip(parts, tables, strict=True) if t.run == table.run}
        shared = table.run is not None and len(others) > 1
        names.append(f"{table.run} ({stems[parts.index(part)]})" if shared else table.run or stem)
    return names


def _part_of(path: Path) -> str:
    """What tells parts of one run from other runs: W&B's run id, the folder of event files, else the path itself."""
    found = _WANDB_ID.search(path.name)
    if found:
        return f"W&B run {found[1] or found[2]}"
    return str(path.resolve().parent if ".tfevents." in path.name else path.resolve())


def _stems(paths: list[Path], bare: bool = True) -> list[str]:
    """A name for each file, by default without its suffixes; as much of the folder as tells them apart."""
    if bare:
        paths = [p.with_name(p.name.removesuffix(".gz")).with_suffix("") for p in paths]
    for depth in range(1, max(len(p.parts) for p in paths) + 1):
        stems = ["/".join(p.parts[-depth:]) for p in paths]
        if len(set(stems)) == len(set(paths)):
            return stems
    return ["/".join(p.parts) for p in paths]


def join(
    tables: list[Table], paths: list[Path], stems: list[str], columns: Mapping[str, str] | None, run: str | None
) -> Table:
    """One table out of several: a file without a run column is a run of its own."""
    files = _stems(paths, bare=False)
    notes = _check_columns(tables, files, columns)
    empty = [
        Remark("dropped_run", f"{file} has no rows.", 0, stem)
        for table, file, stem in zip(tables, files, stems, strict=True)
        if not len(table.frame) and run is None and stems.count(stem) == 1
    ]
    tables = agree(tables, files, columns)
    names = [match(list(t.frame.columns), columns, need_loss=False).mapping.get("run") for t in tables]
    run_column = next(filter(None, names), "run")
    frames, empties = [], []
    for table, stem in zip(tables, stems, strict=True):
        frame = table.frame
        if run_column not in frame and run is None:
            frame = frame.assign(**{run_column: stem})
        frames.append(frame.assign(file=stem) if "file" not in frame else frame)
        empties.append(table.empty)
    joined = pd.concat(frames, ignore_index=True)
    rows = np.concatenate([t.row if t.row is not None else np.arange(1, len(t.frame) + 1) for t in tables])
    starts = np.cumsum([0, *(len(f) for f in frames)])
    remarks = [
        replace(r, position=int(start) + r.position)
        for t, start in zip(tables, starts[:-1], strict=True)
        for r in t.remarks
    ]
    return Table(
        joined,
        join_empty(joined, frames, empties),
        rows,
        tuple(line for t in tables for line in t.torn),
        None,
        (*remarks, *empty),
        tuple(dict.fromkeys([*(note for t in tables for note in t.notes), *notes])),
    )


def _check_columns(tables: list[Table], files: list[str], columns: Mapping[str, str] | None) -> list[str]:
    """Notes on the files without a loss, where others have one.

    DataError, naming the file, for names that occur twice in it, that may be two things, or that it lacks.
    """
    notes, losses = [], 0
    for table, file in zip(tables, files, strict=True):
        names = table.frame.columns
        if names.has_duplicates:
            twice = names[names.duplicated()][0]
            raise DataError(f"{file} has two columns called {str(twice)!r}. Rename or remove one of them.")
        try:
            has_loss = "loss" in match(list(names), columns, need_loss=False).mapping
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
        losses += has_loss
        if not has_loss:
            notes.append(f"{file} has no loss: {_without_loss(names, columns)}")
    return notes if losses else []


def _without_loss(names: Iterable[str], columns: Mapping[str, str] | None) -> str:
    try:
        match(list(names), columns)
    except DataError as error:
        return str(error)
    return ""
