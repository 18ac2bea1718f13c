"""What was noticed about a table: one row per run and kind, so that no row is ever lost in silence."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

COLUMNS = ("run", "kind", "row", "step", "count", "message")

#: kind → what it means, in the words of ``Runs.explain``
KINDS: dict[str, str] = {
    "dropped_run": "runs without a single finite loss, left out",
    "nonfinite_loss": "rows whose loss is NaN or infinite, left out",
    "sparse_rows": "rows without a loss (other metrics), left out",
    "duplicate_step": "rows written again at the same step, last one kept",
    "rewind": "rows that a resume wrote again, left out",
    "unsorted": "runs not in order of steps, sorted",
    "missing_axis": "rows without a step, left out",
    "before_training": "rows at step 0, in no bin",
    "zero_loss": "rows whose loss is exactly 0, in no bin",
    "derived_tokens": "runs whose tokens are step * batch_tokens",
    "high_loss": "runs with a median loss above 15: nats per token?",
    "torn_line": "last lines cut off while being written, left out",
    "damaged": "stretches of a file that fail their checksum, left out",
    "window_mean": "losses that are means over a logging window, or rounded",
    "hidden_nan": "rows whose finite loss may hide a NaN",
    "downsampled": "runs that look sampled: spikes may be missing",
    "auxiliary_loss": "auxiliary losses that the total may contain",
    "batch_ramp": "runs whose batch size changes: tokens are not step * batch",
}


@dataclass
class Ledger:
    """Collects facts while a table is read. ``row`` and ``step`` are the source row and the axis of every row."""

    run: np.ndarray
    names: tuple[str, ...]
    row: np.ndarray
    step: np.ndarray
    entries: list[tuple] = field(default_factory=list)

    def add(self, kind: str, position: int, count: int, message: str) -> None:
        """One fact, at row ``position`` of the table."""
        name = self.names[self.run[position]]
        self.entries.append((name, kind, int(self.row[position]), float(self.step[position]), int(count), message))

    def add_rows(self, kind: str, mask: np.ndarray, message: str) -> None:
        """One fact per run that has rows in ``mask``; ``{n}`` and ``{row}`` of the message are filled in."""
        positions = np.flatnonzero(mask)
        if positions.size == 0:
            return
        runs, first, counts = np.unique(self.run[positions], return_index=True, return_counts=True)
        for _, at, count in sorted(zip(runs, first, counts, strict=True), key=lambda f: f[1]):
            position = int(positions[at])
            what = "1 row" if count == 1 else f"{count:,} rows"
            self.add(kind, position, count, message.format(n=what, row=f"{int(self.row[position]):,}"))

    def frame(self) -> pd.DataFrame:
        """The facts as a table, in order of their kinds and then of the runs' appearance."""
        return facts_frame(self.entries)


def facts_frame(entries: list[tuple]) -> pd.DataFrame:
    """A facts table from (run, kind, row, step, count, message) tuples; empty ones keep their columns and types."""
    order = {kind: i for i, kind in enumerate(KINDS)}
    entries = sorted(entries, key=lambda e: order.get(e[1], len(order)))
    frame = pd.DataFrame(entries, columns=list(COLUMNS))
    types = {"run": "str", "kind": "str", "row": "int64", "step": "float64", "count": "int64", "message": "str"}
    return frame.astype(types)
