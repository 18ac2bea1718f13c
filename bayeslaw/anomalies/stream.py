"""One run as a monitor sees it: its judge, its tracker, the rows that wait, and the rows that siblings may ask for."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from bayeslaw.anomalies.events import Event
from bayeslaw.anomalies.live import Live
from bayeslaw.anomalies.shocks import MOST, Curve
from bayeslaw.anomalies.tracker import Row, Tracker

#: a row as it arrives: step, loss, position, gradient norm and learning rate, the last two NaN where unknown
Arrived = tuple[float, float, float, float, float]
#: rows of each run remembered for alignment and for recognizing duplicates
REMEMBERED = 2000


class Stream:
    """One run; ``rate`` false alarms per step are asked for."""

    def __init__(self, run: str, rate: float) -> None:
        self.run = run
        self.live = Live(MOST, rate)
        self.top = 0.0
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

    def _keep(self, step: float, loss: float, lr: float) -> None:
        self.by_step[step] = loss
        if lr == lr:
            self.lr_by_step[step] = lr

    def forget(self, start: float) -> None:
        """The run went back to ``start``: its rows from there on are no longer its own."""
        for late in [s for s in self.by_step if s >= start]:
            del self.by_step[late]
            self.lr_by_step.pop(late, None)
        self.past = deque((p for p in self.past if p[0] < start), maxlen=REMEMBERED)
        self.waiting = []
        self.last = max((p[0] for p in self.past), default=start - max(self.usual, 1.0))
        self.tracker.structure.step = self.last

    def judge(
        self, step: float, loss: float, x: float, others: list[float] | None, lr: float, others_lr: list[float] | None
    ) -> list[Event]:
        """Advance by one finite row at position ``x``; ``others`` are the siblings' losses known by now, or NaN, ``lr``
        and ``others_lr`` learning rates."""
        # a restarted run is judged against the level it had; its position never goes back
        self.top = max(self.top, x)
        told = self.live.step(loss, self.top, others, lr, others_lr)
        count = sum(y == y for y in others) if others is not None and told.shared else 0
        row = Row(step, loss, told.expected, told.scale, told.z, count)
        return self.tracker.push(row, told.own_scale, told.alarm, told.active, told.total, told.kind)

    @property
    def known(self) -> tuple[dict[float, float], dict[float, float]]:
        """Losses and learning rates of the rows remembered, by step."""
        return self.by_step, self.lr_by_step

    def curve(self) -> Curve:
        """The rows remembered, those of NaN left out."""
        kept = np.array([p[:2] for p in self.past if math.isfinite(p[1])], float).reshape(-1, 2)
        return Curve(self.run, kept[:, 0], kept[:, 1], kept[:, 0])

    def to_json(self) -> dict[str, Any]:
        """Everything remembered, as JSON."""
        return {
            "top": self.top, "live": self.live.to_json(), "tracker": self.tracker.to_json(), "waiting": self.waiting,
            "past": list(self.past), "last": self.last, "usual": self.usual, "back": self.back,
            "siblings": self.siblings, "rows": self.rows,
        }  # fmt: skip

    @classmethod
    def from_json(cls, run: str, rate: float, data: dict[str, Any]) -> Stream:
        """The inverse of ``to_json``."""
        new = cls(run, rate)
        new.live = Live.from_json(data["live"], rate)
        new.tracker = Tracker.from_json(data["tracker"])
        new.waiting = [tuple(w) for w in data["waiting"]]
        for p in data["past"]:
            new.past.append((p[0], p[1], p[2]))
            new._keep(*p)
        new.top, new.last, new.usual, new.rows = data["top"], data["last"], data["usual"], data["rows"]
        new.back = [tuple(b) for b in data["back"]]
        new.siblings = [(s[0], s[1]) for s in data["siblings"]]
        return new
