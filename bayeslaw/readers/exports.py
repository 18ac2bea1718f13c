"""CSV files that dashboards export: W&B's wide ones (``run - metric``), its table of runs, TensorBoard's downloads."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import numpy as np
import pandas as pd

from bayeslaw.data.table import Remark, Table
from bayeslaw.errors import DataError, FileError
from bayeslaw.readers import delimited
from bayeslaw.readers.combine import agree, join_empty, numbers, unique_names
from bayeslaw.readers.names import is_known
from bayeslaw.readers.source import Source

SEPARATOR = " - "
_BOUND = re.compile(r"__(MIN|MAX)$")
_AXES = {"step", "_step", "global_step", "trainer/global_step", "train/global_step", "iteration", "time/batch"}
_RUNS_TABLE = {"Name", "State", "Created", "Runtime"}
_SCALARS = ["Wall time", "Step", "Value"]


def _header(head: bytes) -> list[str]:
    line = re.split(rb"[\r\n]", head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n"), maxsplit=1)[0]
    try:
        return next(csv.reader([line.decode("utf-8", "replace")]), [])
    except csv.Error:
        return []


def _wide(names: list[str]) -> bool:
    return len(names) > 1 and SEPARATOR not in names[0] and all(SEPARATOR in name for name in names[1:])


def looks_like(head: bytes) -> bool:
    """Whether the first line is the header of a dashboard's export."""
    names = _header(head)
    return _wide(names) or set(names) >= _RUNS_TABLE or names == _SCALARS


def read(source: Source) -> Table:
    """Read a dashboard's export and give it one row per run and step.

    Raises FileError where the table holds no metric, DataError where two runs of a wide export have one name, and what
    ``delimited.read`` raises.
    """
    table = delimited.read(source, frozenset({"Name"}))
    names = [str(name) for name in table.frame.columns]
    if names == _SCALARS:
        return _scalars(table, source)
    if _wide(names):
        return _long(table, source)
    return _runs(table, source) if "run" not in names else table


def _runs(table: Table, source: Source) -> Table:
    """W&B's table of runs, one a row: runs of one name, which W&B allows, are told apart by their id or their row."""
    frame = table.frame.rename(columns={"Name": "run"})
    ids = [str(key) for key in frame["ID"]] if "ID" in frame else [f"row {i}" for i in range(1, len(frame) + 1)]
    names = unique_names(list(zip(frame["run"].astype("str"), ids, strict=True)))
    several = int(frame["run"].duplicated(keep=False).sum())
    if not several or frame["run"].hasnans:
        return replace(table, frame=frame)
    by = "id" if "ID" in frame else "row"
    note = f"{several:,} runs of {source.name} share their name with another: told apart by their {by}."
    return replace(table, frame=frame.assign(run=names), notes=(*table.notes, note))


def _scalars(table: Table, source: Source) -> Table:
    """TensorBoard's download of one curve; its file name says of which: ``run-NAME-tag-TAG.csv``."""
    stem = source.name.removesuffix(".gz").removesuffix(".csv")
    run, _, tag = stem.removeprefix("run-").partition("-tag-")
    if "loss" not in stem.lower():
        tag = tag or "Value"
        return replace(table, frame=table.frame.rename(columns={"Value": tag}))
    value = "eval_loss" if re.search(r"(^|[-_/ ])(val|valid|validation|eval|test)([-_/ ]|$)", tag, re.I) else "loss"
    frame = table.frame.rename(columns={"Value": value})
    empty = {value if name == "Value" else name: mask for name, mask in table.empty.items()}
    note = f"{source.name} holds one curve of TensorBoard's, {tag or stem!r}: read as {value}."
    return replace(table, frame=frame, empty=empty, run=run if tag else None, notes=(*table.notes, note))


def _long(table: Table, source: Source) -> Table:
    """One row per run and step out of columns ``run - metric``; the bins' __MIN and __MAX are left out."""
    frame = table.frame
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(
            f"{source.name} has two columns called {str(twice)!r}, as when two runs have one name. Rename one of the "
            f"runs in W&B and export again, or rename the column in the file's first line."
        )
    axis = str(frame.columns[0])
    of_run: dict[str, dict[str, str]] = {}
    binned: set[str] = set()
    for name in map(str, frame.columns[1:]):
        run, _, metric = name.rpartition(SEPARATOR)
        bare = _BOUND.sub("", metric)
        if bare != metric:
            partner = f"{run}{SEPARATOR}{bare}"
            if partner in frame and not _equal(frame, partner, name):
                binned.add(run)
            continue
        of_run.setdefault(run, {})[metric] = name
    parts, remarks = [], []
    step = "step" if axis.strip().lower() in _AXES else axis
    length = 0
    for run, metrics in of_run.items():
        there = np.zeros(len(frame), bool)
        for metric, name in metrics.items():
            if metric not in ("_step", "_timestamp", "_runtime") or len(metrics) == 1:
                there |= ~_blank(table, name)
        if not there.any():
            continue
        at = np.flatnonzero(there)
        data = {"run": np.full(len(at), run, object), step: frame[axis].to_numpy()[at]}
        for metric, name in metrics.items():
            if metric not in ("run", step) and not (metric == "_step" and step == "step"):
                data[metric] = frame[name].array[at]
        empty = {m: _blank(table, n)[at] for m, n in metrics.items() if m in data}
        parts.append(Table(pd.DataFrame(data), empty, at + 1, run=run))
        if run in binned:
            message = "W&B averaged this curve over bins of steps before the export: spikes are flattened."
            remarks.append(Remark("downsampled", message, len(at), run, length))
        length += len(at)
    if not parts:
        raise FileError(f"{source.name} looks like an export of W&B's, but no run has a value in it.")
    parts = agree(parts, [str(part.run) for part in parts])
    frames = [part.frame for part in parts]
    joined = pd.concat(frames, ignore_index=True)
    joined["run"] = joined["run"].astype("str")
    empty = join_empty(joined, frames, [part.empty for part in parts])
    notes = [f"{source.name} is a W&B export with a column per run: read as one row per run and step.", *parts[0].notes]
    if not any(is_known(name) for name in joined.columns if name not in ("run", step)):
        single = [name for name in joined.columns if name not in ("run", step)]
        if len(single) == 1 and "loss" in single[0].lower():
            joined = joined.rename(columns={single[0]: "loss"})
            empty = {"loss" if k == single[0] else k: v for k, v in empty.items()}
            notes.append(f"Its one metric is {single[0]!r}: read as loss.")
    return replace(
        table,
        frame=joined,
        empty=empty,
        row=np.concatenate([part.row for part in parts if part.row is not None]),
        remarks=tuple(remarks),
        notes=(*table.notes, *notes),
    )


def _equal(frame: pd.DataFrame, a: str, b: str) -> bool:
    one, other = numbers(frame, a), numbers(frame, b)
    return one is None or other is None or bool(np.array_equal(one, other, equal_nan=True))


def _blank(table: Table, name: str) -> np.ndarray:
    return np.asarray(table.empty.get(name, np.zeros(len(table.frame), bool)))
