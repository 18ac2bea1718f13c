"""Scalars that were logged one at a time (metric, step, value) put back into rows, one per step.

A run that is resumed goes back and logs the same steps again. The rows before and after that are told apart by the
metrics themselves: once one of them goes back, everything that follows belongs to a new stretch of the run.
"""

from __future__ import annotations

from array import array

import numpy as np
import pandas as pd

from bayeslaw.data.table import Table
from bayeslaw.readers.names import is_known


class Points:
    """Collects scalars in the order in which they were written."""

    def __init__(self) -> None:
        self.tags: dict[str, int] = {}
        self.tag, self.stretch = array("i"), array("i")
        self.step, self.value = array("q"), array("d")
        self._last: dict[str, int] = {}
        self._now = 0

    def __len__(self) -> int:
        """Number of scalars."""
        return len(self.value)

    def add(self, tag: str, step: int, value: float) -> None:
        """One scalar: ``tag`` names the metric."""
        number = self.tags.get(tag)
        if number is None:
            number = self.tags[tag] = len(self.tags)
        last = self._last.get(tag)
        if last is not None and step < last and is_known(tag):
            self._now += 1
            self._last.clear()
        self._last[tag] = step
        self.tag.append(number)
        self.stretch.append(self._now)
        self.step.append(step)
        self.value.append(value)

    def frame(self) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        """One row per stretch and step, in the order of writing, with ``step`` and a column per metric (float64).

        And the masks of the cells at which nothing was logged. Of two values of a metric at one step in one stretch,
        the later counts.
        """
        tag, step = np.array(self.tag, np.intp), np.array(self.step, np.int64)
        stretch, value = np.array(self.stretch, np.int64), np.array(self.value, np.float64)
        order = np.lexsort((step, stretch))
        new = np.diff(stretch[order], prepend=-1) | np.diff(step[order], prepend=step[order][:1] - 1)
        numbers = np.cumsum(new != 0) - 1
        row = np.empty(len(order), np.intp)
        row[order] = numbers
        rows = int(numbers[-1]) + 1 if len(numbers) else 0
        first = np.full(rows, len(order), np.int64)
        np.minimum.at(first, row, np.arange(len(order)))
        rank = np.empty(rows, np.intp)
        rank[np.argsort(first, kind="stable")] = np.arange(rows)
        row = rank[row]
        steps = np.zeros(rows, np.int64)
        steps[row] = step
        data: dict[str, np.ndarray] = {"step": steps}
        empty = {}
        by_tag = np.argsort(tag, kind="stable")
        cuts = np.searchsorted(tag[by_tag], np.arange(len(self.tags) + 1))
        for name, number in self.tags.items():
            mine = by_tag[cuts[number] : cuts[number + 1]]
            column, there = np.full(rows, np.nan), np.zeros(rows, bool)
            column[row[mine]] = value[mine]  # of several, numpy keeps the last
            there[row[mine]] = True
            key = name if name not in ("step", "run") else f"{name} (logged)"
            data[key] = column
            if not there.all():
                empty[key] = ~there
        return pd.DataFrame(data), empty

    def table(self, run: str) -> Table:
        """``frame`` as the table of one run."""
        frame, empty = self.frame()
        return Table(frame, empty, np.arange(1, len(frame) + 1), run=run)
