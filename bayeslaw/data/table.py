"""What a reader hands over: a table as it stood in the file, before anyone judged it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bayeslaw.errors import DataError


def column(frame: pd.DataFrame, name: object) -> pd.Series:
    """One column of a table whose column names are unique."""
    found = frame[name]  # type: ignore[index]
    assert isinstance(found, pd.Series)
    return found


def as_frame(table: Any, what: str) -> pd.DataFrame:
    """A DataFrame with columns named by texts, from whatever people hold their rows in.

    Takes a DataFrame, a mapping of columns, a list of mappings, and what speaks Arrow (a pyarrow or polars table). An
    index with a name is a column that somebody set aside, such as ``set_index("step")``: it becomes one again.
    ``what`` names the table in the DataError for anything else.
    """
    arrow = hasattr(table, "__arrow_c_stream__") and not isinstance(table, pd.DataFrame | pd.Series)
    rows = isinstance(table, Sequence) and len(table) > 0 and all(isinstance(row, Mapping) for row in table)
    if not (arrow or rows or isinstance(table, pd.DataFrame | Mapping)):
        raise DataError(
            f"Cannot take {type(table).__name__} for {what}. Give a DataFrame with one row per logged step, or Runs as "
            f"bayeslaw.load(path) reads them."
        )
    try:
        frame = pd.DataFrame(
            dict(table) if isinstance(table, Mapping) else pa.table(table).to_pandas() if arrow else table
        )
    except ValueError as error:  # columns of different lengths, or numbers where columns should be
        raise DataError(f"Cannot take {what} as a table: {error}. Give a DataFrame with one row per step.") from None
    if frame.columns.nlevels > 1:
        raise DataError(
            f"The columns of {what} have {frame.columns.nlevels} levels of names, as in {frame.columns[0]!r}. Give "
            f'each column one name: df.columns = ["/".join(map(str, c)) for c in df.columns].'
        )
    put_aside = [name for name in frame.index.names if name is not None and name not in frame.columns]
    if put_aside:
        frame = frame.reset_index(level=put_aside)
    if all(isinstance(name, str) for name in frame.columns):
        return frame
    return frame.set_axis([str(name) for name in frame.columns], axis=1)


@dataclass(frozen=True)
class Remark:
    """What a reader noticed, to become a fact: ``kind`` of ``facts.KINDS``, how many rows, and a sentence.

    ``run`` names the run where the source has several; ``position`` is the row of the table where it was noticed.
    """

    kind: str
    message: str
    count: int = 1
    run: str | None = None
    position: int = 0


@dataclass(frozen=True)
class Table:
    """A source table.

    ``frame`` has the source's own columns. ``empty`` maps a column to a bool array, True where the cell held nothing
    at all: pandas writes NaN both there and where the trainer logged ``NaN``, and the difference matters (a row
    without a loss against a run that blew up). ``row`` is the 1-based row in the source (header not counted).
    ``torn`` says, in a sentence, that a last line was cut off while being written. ``run`` is what the source itself
    calls its one run, ``remarks`` are facts that only the reader can know, ``notes`` sentences on how it was read.
    """

    frame: pd.DataFrame
    empty: Mapping[str, np.ndarray] = field(default_factory=dict)
    row: np.ndarray | None = None
    torn: tuple[str, ...] = ()
    run: str | None = None
    remarks: tuple[Remark, ...] = ()
    notes: tuple[str, ...] = ()

    @staticmethod
    def of_frame(frame: pd.DataFrame) -> Table:
        """A table from a DataFrame: None and NA are empty cells, a float NaN is taken for a logged NaN."""
        empty = {}
        for position, name in enumerate(frame.columns):
            cells = frame.iloc[:, position]
            if isinstance(cells.dtype, pd.api.extensions.ExtensionDtype):
                mask = cells.isna().to_numpy(dtype=bool)
            elif cells.dtype == object:
                mask = np.fromiter((v is None or v is pd.NA or v == "" for v in cells), bool, len(cells))
            else:
                continue
            if mask.any():
                empty[name] = mask
        return Table(frame, empty)
