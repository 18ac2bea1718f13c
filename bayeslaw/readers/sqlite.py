"""MLflow's and Trackio's SQLite databases, opened read-only.

MLflow (``mlflow.db``): tables ``metrics`` (key, value, timestamp, run_uuid, step, is_nan) and ``runs`` (run_uuid,
name, lifecycle_stage). Trackio (one file per project): a table ``metrics`` whose column ``metrics`` is a JSON object.
"""

from __future__ import annotations

import json
import math
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from bayeslaw.data.table import Table
from bayeslaw.errors import FileError
from bayeslaw.readers.combine import combine, unique_names
from bayeslaw.readers.points import Points
from bayeslaw.readers.records import Records
from bayeslaw.readers.source import Source

_NONFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def read(source: Source) -> Table:
    """Read an MLflow or Trackio database; every run in it, deleted ones left out.

    Raises FileError where the file is damaged, or is another program's database.
    """
    uri = source.path.resolve().as_uri() + "?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            database.text_factory = lambda data: data.decode("utf-8", "replace")
            database.execute("PRAGMA trusted_schema=OFF")
            tables = {
                name: {row[1] for row in database.execute(f'PRAGMA table_info("{name}")')}
                for name in ("metrics", "runs")
                if database.execute("SELECT 1 FROM sqlite_master WHERE type='table' AND name=?", (name,)).fetchone()
            }
            columns = tables.get("metrics", set())
            if {"run_uuid", "key", "value", "step", "timestamp"} <= columns:
                return _mlflow(database, source, columns, tables.get("runs", set()))
            if {"run_name", "step", "metrics"} <= columns:
                return _trackio(database, source, columns)
    except (sqlite3.Error, OverflowError, UnicodeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise FileError(
            f"{source.name} is a damaged SQLite database ({reason}). Copy it again while nothing writes to it, "
            f"together with its -wal file if there is one."
        ) from None
    raise FileError(f"{source.name} is an SQLite database, but neither MLflow's nor Trackio's: it has no such metrics.")


def _rows(database: sqlite3.Connection, source: Source, query: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a query; a damaged file that would give more of them than it has bytes is refused."""
    for i, row in enumerate(database.execute(query)):
        if i > source.size:
            raise sqlite3.DatabaseError("its pages go round in a circle")
        yield row


def _mlflow(database: sqlite3.Connection, source: Source, columns: set[str], runs: set[str]) -> Table:
    names: dict[str, str] = {}
    if {"run_uuid", "name", "lifecycle_stage"} <= runs:
        for key, name, stage in _rows(database, source, "SELECT run_uuid, name, lifecycle_stage FROM runs"):
            if stage != "deleted":
                names[str(key)] = str(name or key)
    nan = (
        "is_nan"
        if database.execute("SELECT 1 FROM pragma_table_info('metrics') WHERE name='is_nan'").fetchone()
        else "0"
    )
    query = f"SELECT run_uuid, key, value, step, {nan} FROM metrics ORDER BY run_uuid, timestamp, rowid"
    points: dict[str, Points] = {}
    for run, key, value, step, is_nan in _rows(database, source, query):
        if names and str(run) not in names:
            continue
        if type(step) is not int or type(value) not in (int, float):
            raise sqlite3.DatabaseError(f"metric {key!r} of run {run!r} has step {step!r} and value {value!r}")
        number = math.nan if is_nan else float(value)
        if abs(number) == sys.float_info.max:  # what MLflow's SQLAlchemy store writes for an infinite value
            number = math.copysign(math.inf, number)
        points.setdefault(str(run), Points()).add(str(key), step, number)
    if not points:
        raise FileError(f"{source.name} holds no metric of any run.")
    called = unique_names([(names.get(run, run), run) for run in points])
    return combine([p.table(name) for p, name in zip(points.values(), called, strict=True)])


def _trackio(database: sqlite3.Connection, source: Source, columns: set[str]) -> Table:
    identity = "run_id" if "run_id" in columns else "run_name"
    query = f"SELECT {identity}, run_name, step, metrics FROM metrics ORDER BY {identity}, rowid"
    found: dict[str, tuple[str, Records]] = {}
    for key, name, step, text in _rows(database, source, query):
        try:
            row = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            row = None
        if type(row) is not dict or type(step) is not int:
            raise sqlite3.DatabaseError(f"a row of run {name!r} is no JSON object: {str(text)[:60]!r}")
        cells = {k: _NONFINITE.get(v, v) if type(v) is str else v for k, v in row.items() if type(v) is not list}
        if "step" not in cells:
            cells["_step" if "global_step" in cells or "train/global_step" in cells else "step"] = step
        found.setdefault(str(key), (str(name), Records()))[1].add(cells)
    if not found:
        raise FileError(f"{source.name} is a Trackio database in which no run has logged anything.")
    called = unique_names([(name, key) for key, (name, _) in found.items()])
    return combine([r.table(run=name) for (_, r), name in zip(found.values(), called, strict=True)])
