"""What needs no noise model: losses of NaN, a value that repeats, steps that are missing."""

from __future__ import annotations

import math
from typing import Any

from bayeslaw.anomalies.events import Event, plain

#: rows before a gap can be judged; a gap must exceed the largest so far and the usual one by these factors
ROWS, BEYOND_LARGEST, BEYOND_USUAL = 30, 3.0, 4.0
NAN = math.nan


class Structure:
    """Structural events of one run, one row at a time."""

    def __init__(self, run: str, rate: float) -> None:
        self.run, self.rate = run, rate
        self.rows = 0
        self.step = NAN
        self.loss = NAN
        self.usual = 0.0
        self.largest = 0.0
        self.quantum = math.inf
        self.same_from = NAN
        self.same_rows = 0
        self.same_evidence = 0.0
        self.frozen_seen = NAN
        self.bad_from = NAN
        self.bad_to = NAN

    def row(self, step: float, loss: float, scale: float) -> list[Event]:
        """A finite row; ``scale`` is the sd of the run's own noise, nats."""
        out = self._end_nonfinite()
        out += self._gap(step)
        out += self._frozen(step, loss, scale)
        self.step, self.loss, self.rows = step, loss, self.rows + 1
        return out

    def nonfinite(self, step: float) -> list[Event]:
        """A row whose loss is NaN or infinite; says so at once."""
        new = math.isnan(self.bad_from)
        self.bad_from, self.bad_to = (step if new else self.bad_from), step
        self.step = step
        return [self._make("nonfinite", self.bad_from, step, step, 30.0, True)] if new else []

    def flush(self) -> list[Event]:
        """What is open at the end."""
        out = []
        if not math.isnan(self.bad_from):
            out.append(self._make("nonfinite", self.bad_from, self.bad_to, self.bad_from, 30.0, True))
        if not math.isnan(self.frozen_seen):
            out.append(self._frozen_event(True))
        return out

    def back(self, last: float) -> list[Event]:
        """The run went back behind the row of step ``last``: what is open has ended."""
        out = self._end_nonfinite()
        if not math.isnan(self.frozen_seen):
            out.append(self._frozen_event(False))
        self.same_from, self.same_rows, self.same_evidence, self.frozen_seen = NAN, 0, 0.0, NAN
        self.step, self.loss = last, NAN
        return out

    def _end_nonfinite(self) -> list[Event]:
        if math.isnan(self.bad_from):
            return []
        event = self._make("nonfinite", self.bad_from, self.bad_to, self.bad_from, 30.0, False)
        self.bad_from = self.bad_to = NAN
        return [event]

    def _gap(self, step: float) -> list[Event]:
        gap = step - self.step
        if math.isnan(gap) or gap <= 0:
            return []
        usual, largest, rows = self.usual, self.largest, self.rows
        self.usual = gap if rows <= 1 else usual + (min(gap, 3 * usual) - usual) * 0.05
        self.largest = max(largest, gap)
        if rows < ROWS or gap < BEYOND_USUAL * usual or gap < BEYOND_LARGEST * largest:
            return []
        return [self._make("missing_steps", self.step, step, step, math.log10(gap / usual) * 4, False)]

    def _frozen(self, step: float, loss: float, scale: float) -> list[Event]:
        change = abs(loss - self.loss)
        if change > 0 or math.isnan(change):
            if change > 0:
                self.quantum = min(self.quantum, change)
            out = []
            if not math.isnan(self.frozen_seen):
                out = [self._frozen_event(False)]
            self.same_from, self.same_rows, self.same_evidence, self.frozen_seen = step, 1, 0.0, NAN
            return out
        self.same_rows += 1
        if self.rows < 20 or not math.isfinite(self.quantum):
            return []
        # two healthy losses agree to the last digit with this probability, at most
        chance = min(0.5, max(self.quantum, 1e-9) / (3.54 * max(scale, 1e-12)))
        self.same_evidence = min(self.same_evidence - math.log10(chance), 300.0)
        if math.isnan(self.frozen_seen) and self.same_rows >= 3 and self.same_evidence > 2 - math.log10(self.rate):
            self.frozen_seen = step
            return [self._make("frozen", self.same_from, step, step, self.same_evidence, True)]
        return []

    def _frozen_event(self, is_open: bool) -> Event:
        return self._make("frozen", self.same_from, self.step, self.frozen_seen, self.same_evidence, is_open)

    def _make(self, kind: str, start: float, end: float, seen: float, evidence: float, is_open: bool) -> Event:
        return plain(self.run, kind, start, end, seen, is_open, evidence)

    def to_json(self) -> dict[str, Any]:
        """Everything remembered, as JSON."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Structure:
        """The inverse of ``to_json``."""
        new = cls(data["run"], data["rate"])
        vars(new).update(data)
        return new
