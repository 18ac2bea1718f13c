"""Finished units of a backtest on disk, so that one that was killed goes on where it stopped.

One Parquet file per unit, named by the unit's key, with what is not a table as JSON in its metadata. A file is written
under another name first; one that cannot be read counts as not there.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from bayeslaw.backtest_work import Scored
from bayeslaw.errors import FileError
from bayeslaw.files import written_whole

KEY = b"bayeslaw.backtest"


class Store:
    """A folder of finished units; with None nothing is kept. FileError if the folder cannot be made."""

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise FileError(f"Cannot make the folder {self.folder} for the results: {error.strerror}.") from None

    def _path(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{key}.parquet"

    def get(self, key: str) -> Scored | None:
        """The result of the unit with this key, or None if it is not there or was cut short."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            table = pq.read_table(path)
            info = json.loads(table.schema.metadata[KEY])
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
            return None
        return Scored(table.to_pandas(), info) if info.get("key") == key else None

    def put(self, scored: Scored) -> None:
        """Keep a result. FileError if it cannot be written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._path(scored.info["key"])
        if path is None:
            return
        table = pa.Table.from_pandas(pd.DataFrame(scored.points), preserve_index=False)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: json.dumps(scored.info).encode()})
        try:
            with written_whole(path) as draft:
                pq.write_table(table, draft)
        except OSError as error:
            raise FileError(f"Cannot keep a result as {path}: {error.strerror or error}.") from None
