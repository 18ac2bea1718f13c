"""Parquet files, through Arrow."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bayeslaw.data.table import Table
from bayeslaw.errors import FileError
from bayeslaw.readers.source import Source


def read(source: Source) -> Table:
    """Read a Parquet file. Raises FileError for one that is truncated or otherwise not Parquet."""
    try:
        table = pq.read_table(io.BytesIO(source.data()))
        table.validate(full=True)
        empty = {
            name: table.column(i).is_null().to_numpy(zero_copy_only=False)
            for i, name in enumerate(table.column_names)
            if table.column(i).null_count
        }
        frame = _with_index(table, table.to_pandas(ignore_metadata=True))
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise FileError(
            f"{source.name} is not a complete Parquet file ({_first_line(error)}). Copy or export it again."
        ) from None
    return Table(frame, empty, np.arange(1, table.num_rows + 1))


def _with_index(table: pa.Table, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a named index that counts evenly, such as steps, which pandas keeps beside the columns."""
    for index in (table.schema.pandas_metadata or {}).get("index_columns", ()):
        ends = [index.get(key) for key in ("start", "stop", "step")] if isinstance(index, dict) else []
        whole = [end for end in ends if isinstance(end, int)]
        if len(whole) == 3 and whole[2] and index.get("name") and str(index["name"]) not in frame:
            counted = range(*whole)
            if len(counted) == len(frame):
                frame.insert(0, str(index["name"]), np.array(counted))
    return frame


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
