"""Rows as dictionaries turned into typed columns, block by block, so that a long log never stands in memory twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.table import Remark, Table


class Records:
    """Collects rows that have different keys.

    ``keep`` says which keys to keep (None: all); the others are counted in ``dropped``. ``flush`` turns the rows
    collected so far into arrays; it runs by itself every ``block`` rows.
    """

    def __init__(self, keep: Any = None, block: int = 20_000):
        self.keep = keep
        self.block = block
        self.rows: list[dict[str, Any]] = []
        self.blocks: list[tuple[int, dict[str, Any], dict[str, np.ndarray]]] = []
        self.keys: dict[str, None] = {}
        self.dropped: dict[str, None] = {}
        self.count = 0

    def add(self, row: dict[str, Any]) -> None:
        """One row: key to number, text, None or anything else that JSON knows; nested objects are flattened."""
        self.rows.append(row)
        if len(self.rows) >= self.block:
            self.flush()

    def extend(self, rows: Iterable[dict[str, Any]]) -> None:
        """Several rows at once."""
        self.rows.extend(rows)
        if len(self.rows) >= self.block:
            self.flush()

    def flush(self) -> None:
        """Turn the rows collected so far into arrays."""
        rows, self.rows = self.rows, []
        if not rows:
            return
        if any(type(value) is dict for row in rows for value in row.values()):
            rows = [flat(row) for row in rows]
        keys = list(dict.fromkeys(key for row in rows for key in row))
        if self.keep is not None:
            self.dropped.update(dict.fromkeys(key for key in keys if not self.keep(key)))
            keys = [key for key in keys if self.keep(key)]
        self.keys.update(dict.fromkeys(keys))
        columns, empties = {}, {}
        for key in keys:
            values = [row.get(key) for row in rows]
            missing = np.array([v is None for v in values], bool)
            if missing.any():
                empties[key] = missing
            columns[key] = array(values)
        self.blocks.append((len(rows), columns, empties))
        self.count += len(rows)

    def table(
        self,
        *,
        row: np.ndarray | None = None,
        torn: tuple[str, ...] = (),
        run: str | None = None,
        remarks: tuple[Remark, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Table:
        """All rows as a Table; the blocks are given up on the way."""
        self.flush()
        data, empty = {}, {}
        lengths = [n for n, _, _ in self.blocks]
        for key in self.keys:
            parts = [columns.pop(key, None) for _, columns, _ in self.blocks]
            masks = [
                np.ones(n, bool) if part is None else empties.get(key, np.zeros(n, bool))
                for part, n, (_, _, empties) in zip(parts, lengths, self.blocks, strict=True)
            ]
            mask = np.concatenate(masks)
            if mask.any():
                empty[key] = mask
            data[key] = _joined(parts, lengths)
        row = np.arange(1, self.count + 1) if row is None else row
        return Table(pd.DataFrame(data), empty, row, torn, run, remarks, notes)


def array(values: list[Any]) -> Any:
    """Numbers as float64 (int64 if all are whole and there), text as text, everything else as it came."""
    kinds = {type(v) for v in values}
    try:
        if kinds == {int}:
            return np.array(values, np.int64)
        if kinds <= {int, float, type(None)} and kinds & {int, float}:
            return np.array([np.nan if v is None else v for v in values], np.float64)
    except OverflowError:  # an integer beyond the range of the type
        pass
    if kinds <= {str, type(None)} and str in kinds:
        return pd.array(values, dtype="str")
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _joined(parts: list[Any], lengths: list[int]) -> Any:
    """One column out of the blocks' parts; a block without the key holds nothing there."""
    there = [part for part in parts if part is not None]
    if len(there) == 1 and len(parts) == 1:
        return there[0]
    if all(isinstance(part, np.ndarray) and part.dtype.kind in "if" for part in there):
        if len(there) == len(parts) and all(part.dtype.kind == "i" for part in there):
            return np.concatenate(there)
        return np.concatenate(
            [np.full(n, np.nan) if part is None else part for part, n in zip(parts, lengths, strict=True)],
            dtype=np.float64,
        )
    values: list[Any] = []
    for part, n in zip(parts, lengths, strict=True):
        values.extend([None] * n if part is None else part.tolist())
    return array([None if v is pd.NA or (type(v) is float and v != v) else v for v in values])


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """Nested objects as one level, keys joined by ``/``: ``{"train": {"loss": 3}}`` is ``{"train/loss": 3}``."""
    out: dict[str, Any] = {}
    stack = [("", iter(record.items()))]
    while stack:
        prefix, items = stack[-1]
        for key, value in items:
            if type(value) is dict:
                stack.append((f"{prefix}{key}/", iter(value.items())))
                break
            out[f"{prefix}{key}"] = value
        else:
            stack.pop()
    return out
