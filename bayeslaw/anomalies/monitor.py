"""``Monitor``: the stream. Rows in as they are logged, events out, strictly causal, with bounded memory.

Rows of one run may come late, twice, or again after a restart:

- a row of the step that is due, or any that follows the usual cadence, is judged at once;
- a row that leaves a gap waits for up to ``patience`` newer rows, in case the missing ones are only late;
- a row at a step that was judged already is dropped if its loss is the same, and is the start of a **rewind** if it
  differs or if rows go on from there.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayeslaw.anomalies.bank import Bank, State
from bayeslaw.anomalies.events import Event, sentence
from bayeslaw.anomalies.evidence import KINDS as DETECTORS
from bayeslaw.anomalies.gradients import Gradients
from bayeslaw.anomalies.shocks import MOST, Curve, nearest
from bayeslaw.anomalies.tracker import Row, Tracker
from bayeslaw.errors import DataError

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs

#: rows of each run remembered for alignment and for recognizing duplicates; rows between two looks for siblings, and
#: running runs that are compared with at one look
REMEMBERED, LOOK_EVERY, AT_ONCE = 2000, 100, 16
#: version of the saved state
VERSION = 2


class _Ready(NamedTuple):
    """A row whose turn has come: ``arrival`` numbers the rows, ``others`` are the siblings' losses known by then."""

    arrival: int
    step: float
    loss: float
    x: float
    grad_norm: float
    others: np.ndarray | None


class _Stream:
    """One run: its place in the bank, its tracker, the rows that wait, and the rows that siblings may ask for."""

    def __init__(self, run: str, rate: float, place: int) -> None:
        self.run, self.place = run, place
        self.ready: deque[_Ready] = deque()
        self.top = 0.0
        self.tracker = Tracker(run, rate)
        self.waiting: list[tuple[float, float, float, float]] = []
        self.past: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)
        self.by_step: dict[float, float] = {}
        self.last = -math.inf
        self.usual = 0.0
        self.back: list[tuple[float, float, float, float]] = []
        self.siblings: list[tuple[str, int]] = []
        self.rows = 0


