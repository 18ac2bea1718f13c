"""Stretches of consecutive rows of many curves, and sums and medians over all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Segments:
    """Contiguous stretches of rows. ``starts`` (m + 1,) offsets into the rows; ``curve`` (m,) ascending curve ids."""

    starts: np.ndarray
    curve: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """(m,) rows per segment."""
        return np.diff(self.starts)

    @property
    def of_row(self) -> np.ndarray:
        """(n,) the segment of each row."""
        return np.repeat(np.arange(len(self.curve)), self.count)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """(m,) sums of a row quantity."""
        return np.add.reduceat(values, self.starts[:-1])

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(m,) means of a row quantity."""
        return self.sum(values) / self.count

    def median(self, values: np.ndarray) -> np.ndarray:
        """(m,) medians of a row quantity: segments of equal length are ranked together."""
        count = self.count
        medians = np.empty(len(count))
        for n in np.unique(count):
            which = np.flatnonzero(count == n)
            block = values[self.starts[which][:, None] + np.arange(n)]
            k = n // 2
            if n % 2:
                medians[which] = np.partition(block, k, axis=1)[:, k]
            else:
                medians[which] = np.partition(block, (k - 1, k), axis=1)[:, k - 1 : k + 1].mean(axis=1)
        return medians

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """(m,), (m,): first and past-the-last segment of each segment's curve."""
        new = np.flatnonzero(np.diff(self.curve, prepend=-1))
        sizes = np.diff(np.append(new, len(self.curve)))
        return np.repeat(new, sizes), np.repeat(new + sizes, sizes)

    def five(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(k, 5), (k, 5): the segments of the same curve nearest to ``which``, and which of them exist.

        In place of one that does not exist stands the segment itself.
        """
        lo, hi = (bound[which] for bound in self.bounds)
        first = np.maximum(np.minimum(which - 2, hi - 5), lo)
        at = first[:, None] + np.arange(5)
        inside = at < hi[:, None]
        return np.where(inside, at, which[:, None]), inside

    def smooth(self, values: np.ndarray) -> np.ndarray:
        """(m,) the median of a segment quantity over the five nearest segments of the same curve."""
        rows = np.arange(len(self.curve))
        at, inside = self.five(rows)
        ranked = np.sort(np.where(inside, values[at], np.inf), axis=1)
        k = inside.sum(1)
        return 0.5 * (ranked[rows, (k - 1) // 2] + ranked[rows, k // 2])
