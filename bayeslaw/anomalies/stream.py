"""One run as a monitor sees it: its judge, its tracker, the rows that wait, and the rows that siblings may ask for."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Container
from typing import Any

import numpy as np

from bayeslaw.anomalies.events import Event
from bayeslaw.anomalies.live import Live, Mark
from bayeslaw.anomalies.naming import Row
from bayeslaw.anomalies.shocks import MOST, Curve
from bayeslaw.anomalies.tracker import Tracker

#: a row as it arrives: step, loss, tokens, gradient norm and learning rate, the last three NaN where unknown
Arrived = tuple[float, float, float, float, float]
#: rows of each run remembered for alignment and for recognizing duplicates
REMEMBERED = 2000
#: rows between two marks of where the levels were, which a run that is restarted goes back to
MARKED = 20


class Stream:
    """One run, or one exit of the looped run ``of``; ``rate`` false alarms per step are asked for.

    ``late`` rows came at steps that had been judged and were passed over; ``rewinds``: how often it went back.
    """

    def __init__(self, run: str, rate: float, of: str = "") -> None:
        self.run, self.of = run, of or run
        self.late = self.rewinds = 0
        self.live = Live(MOST, rate)
        #: position of the last row, its step, and whether positions are tokens
        self.x, self.at, self.in_tokens = 0.0, 0.0, False
        #: step, position and levels of some rows remembered
        self.marks: deque[tuple[float, float, Mark]] = deque(maxlen=REMEMBERED // MARKED)
        self.tracker = Tracker(run, rate)
        self.waiting: list[Arrived] = []
        #: step, loss and learning rate of the last rows, and the two by step
        self.past: deque[tuple[float, float, float]] = deque(maxlen=REMEMBERED)
        self.by_step: dict[float, float] = {}
        self.lr_by_step: dict[float, float] = {}
        self.last = -math.inf
        self.usual = 0.0
        self.back: list[Arrived] = []
        self.siblings: list[tuple[str, int]] = []
        self.rows = 0

    def note(self, step: float, loss: float, lr: float) -> None:
        """A row's turn has come: remember it for duplicates and siblings, and its distance for the cadence."""
        gap = step - self.last
        if math.isfinite(gap):
            usual = self.usual
            self.usual = gap if self.rows <= 1 else usual + (min(gap, 3 * usual) - usual) * 0.05
        self.last = step
        self.rows += 1
        if len(self.past) == REMEMBERED:
            self.by_step.pop(self.past[0][0], None)
            self.lr_by_step.pop(self.past[0][0], None)
        self.past.append((step, loss, lr))
        self._keep(step, loss, lr)
        if self.rows % MARKED == 0 and self.x > 0:
            self.marks.append((self.at, self.x, self.live.mark(len(self.siblings))))

    def _keep(self, step: float, loss: float, lr: float) -> None:
        self.by_step[step] = loss
        if lr == lr:
            self.lr_by_step[step] = lr

    def place(self, step: float, tokens: float) -> float:
        """Position of a row whose turn has come: its tokens if the run's first row had them, else its step.

        Tokens that are missing, or no more than before (logs round them), advance as the steps do.
        """
        if self.x == 0:
            self.in_tokens = tokens > 0
        if not self.in_tokens:
            self.x = step
        elif tokens > self.x:
            self.x = tokens
        else:
            self.x *= step / self.at
        self.at = step
        return self.x

    def forget(self, start: float) -> list[Event]:
        """The run went back to ``start``: its rows from there on are no longer its own, and an open event has ended."""
        for late in [s for s in self.by_step if s >= start]:
            del self.by_step[late]
            self.lr_by_step.pop(late, None)
        self.past = deque((p for p in self.past if p[0] < start), maxlen=REMEMBERED)
        self.waiting = []
        self.last = max((p[0] for p in self.past), default=start - max(self.usual, 1.0))
        while self.marks and self.marks[-1][0] >= start:
            self.marks.pop()
        mark = None
        if self.marks:
            self.at, self.x, mark = self.marks[-1]
        else:
            self.x = 0.0
        self.live.back(mark)
        return self.tracker.back(start, self.last)

    def judge(
        self, step: float, loss: float, x: float, others: list[float] | None, lr: float, others_lr: list[float] | None
    ) -> list[Event]:
        """Advance by one finite row at position ``x``; ``others`` are the siblings' losses known by now, or NaN, ``lr``
        and ``others_lr`` learning rates."""
        told = self.live.step(loss, x, others, lr, others_lr)
        count = sum(y == y for y in others) if others is not None and told.shared else 0
        row = Row(step, loss, told.expected, told.scale, told.z, count)
        return self.tracker.push(row, told.own_scale, told.alarm, told.active, told.total, told.kind)

    def keep_siblings(self, names: Container[str]) -> None:
        """Leave out siblings that are no longer there, with all that was learned of them."""
        kept = [k for k, (name, _) in enumerate(self.siblings) if name in names]
        if len(kept) == len(self.siblings):
            return
        self.siblings = [self.siblings[k] for k in kept]
        self.live.siblings.keep(kept)
        self.marks = deque(((at, x, mark.of(kept)) for at, x, mark in self.marks), maxlen=self.marks.maxlen)

    @property
    def known(self) -> tuple[dict[float, float], dict[float, float]]:
        """Losses and learning rates of the rows remembered, by step."""
        return self.by_step, self.lr_by_step

    def curve(self) -> Curve:
        """The rows remembered, those of NaN left out."""
        kept = np.array([p[:2] for p in self.past if math.isfinite(p[1])], float).reshape(-1, 2)
        return Curve(self.run, kept[:, 0], kept[:, 1], kept[:, 0], of=self.of)

    def to_json(self) -> dict[str, Any]:
        """Everything remembered, as JSON."""
        return {
            "x": self.x, "at": self.at, "in_tokens": self.in_tokens, "marks": list(self.marks),
            "live": self.live.to_json(), "tracker": self.tracker.to_json(), "waiting": self.waiting,
            "past": list(self.past), "last": self.last, "usual": self.usual, "back": self.back,
            "siblings": self.siblings, "rows": self.rows, "of": self.of, "late": self.late, "rewinds": self.rewinds,
        }  # fmt: skip

    @classmethod
    def from_json(cls, run: str, rate: float, data: dict[str, Any]) -> Stream:
        """The inverse of ``to_json``."""
        new = cls(run, rate, data.get("of", run))
        new.late, new.rewinds = data.get("late", 0), data.get("rewinds", 0)
        new.live = Live.from_json(data["live"], rate)
        new.tracker = Tracker.from_json(data["tracker"])
        new.waiting = [tuple(w) for w in data["waiting"]]
        for p in data["past"]:
            new.past.append((p[0], p[1], p[2]))
            new._keep(*p)
        for name in ("x", "at", "in_tokens", "last", "usual", "rows"):
            setattr(new, name, data[name])
        new.marks.extend((at, x, Mark(*mark)) for at, x, mark in data["marks"])
        new.back = [tuple(b) for b in data["back"]]
        new.siblings = [(s[0], s[1]) for s in data["siblings"]]
        return new
