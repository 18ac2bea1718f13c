"""Parquet files, through Arrow."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bayeslaw.data.table import Table
from bayeslaw.errors import FileError


def read(data: bytes, name: str) -> Table:
    """Read a Parquet file.

    Parameters
    ----------
    data : the file's bytes.
    name : the file, for messages.

    Raises
    ------
    FileError
        The file is truncated or otherwise not Parquet.
    """
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise FileError(
            f"{name} is not a complete Parquet file ({_first_line(error)}). Copy or export it again."
        ) from None
    empty = {
        name: table.column(i).is_null().to_numpy(zero_copy_only=False)
        for i, name in enumerate(table.column_names)
        if table.column(i).null_count
    }
    frame = table.to_pandas(ignore_metadata=True)
    return Table(frame, empty, np.arange(1, table.num_rows + 1))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
