"""``load``: from files to Runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.columns import TEXT, match
from bayeslaw.data.runs import Runs
from bayeslaw.data.table import Table
from bayeslaw.errors import FileError
from bayeslaw.readers import (
    delimited,
    exports,
    folders,
    jsonlines,
    parquet,
    sqlite,
    stdout,
    tensorboard,
    trainer_state,
    wandb,
)
from bayeslaw.readers.combine import complete, join_empty
from bayeslaw.readers.sniff import format_of
from bayeslaw.readers.source import Source
from bayeslaw.readers.traps import examine

_WANDB_ID = re.compile(r"^(?:(?:offline-)?run-\d{8}_\d{6}-(\w+)|run-(\w+)\.wandb)$")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.I)
_REMEDY = "Give the file's path, or take a table in with bayeslaw.Runs.from_frame(table)."

#: format, as ``sniff.format_of`` names it → its reader
READERS: dict[str, Callable[[Source], Table]] = {
    "delimited": delimited.read,
    "exports": exports.read,
    "jsonlines": jsonlines.read,
    "parquet": parquet.read,
    "sqlite": sqlite.read,
    "stdout": stdout.read,
    "tensorboard": tensorboard.read,
    "trainer_state": trainer_state.read,
    "wandb": wandb.read,
}


def load(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    columns: Mapping[str, str] | None = None,
    run: str | None = None,
    group: str | None = None,
    n_params: float | str | None = None,
    batch_tokens: float | str | None = None,
    need_loss: bool = True,
    **constants: Any,
) -> Runs:
    """Read training runs from a file, or from several.

    Parameters
    ----------
    path : CSV, TSV, JSON lines or Parquet, each also gzipped; what W&B (offline files and exports), TensorBoard,
        MLflow, Trackio, Lightning and transformers' Trainer write; the printed logs of Megatron, torchtitan, nanoGPT
        and their kin. Or a folder of runs that one of those wrote, or a list of all these. Those of a list are read
        in the order given: where two hold the same run, the later one is its resume.
    columns : bayeslaw's column → the file's, ``{"loss": "train/loss"}``. The trainers' own names are known without.
    run : the run's name, for a file without a run column. Without it the file's name is taken.
    group, n_params : one value for all rows: ``group="c4"``, ``n_params="70B"``.
    batch_tokens : tokens per optimizer step, "4M": then ``tokens`` is step times this. Never assumed.
    need_loss : False for rows to forecast, which have covariates only.
    **constants : any other canonical column with one value for all rows: ``recurrence=4``.

    Returns
    -------
    Runs. ``print(runs.explain())`` says how the file was read and what was noticed.

    Raises
    ------
    FileError
        A file is missing, truncated, or in no format that bayeslaw reads; a folder that no known logger wrote.
    DataError
        The table breaks the contract; the message names run, column and row.
    """
    paths = _paths(path)
    tables = [_read(p, columns) for p in paths]
    source = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more files"
    stems = _run_names(paths, tables)
    table = tables[0] if len(tables) == 1 else _join(tables, stems, columns, run)
    table = _examined(table, columns, batch_tokens)
    return Runs.from_table(
        table,
        columns=columns,
        batch_tokens=batch_tokens,
        need_loss=need_loss,
        source=source,
        default_run=stems[0],
        run=run,
        group=group,
        n_params=n_params,
        **constants,
    )


def _paths(given: Any) -> list[Path]:
    """The paths that were given; FileError for what is no path."""
    one = isinstance(given, str | os.PathLike)
    if not one and not (isinstance(given, Iterable) and all(isinstance(p, str | os.PathLike) for p in given)):
        raise FileError(f"load reads files, and {type(given).__name__} is no path. {_REMEDY}")
    if isinstance(given, pd.DataFrame):  # it runs through its columns' names, which are texts
        raise FileError(f"load reads files, and got a DataFrame. {_REMEDY}")
    names = [given] if one else list(given)
    if not names:
        raise FileError("The list of files is empty. Give at least one.")
    for name in map(str, names):
        if _ADDRESS.match(name):
            raise FileError(f"{name} is an address, and load reads files. Download it first, and give its path.")
    paths = [Path(name) for name in names]
    return [p if p.name and p.name != ".." else p.resolve() for p in paths]  # "." has no name to call a run by


def _read(path: Path, columns: Mapping[str, str] | None) -> Table:
    chosen = {ours: str(theirs) for ours, theirs in (columns or {}).items()}
    wanted = frozenset(chosen.values())
    try:
        if path.is_dir():
            return folders.read(path, wanted)
        source = Source(path, wanted, frozenset(chosen[name] for name in TEXT if name in chosen))
        return READERS[format_of(source)](source)
    except OSError as error:  # a folder that may not be entered, a file that was removed meanwhile
        raise FileError(f"Cannot read {error.filename or path}: {error.strerror or error}.") from None


def _examined(table: Table, columns: Mapping[str, str] | None, batch_tokens: object) -> Table:
    """The table with rows of one step completed by each other, and remarks on what it does not say outright."""
    if table.frame.columns.has_duplicates or not len(table.frame):
        return table  # refused, in words, by Runs.from_table
    found = match(list(table.frame.columns), columns, need_loss=False).mapping
    table = complete(table, found)
    return replace(table, remarks=(*table.remarks, *examine(table, found, batch_tokens, columns)))


def _run_names(paths: list[Path], tables: list[Table]) -> list[str]:
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


def _stems(paths: list[Path]) -> list[str]:
    """A name for each file without its suffixes; as much of the folder as tells them apart."""
    bare = [p.with_name(p.name.removesuffix(".gz")).with_suffix("") for p in paths]
    for depth in range(1, max(len(p.parts) for p in bare) + 1):
        stems = ["/".join(p.parts[-depth:]) for p in bare]
        if len(set(stems)) == len(set(paths)):
            return stems
    return ["/".join(p.parts) for p in bare]


def _join(tables: list[Table], stems: list[str], columns: Mapping[str, str] | None, run: str | None) -> Table:
    """One table out of several: a file without a run column is a run of its own."""
    frames, empties = [], []
    run_column = None
    for table in tables:
        found = match(list(table.frame.columns), columns, need_loss=False).mapping.get("run")
        run_column = run_column or found
    run_column = run_column or "run"
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
        tuple(remarks),
        tuple(dict.fromkeys(note for t in tables for note in t.notes)),
    )
