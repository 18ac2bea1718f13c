"""What a reader hands over: a table as it stood in the file, before anyone judged it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd


def column(frame: pd.DataFrame, name: object) -> pd.Series:
    """One column of a table whose column names are unique."""
    found = frame[name]  # type: ignore[index]
    assert isinstance(found, pd.Series)
    return found


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
