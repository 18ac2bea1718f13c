"""JSON lines (one object per row), and HF Trainer's ``trainer_state.json`` or another JSON array of objects."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.table import Table
from bayeslaw.errors import FileError


def read(data: bytes, name: str) -> Table:
    """Read JSON lines. Nested objects become columns joined by ``/``; NaN and Infinity are accepted.

    Parameters
    ----------
    data : the file's bytes, decompressed.
    name : the file, for messages.

    Raises
    ------
    FileError
        A line in the middle is not a JSON object. A last line without a line break that does not parse is a live run
        caught in mid-write: it is left out and reported.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{name} is not text in UTF-8 (byte {error.start:,}). Save it again as UTF-8.") from None
    whole = _whole(text)
    if whole is not None:
        return _table(whole, np.arange(1, len(whole) + 1), ())
    lines = text.split("\n")
    numbers = [i for i, line in enumerate(lines) if line.strip()]
    rows, torn = _records(lines, numbers, name)
    return _table(rows, np.arange(1, len(rows) + 1), torn)


def _whole(text: str) -> list[dict[str, Any]] | None:
    """The records of a file that is one JSON value: an array of objects, or an object with ``log_history``."""
    start = text.lstrip()[:1]
    if start not in ("[", "{") or (start == "{" and '"log_history"' not in text):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    value = value.get("log_history") if isinstance(value, dict) else value
    return value if isinstance(value, list) and all(isinstance(v, dict) for v in value) else None


def _records(lines: list[str], numbers: list[int], name: str) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    try:
        rows = json.loads("[" + ",".join([lines[i] for i in numbers]) + "]")  # one call: ten times as fast
        if len(rows) == len(numbers) and all(type(row) is dict for row in rows):
            return rows, ()
    except ValueError:
        pass
    rows = []
    for i in numbers:
        try:
            row = json.loads(lines[i])
            if type(row) is not dict:
                raise ValueError(f"it holds {type(row).__name__}, not an object")
        except ValueError as error:
            if i == numbers[-1] and i == len(lines) - 1 and rows:
                return rows, (f"The last line of {name} was cut off: left out. A live run writes it again.",)
            raise FileError(
                f"Line {i + 1:,} of {name} is not a JSON object ({error}): {lines[i][:80]!r}. Each line holds one row, "
                f'as in {{"run": "7b", "step": 10, "loss": 3.2}}; correct or remove that line.'
            ) from None
        rows.append(row)
    return rows, ()


def _table(rows: list[dict[str, Any]], row: np.ndarray, torn: tuple[str, ...]) -> Table:
    if any(type(value) is dict for record in rows for value in record.values()):
        rows = [_flat(record) for record in rows]
    keys = list(dict.fromkeys(key for record in rows for key in record))
    columns: dict[str, Any] = {}
    empty = {}
    for key in keys:
        values = [record.get(key) for record in rows]
        missing = np.array([v is None for v in values], bool)
        if missing.any():
            empty[key] = missing
        columns[key] = _array(values, missing)
    return Table(pd.DataFrame(columns), empty, row, torn)


def _array(values: list[Any], missing: np.ndarray) -> Any:
    """Numbers as float64 (int64 if all are whole and there), everything else as it came."""
    kinds = {type(v) for v in values}
    if kinds == {int} and all(abs(v) < 2**63 for v in values):
        return np.array(values, np.int64)
    if kinds <= {int, float, type(None)} and kinds & {int, float}:
        return np.array([np.nan if v is None else v for v in values], np.float64)
    if kinds == {str} or kinds == {str, type(None)}:
        return pd.array(values, dtype="str")
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if type(value) is dict:
            flat |= _flat(value, f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
