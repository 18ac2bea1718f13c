"""MLflow's local file store: ``mlruns/<experiment>/<run>/metrics/<name>``, lines of ``timestamp value step``."""

from __future__ import annotations

import re
from pathlib import Path

from bayeslaw.data.table import Remark, Table
from bayeslaw.errors import FileError
from bayeslaw.readers.combine import combine, unique_names
from bayeslaw.readers.points import Points
from bayeslaw.readers.source import Source

_NAME = re.compile(r"^run_name:\s*(.+?)\s*$", re.M)
_DELETED = re.compile(r"^lifecycle_stage:\s*deleted\s*$", re.M)


def is_run(folder: Path) -> bool:
    """Whether a folder is one run of the file store."""
    return (folder / "metrics").is_dir() and (folder / "meta.yaml").is_file()


def read_runs(folders: list[Path]) -> Table:
    """Read the runs in these folders; those that were deleted are left out.

    Raises FileError where a metric's file holds something else than numbers, or there is no metric at all.
    """
    tables, named = [], []
    for folder in folders:
        meta = (folder / "meta.yaml").read_text(encoding="utf-8", errors="replace")
        if _DELETED.search(meta):
            continue
        table = _read_run(folder)
        if table is not None:
            found = _NAME.search(meta)
            named.append((found[1].strip("'\"") if found else folder.name, folder.name))
            tables.append(table)
    if not tables:
        raise FileError(f"{folders[0].parent} holds no run with a metric (deleted runs are left out).")
    names = unique_names(named)
    return combine([_named(t, name) for t, name in zip(tables, names, strict=True)])


def _named(table: Table, name: str) -> Table:
    return Table(table.frame, table.empty, table.row, table.torn, name, table.remarks, table.notes)


def _read_run(folder: Path) -> Table | None:
    """All metrics of a run, in the order of their time stamps."""
    scalars: list[tuple[int, int, str, int, float]] = []
    torn: list[str] = []
    root = folder / "metrics"
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        source = Source(path)
        if not source.size:
            continue
        lines = source.data().split(b"\n")
        for i, line in enumerate(lines):
            if not line.strip():
                continue
            if i == len(lines) - 1 and i:  # without its line break: 12 may be the beginning of step 125
                torn.append(f"The last line of metric {name} was cut off: left out. A live run writes it again.")
                continue
            try:
                stamp, value, *step = line.split()
                scalars.append((int(stamp), len(scalars), name, int(step[0]) if step else 0, float(value)))
            except ValueError:
                raise FileError(
                    f"Line {i + 1:,} of {path} is {line[:60].decode('utf-8', 'replace')!r}, but MLflow writes "
                    f"'timestamp value step' there."
                ) from None
            if abs(scalars[-1][3]) >= 1 << 62:
                raise FileError(f"Line {i + 1:,} of {path} has step {scalars[-1][3]}, which no run reaches.")
    if not scalars:
        return None
    points = Points()
    for _, _, name, step, value in sorted(scalars, key=lambda s: s[:2]):
        points.add(name, step, value)
    table = points.table(folder.name)
    remarks: tuple[Remark, ...] = ()
    return Table(table.frame, table.empty, table.row, tuple(torn), folder.name, remarks)
