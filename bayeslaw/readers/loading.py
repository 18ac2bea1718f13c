"""``load``: from files to Runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from bayeslaw.readers.combine import complete
from bayeslaw.readers.joining import join, run_names
from bayeslaw.readers.sniff import format_of
from bayeslaw.readers.source import Source
from bayeslaw.readers.traps import examine

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
    source = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {_more(len(paths) - 1)}"
    stems = run_names(paths, tables)
    table = tables[0] if len(tables) == 1 else join(tables, paths, stems, columns, run)
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


def _more(files: int) -> str:
    return "1 more file" if files == 1 else f"{files:,} more files"