class Monitor:
    """Watches any number of runs.

    Parameters
    ----------
    rate : false alarms per step asked for, in all kinds together.
    siblings : finished or running runs to compare with (``Runs``), beside those that the monitor itself watches.
    patience : how many newer rows a row that leaves a gap waits for the missing ones.

    Nothing looks ahead: of a sibling that runs at the same time only the rows that came before count, so the run whose
    row of a step comes first is judged alone at that step. With a single sibling a stream cannot always say which of
    the two an event belongs to; ``anomalies``, which sees both, can.

    ``push`` takes one row, ``feed`` many; both return the events that opened or were settled by them. An event is
    reported when it opens (``open`` true) and once more when it is settled, with the same ``run`` and ``seen_at``.
    """

    def __init__(self, rate: float = 1e-4, siblings: Runs | None = None, patience: int = 8) -> None:
        if not 0 < rate < 1:
            raise DataError(f"rate is a share of steps between 0 and 1, such as 1e-4; got {rate}.")
        self.rate, self.patience = rate, patience
        self._bank = Bank(0, MOST, rate)
        self._gradients = Gradients(rate)
        self._arrivals = 0
        self._pending: set[str] = set()
        self._streams: dict[str, _Stream] = {}
        self._known: dict[str, Curve] = {}
        self._tables: dict[str, dict[float, float]] = {}
        if siblings is not None:
            for name in siblings.names:
                frame = siblings.curve(name)
                if "step" in frame and len(frame) > 1:
                    step, loss = frame["step"].to_numpy(float), frame["loss"].to_numpy(float)
                    self._known[name] = Curve(name, step, loss, step)
                    self._tables[name] = dict(zip(step.tolist(), loss.tolist(), strict=True))

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs that are watched, in order of appearance."""
        return tuple(self._streams)

    def siblings(self, run: str) -> tuple[tuple[str, int], ...]:
        """The siblings that a run is compared with at present, and their offsets in steps; none of an unknown run."""
        return tuple(self._streams[run].siblings) if run in self._streams else ()

    def feed(self, rows: Iterable[Mapping[str, Any]]) -> list[Event]:
        """Take rows with ``step``, ``loss``; ``run`` where there are several; ``tokens`` and ``grad_norm`` if known.

        Events are those of as many ``push`` calls, in order; rows of different runs are judged together, and quicker.
        """
        found: list[tuple[int, Event]] = []
        for row in rows:
            found += self._arrive(
                str(row.get("run", "run")), row["step"], row["loss"], row.get("tokens"), row.get("grad_norm")
            )
        return self._ordered(found + self._judge_ready())

    def push(
        self, run: str, step: float, loss: float, tokens: float | None = None, grad_norm: float | None = None
    ) -> list[Event]:
        """One row of a run: loss (nats), tokens, grad_norm (L2). Gives events settled. DataError: step no number."""
        return self._ordered(self._arrive(run, step, loss, tokens, grad_norm) + self._judge_ready())

    def finish(self) -> list[Event]:
        """The input has ended: judge what waits and report what is open."""
        for stream in self._streams.values():
            while stream.waiting:
                self._make_ready(stream, *stream.waiting.pop(0))
        out = self._ordered(self._judge_ready())
        for stream in self._streams.values():
            out += stream.tracker.flush()
        return out

    @staticmethod
    def _ordered(found: list[tuple[int, Event]]) -> list[Event]:
        return [event for _, event in sorted(found, key=lambda pair: pair[0])]

    def _arrive(
        self, run: str, step: float, loss: float, tokens: float | None, grad_norm: float | None
    ) -> list[tuple[int, Event]]:
        step, loss = float(step), float(loss)
        if not math.isfinite(step):
            raise DataError(f"Run {run!r}: a row came with step {step}. Every row of a stream needs its step.")
        if step <= 0:
            return []
        self._arrivals += 1
        x = step if tokens is None or not tokens > 0 else float(tokens)
        row = (step, loss, x, math.nan if grad_norm is None else float(grad_norm))
        stream = self._streams.get(run)
        if stream is None:
            stream = self._streams[run] = _Stream(run, self.rate, len(self._streams))
            self._bank.state = State.stack([self._bank.state, State.empty(1, MOST)])
            self._gradients.grow()
        if step <= stream.last:
            return self._behind(stream, row)
        stream.back.clear()
        if any(w[0] == step for w in stream.waiting):
            return []
        bisect.insort(stream.waiting, row)
        while stream.waiting and (self._due(stream) or len(stream.waiting) > self.patience):
            self._make_ready(stream, *stream.waiting.pop(0))
        return []

    def _due(self, stream: _Stream) -> bool:
        return stream.rows < 3 or stream.waiting[0][0] - stream.last <= 1.5 * stream.usual

    def _behind(self, stream: _Stream, row: tuple[float, float, float, float]) -> list[tuple[int, Event]]:
        """A row at or before the last judged step: a duplicate, a straggler, or the first rows after a restart."""
        step, loss = row[:2]
        old = stream.by_step.get(step)
        if old is not None and (old == loss or (old != old and loss != loss)):
            return []
        if stream.back and step <= stream.back[-1][0]:
            stream.back = []
        stream.back.append(row)
        # stragglers fill steps that were never seen; a restart writes steps again
        if len(stream.back) < 2 or not any(b[0] in stream.by_step for b in stream.back):
            return []
        found = self._judge_ready()
        start, rows, stream.back = stream.back[0][0], list(stream.back), []
        nan = math.nan
        event = Event(
            stream.run, "rewind", 1.0, start, start, stream.last, nan, nan, 30.0, nan, nan, nan, nan, nan, 0,
            rows[-1][0], False,
        )  # fmt: skip
        event = Event(**{**event.record(), "message": sentence(event)})
        for late in [s for s in stream.by_step if s >= start]:
            del stream.by_step[late]
        stream.past = deque((p for p in stream.past if p[0] < start), maxlen=REMEMBERED)
        stream.waiting = []
        stream.last = max((p[0] for p in stream.past), default=start - max(stream.usual, 1.0))
        stream.tracker.structure.step = stream.last
        found.append((self._arrivals, event))
        for row in rows:
            found += self._arrive(stream.run, *row)
        return found

    def _make_ready(self, stream: _Stream, step: float, loss: float, x: float, grad_norm: float) -> None:
        """A row's turn has come: note it for duplicates and siblings, and look up what the siblings had by now."""
        gap = step - stream.last
        if math.isfinite(gap):
            usual = stream.usual
            stream.usual = gap if stream.rows <= 1 else usual + (min(gap, 3 * usual) - usual) * 0.05
        stream.last = step
        stream.rows += 1
        if len(stream.past) == REMEMBERED:
            stream.by_step.pop(stream.past[0][0], None)
        stream.past.append((step, loss))
        stream.by_step[step] = loss
        if stream.rows % LOOK_EVERY == 0:
            self._look_for_siblings(stream)
        others = None
        if stream.siblings:
            others = np.full(MOST, np.nan)
            for k, (name, offset) in enumerate(stream.siblings):
                table = self._tables[name] if name in self._tables else self._streams[name].by_step
                others[k] = table.get(step + offset, np.nan)
        stream.ready.append(_Ready(self._arrivals, step, loss, x, grad_norm, others))
        self._pending.add(stream.run)

    def _judge_ready(self) -> list[tuple[int, Event]]:
        """Judge all rows whose turn has come, one of each run at a time."""
        found: list[tuple[int, Event]] = []
        while self._pending:
            rows = [
                (stream, stream.ready.popleft()) for stream in map(self._streams.__getitem__, sorted(self._pending))
            ]
            self._pending = {stream.run for stream, _ in rows if stream.ready}
            for paired in (False, True):
                batch = [(s, r) for s, r in rows if (r.others is not None) == paired and math.isfinite(r.loss)]
                if batch:
                    found += self._judge(batch, paired)
            found += self._warn([(s, r) for s, r in rows if math.isfinite(r.grad_norm)])
            for stream, row in rows:
                if not math.isfinite(row.loss):
                    found += [(row.arrival, event) for event in stream.tracker.nonfinite(row.step)]
        return found

    def _judge(self, batch: list[tuple[_Stream, _Ready]], paired: bool) -> list[tuple[int, Event]]:
        """Advance the bank by one finite row of each of some runs."""
        places = np.array([stream.place for stream, _ in batch])
        bank, whole = self._bank, self._bank.state
        bank.state, bank.b = whole.take(places), len(places)
        for stream, row in batch:
            # a restarted run is judged against the level it had; its position never goes back
            stream.top = max(stream.top, row.x)
        loss = np.array([row.loss for _, row in batch])
        others = np.stack([row.others for _, row in batch if row.others is not None]) if paired else None
        result = bank.step(loss, np.array([stream.top for stream, _ in batch]), others)
        own = np.sqrt(bank.state.scale2)
        whole.put(places, bank.state)
        bank.state = whole
        best = result.kinds.argmax(axis=1)
        count = np.isfinite(others).sum(axis=1) * result.shared if others is not None else np.zeros(len(batch))
        found = []
        for i, (stream, row) in enumerate(batch):
            judged = Row(
                row.step, row.loss, float(result.expected[i]), float(result.scale[i]), float(result.z[i]), int(count[i])
            )
            events = stream.tracker.push(
                judged, float(own[i]), bool(result.alarm[i]), bool(result.active[i]), float(result.total[i]),
                DETECTORS[int(best[i])],
            )  # fmt: skip
            found += [(row.arrival, event) for event in events]
        return found

    def _warn(self, batch: list[tuple[_Stream, _Ready]]) -> list[tuple[int, Event]]:
        """Advance the gradient norms by one row of each of some runs."""
        if not batch:
            return []
        warnings = self._gradients.judge(
            np.array([s.place for s, _ in batch]), [s.run for s, _ in batch], np.array([r.step for _, r in batch]),
            np.array([max(s.top, r.x) for s, r in batch]), np.array([r.grad_norm for _, r in batch]),
        )  # fmt: skip
        return [(batch[i][1].arrival, event) for i, event in warnings.items()]

    def _look_for_siblings(self, stream: _Stream) -> None:
        """Alignment on what both runs have shown so far; a sibling once found is kept.

        Looks become rarer, and each is at a part of the running runs, so that many runs stay cheap.
        """
        look = stream.rows // LOOK_EVERY
        if len(stream.siblings) == MOST or (look & (look - 1) and look % 16):
            return
        mine = _curve(stream)
        low, high = mine.step[0] - 8, mine.step[-1] + 8
        candidates = []
        for name, curve in self._known.items():
            inside = (curve.step >= low) & (curve.step <= high)
            if inside.sum() > 30:
                candidates.append(Curve(name, curve.step[inside], curve.loss[inside], curve.step[inside]))
        running = [s for s in self._streams.values() if s is not stream and s.rows > 30]
        first = (look * AT_ONCE) % len(running) if len(running) > AT_ONCE else 0
        candidates += [_curve(s) for s in (running[first:] + running[:first])[:AT_ONCE]]
        held = [name for name, _ in stream.siblings]
        for sibling in nearest(mine, candidates):
            if sibling.run not in held and len(stream.siblings) < MOST:
                stream.siblings.append((sibling.run, sibling.offset))

    def to_json(self) -> dict[str, Any]:
        """Everything remembered, as JSON; the finished siblings are given again when it is read."""
        streams = {
            name: {
                "top": s.top, "tracker": s.tracker.to_json(), "waiting": s.waiting,
                "past": list(s.past), "last": s.last, "usual": s.usual, "back": s.back, "siblings": s.siblings,
                "rows": s.rows,
            } for name, s in self._streams.items()
        }  # fmt: skip
        return {
            "version": VERSION, "rate": self.rate, "patience": self.patience, "arrivals": self._arrivals,
            "bank": self._bank.state.to_json(), "gradients": self._gradients.to_json(), "streams": streams,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any], siblings: Runs | None = None) -> Monitor:
        """The inverse of ``to_json``, of the same ``siblings``. DataError if ``data`` is of another version."""
        if data.get("version") != VERSION:
            raise DataError(
                f"The saved state is of version {data.get('version')}, this bayeslaw reads {VERSION}: "
                f"delete it to start over."
            )
        new = cls(data["rate"], siblings, data["patience"])
        new._arrivals = data["arrivals"]
        new._bank.state = State.from_json(data["bank"], len(data["streams"]), MOST)
        new._gradients.restore(data["gradients"], len(data["streams"]))
        for place, (name, saved) in enumerate(data["streams"].items()):
            stream = new._streams[name] = _Stream(name, new.rate, place)
            stream.top = saved["top"]
            stream.tracker = Tracker.from_json(saved["tracker"])
            stream.waiting = [tuple(w) for w in saved["waiting"]]
            stream.past.extend((p[0], p[1]) for p in saved["past"])
            stream.by_step = dict(stream.past)
            stream.last, stream.usual, stream.rows = saved["last"], saved["usual"], saved["rows"]
            stream.back = [tuple(b) for b in saved["back"]]
            there = {*new._tables, *data["streams"]}
            stream.siblings = [(s[0], s[1]) for s in saved["siblings"] if s[0] in there]
        return new


def _curve(stream: _Stream) -> Curve:
    kept = np.array([p for p in stream.past if math.isfinite(p[1])], float).reshape(-1, 2)
    return Curve(stream.run, kept[:, 0], kept[:, 1], kept[:, 0])
