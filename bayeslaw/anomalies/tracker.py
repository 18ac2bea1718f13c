"""From alarms to events: one run's rows as they come, events opened, followed, merged and closed.

A tracker remembers the last ``HISTORY`` rows and those of the open event, so its memory is bounded.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from bayeslaw.anomalies.classify import classify
from bayeslaw.anomalies.events import Event, log10_of, told
from bayeslaw.anomalies.naming import Row, name_of, severity_of
from bayeslaw.anomalies.structure import Structure

#: rows remembered before an alarm; rows after an event in which a new alarm continues it; most rows of an event kept
HISTORY, GRACE, MOST = 128, 12, 1000
#: rows before an event that tell where the curve was; standard errors off zero that make it plain
BEFORE, LAGS = 20, 4.0
#: rows after an event opened at which its kind is looked at again, and told where it has surely changed. Between the
#: first two, what is left of a spike that will recover looks like one that stays
LOOKS, SURE = (5, 60, 200), 0.9
#: after so many rows within so many sd, so many beyond so many, all on one side, are an event of their own
CALM, LOUD = (8, 3.0), (3, 4.0)
#: sd of the run's own noise beyond which its curve alone shows that an event is its own
OWN = 4.0
#: by how much the level before an event may be off, in sd of the noise (benchmarks/anomaly_families.py, sizes)
LEVEL = 0.25


class Tracker:
    """Events of one run. ``rate``: false alarms per step that are asked for."""

    def __init__(self, run: str, rate: float = 1e-4) -> None:
        self.run, self.rate = run, rate
        self.history: deque[Row] = deque(maxlen=HISTORY)
        self.rows: list[Row] = []
        self.lead = 0
        self.seen_at = math.nan
        self.evidence = 0.0
        self.hint = ""
        self.grace = -1
        self.own_scale = 0.0
        self.since, self.told = 0, ""
        self.structure = Structure(run, rate)

    @property
    def is_open(self) -> bool:
        """Whether an event is open (or has just closed and may still go on)."""
        return bool(self.rows)

    def push(self, row: Row, own_scale: float, alarm: bool, active: bool, total: float, hint: str) -> list[Event]:
        """Take a finite row and what the bank said of it; returns events that opened (``open``) or were settled."""
        out = self.structure.row(row.step, row.loss, own_scale)
        if not self.rows:
            if alarm:
                self.own_scale = own_scale
                out.append(self._open(row, total, hint))
            self.history.append(row)
            return out
        if len(self.rows) < MOST:
            self.rows.append(row)
        self.since += 1
        if self._another():
            out += self._split(total)
        elif self.since in LOOKS:
            out += self._looked_at()
        if alarm or active:
            self.grace = -1
            self.evidence = max(self.evidence, total)
        else:
            self.grace = GRACE if self.grace < 0 else self.grace - 1
            if self.grace == 0:
                out.append(self.settle())
        self.history.append(row)
        return out

    def nonfinite(self, step: float) -> list[Event]:
        """Take a row whose loss is NaN or infinite."""
        return self.structure.nonfinite(step)

    def flush(self) -> list[Event]:
        """What is open when there are no more rows; nothing is forgotten, so that more rows may still come."""
        out = self.structure.flush()
        if self.rows:
            out.append(self._event(self.grace < 0))
        return out

    def settle(self) -> Event:
        """Close the open event for good."""
        event = self._event(False)
        self.rows, self.grace = [], -1
        return event

    def back(self, start: float, last: float) -> list[Event]:
        """The run went back to ``start``, behind the row of step ``last``: what is open has ended."""
        out = [self.settle()] if self.rows else []
        self.history = deque((r for r in self.history if r.step < start), maxlen=HISTORY)
        return out + self.structure.back(last)

    def _open(self, row: Row, total: float, hint: str) -> Event:
        before = list(self.history)
        z = np.array([r.z for r in before] + [row.z])
        onset = _onset(z, "point" if abs(row.z) > 5.0 else hint)
        start = max(0, onset - BEFORE)
        return self._begin([*before[start:], row], onset - start, total, hint)

    def _begin(self, rows: list[Row], lead: int, total: float, hint: str) -> Event:
        self.rows, self.lead, self.since = rows, lead, 0
        self.seen_at, self.evidence, self.hint, self.grace = rows[-1].step, total, hint, -1
        event = self._event(True)
        self.told = event.kind
        return event

    def _looked_at(self) -> list[Event]:
        """The open event once more, if its rows since make it surely another kind than was told."""
        event = self._event(True)
        if event.kind == self.told or event.probability < SURE:
            return []
        self.told = event.kind
        return [event]

    def _another(self) -> bool:
        """Whether the last rows leave a curve to which the open event had come back."""
        last, quiet = self.rows[-LOUD[0] :], self.rows[-LOUD[0] - CALM[0] : -LOUD[0]]
        if len(self.rows) <= self.lead + LOUD[0] + CALM[0]:
            return False
        away = min(r.z for r in last) > LOUD[1] or max(r.z for r in last) < -LOUD[1]
        return away and all(abs(r.z) < CALM[1] for r in quiet)

    def _split(self, total: float) -> list[Event]:
        """What was open has ended, and the last rows open an event of their own."""
        rows = self.rows
        self.rows = rows[: -LOUD[0]]
        ended = self.settle()
        return [ended, self._begin(rows[-LOUD[0] - CALM[0] :], CALM[0], total, "up" if rows[-1].z > 0 else "down")]

    def _event(self, is_open: bool) -> Event:
        rows = self.rows
        residual = np.array([r.loss - r.expected for r in rows])
        # what the filter lagged behind a smooth curve before the event is not the event's
        lag = _lag(residual[: self.lead])
        residual -= lag
        scale = np.array([r.scale for r in rows])
        verdict = classify(residual, scale, self.lead, correlated=LEVEL)
        kind = name_of(verdict, rows, self.lead, self.own_scale)
        peak = rows[verdict.peak]
        severity, low, high = severity_of(kind, verdict)
        event = Event(
            self.run, kind, verdict.probability, rows[self.lead].step, peak.step,
            rows[max(verdict.end, self.lead)].step, verdict.magnitude,
            verdict.magnitude / max(float(np.median(scale)), 1e-12),
            log10_of(self.evidence), peak.expected + lag, peak.loss, severity, low, high,
            max(r.siblings for r in rows[self.lead :]), self.seen_at, is_open,
        )  # fmt: skip
        # one sibling's contrast says no more than that one of the two moved, unless this one's own curve shows it
        whose = event.siblings != 1 or abs(event.magnitude) > OWN * self.own_scale
        return told(event, whose)

    def to_json(self) -> dict[str, Any]:
        """Everything remembered, as JSON."""
        return {
            "run": self.run, "rate": self.rate, "history": [list(r) for r in self.history],
            "rows": [list(r) for r in self.rows], "lead": self.lead, "seen_at": self.seen_at,
            "evidence": self.evidence, "hint": self.hint, "grace": self.grace,
            "own_scale": self.own_scale, "since": self.since, "told": self.told, "structure": self.structure.to_json(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Tracker:
        """The inverse of ``to_json``."""
        new = cls(data["run"], data["rate"])
        new.history.extend(Row(*r) for r in data["history"])
        new.rows = [Row(*r) for r in data["rows"]]
        for name in ("lead", "seen_at", "evidence", "hint", "grace", "own_scale", "since", "told"):
            setattr(new, name, data[name])
        new.structure = Structure.from_json(data["structure"])
        return new


def _lag(before: np.ndarray) -> float:
    """Median of the residuals before an event where it is plain that they lie to one side, else 0."""
    if len(before) < BEFORE // 2:
        return 0.0
    middle = float(np.median(before))
    # standard error of a median, from the median absolute deviation
    error = 1.253 * 1.483 * float(np.median(np.abs(before - middle))) / math.sqrt(len(before))
    return middle if abs(middle) > LAGS * error else 0.0


def _onset(z: np.ndarray, hint: str) -> int:
    """Where the event that was noticed at the last of ``z`` began: the start that its residuals speak for most."""
    bounded = np.clip(z, -10.0, 10.0)
    if hint == "variance":
        gains = 0.5 * (1 - 1 / 4.0) * bounded**2 - math.log(2.0)
        return int(np.argmax(np.cumsum(gains[::-1])[::-1]))
    recent = bounded[-8:]
    if hint == "point":
        sign = 1.0 if bounded[-1] > 0 else -1.0
        start = len(z) - 1
        while start > 0 and sign * z[start - 1] > 3.0:
            start -= 1
        return start
    sign = 1.0 if hint == "up" else -1.0
    size = float(np.clip(np.median(sign * recent), 0.4, 6.0))
    gains = size * (sign * bounded - 0.5 * size)
    return int(np.argmax(np.cumsum(gains[::-1])[::-1]))
