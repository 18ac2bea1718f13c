"""``Monitor``: the stream. Rows in as they are logged, events out, strictly causal, with bounded memory.

Rows of one run may come late, twice, or again after a restart:

- a row of the step that is due, or any that follows the usual cadence, is judged at once;
- a row that leaves a gap waits for up to ``patience`` newer rows, in case the missing ones are only late;
- a row at a step that was judged already is dropped if its loss is the same, and is the start of a **rewind** if it
  differs or if rows go on from there.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bayeslaw.anomalies import evidence
from bayeslaw.anomalies.company import FINISHED, LOOK_EVERY, Company
from bayeslaw.anomalies.events import Event, plain
from bayeslaw.anomalies.gradients import Gradients
from bayeslaw.anomalies.recorded import label_of
from bayeslaw.anomalies.stream import Arrived, Stream
from bayeslaw.errors import DataError

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs

#: version of the saved state
VERSION = 5
#: times that a run goes back before it is asked whether several processes write its log
OFTEN = 3


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
    reported when it opens (``open`` true), again where its rows make it another kind, and once more when it is settled,
    always with the same ``run`` and ``seen_at``.
    """

    def __init__(self, rate: float = 1e-4, siblings: Runs | None = None, patience: int = 8) -> None:
        self.rate, self.patience = evidence.checked(rate), patience
        self._gradients = Gradients(rate)
        self._streams: dict[str, Stream] = {}
        self._company = Company(self._streams, siblings)

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs that are watched, in order of appearance."""
        return tuple(self._streams)

    def siblings(self, run: str) -> tuple[tuple[str, int], ...]:
        """The siblings that a run is compared with at present, and their offsets in steps; none of an unknown run."""
        return tuple(self._streams[run].siblings) if run in self._streams else ()

    def feed(self, rows: Iterable[Mapping[str, Any]]) -> list[Event]:
        """Take rows with ``step``, ``loss``; ``run`` where there are several; ``tokens``, ``grad_norm``, ``lr`` if any;
        ``exit_step`` of a looped run, each of whose exits is judged by itself, under ``"RUN exit T"``.

        Events are those of as many ``push`` calls, in order.
        """
        found: list[Event] = []
        for row in rows:
            get = row.get
            found += self._arrive(
                str(get("run", "run")), row["step"], row["loss"], get("tokens"), get("grad_norm"), get("lr"),
                get("exit_step"),
            )  # fmt: skip
        return found

    def push(
        self, run: str, step: float, loss: float, tokens: float | None = None, grad_norm: float | None = None,
        lr: float | None = None, exit_step: float | None = None,
    ) -> list[Event]:  # fmt: skip
        """One row of a run: loss (nats), tokens, grad_norm (L2), lr (learning rate), exit_step (of a looped run).

        Gives events settled. DataError: step no number.
        """
        return self._arrive(run, step, loss, tokens, grad_norm, lr, exit_step)

    def remarks(self, least: int = 1) -> dict[str, str]:
        """Per run of which at least so many rows could not be judged: how many, and what that may come from."""
        out = {}
        for name, stream in self._streams.items():
            said = []
            if stream.late >= least:
                said.append(
                    f"{stream.late:,} rows came late, or again with another loss, at steps that had been judged, and "
                    f"were passed over."
                )
            if stream.rewinds >= OFTEN:
                said.append(f"{stream.rewinds:,} times it went back to an earlier step.")
            if said:
                out[name] = (
                    f"Run {name!r}: {' '.join(said)} If several processes write this log, log one of them, or give "
                    f"each a name of its own in the column run."
                )
        return out

    def finish(self) -> list[Event]:
        """The input has ended: judge what waits and report what is open."""
        out: list[Event] = []
        for stream in self._streams.values():
            while stream.waiting:
                out += self._judge(stream, *stream.waiting.pop(0))
        for stream in self._streams.values():
            out += stream.tracker.flush()
        return out

    def _arrive(
        self, run: str, step: float, loss: float, tokens: float | None, grad_norm: float | None, lr: float | None,
        exit_step: float | None = None,
    ) -> list[Event]:  # fmt: skip
        step, loss = float(step), float(loss)
        if not math.isfinite(step):
            raise DataError(f"Run {run!r}: a row came with step {step}. Every row of a stream needs its step.")
        if step <= 0:
            return []
        row = (step, loss, _known(tokens), _known(grad_norm), _known(lr))
        name = run if exit_step is None else label_of(run, exit_step)
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(name, self.rate, run)
        return self._take(stream, row)

    def _take(self, stream: Stream, row: Arrived) -> list[Event]:
        """A row in its turn, or before it."""
        step = row[0]
        if step <= stream.last:
            return self._behind(stream, row)
        stream.back.clear()
        if not stream.waiting and self._due(stream, step):
            return self._judge(stream, *row)
        if any(w[0] == step for w in stream.waiting):
            return []
        bisect.insort(stream.waiting, row)
        found: list[Event] = []
        while stream.waiting and (self._due(stream, stream.waiting[0][0]) or len(stream.waiting) > self.patience):
            found += self._judge(stream, *stream.waiting.pop(0))
        return found

    @staticmethod
    def _due(stream: Stream, step: float) -> bool:
        return stream.rows < 3 or step - stream.last <= 1.5 * stream.usual

    def _behind(self, stream: Stream, row: Arrived) -> list[Event]:
        """A row at or before the last judged step: a duplicate, a straggler, or the first rows after a restart."""
        step, loss = row[:2]
        old = stream.by_step.get(step)
        if old is not None and (old == loss or (old != old and loss != loss)):
            return []
        if stream.back and step <= stream.back[-1][0]:
            stream.back = []
        stream.back.append(row)
        if not self._restarted(stream):
            stream.late += 1
            return []
        stream.late -= len(stream.back) - 1
        stream.rewinds += 1
        start, rows, stream.back = stream.back[0][0], list(stream.back), []
        event = plain(stream.run, "rewind", start, stream.last, rows[-1][0], False)
        found = [*stream.forget(start), event]
        self._gradients.back(stream.of)
        for row in rows:
            found += self._take(stream, row)
        return found

    def _restarted(self, stream: Stream) -> bool:
        """Whether the rows that came behind the last say so: stragglers fill steps that were never seen, a restart
        writes steps again, or many in order that are too old to be remembered."""
        back = stream.back
        if len(back) < 2:
            return False
        # those between the first and the last were looked at when they came
        again = back[0][0] in stream.by_step or back[-1][0] in stream.by_step
        too_old = bool(stream.past) and back[-1][0] < stream.past[0][0]
        return again or (len(back) > self.patience and too_old)

    def _judge(
        self, stream: Stream, step: float, loss: float, tokens: float, grad_norm: float, lr: float
    ) -> list[Event]:
        """A row's turn has come: it is judged against what its siblings had by now."""
        stream.note(step, loss, lr)
        x = stream.place(step, tokens)
        if stream.rows % LOOK_EVERY == 0:
            self._company.look(stream)
        others, others_lr = self._company.at(stream, step) if stream.siblings else (None, None)
        finite = math.isfinite(loss)
        found = stream.judge(step, loss, x, others, lr, others_lr) if finite else []
        if math.isfinite(grad_norm):
            found += self._gradients.judge(stream.of, step, x, grad_norm)
        return found if finite else found + stream.tracker.nonfinite(step)

    def to_json(self) -> dict[str, Any]:
        """Everything remembered, as JSON; the finished siblings are given again when it is read."""
        return {
            "version": VERSION, "rate": self.rate, "patience": self.patience, "gradients": self._gradients.to_json(),
            "streams": {name: stream.to_json() for name, stream in self._streams.items()},
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any], siblings: Runs | None = None) -> Monitor:
        """The inverse of ``to_json``, of the same ``siblings``. DataError if ``data`` is of another version."""
        if data.get("version") != VERSION:
            raise DataError(f"The saved state is of version {data.get('version')}, and this bayeslaw reads {VERSION}.")
        new = cls(data["rate"], siblings, data["patience"])
        new._restore(data)
        return new

    def copy(self) -> Monitor:
        """One that knows the same and goes on by itself."""
        new = Monitor(self.rate, None, self.patience)
        new._company = self._company.of(new._streams)
        new._restore(json.loads(json.dumps(self.to_json())))
        return new

    def _restore(self, data: Mapping[str, Any]) -> None:
        self._gradients.restore(data["gradients"])
        finished = self._company.finished
        there = {*finished, *(name + FINISHED for name in finished), *data["streams"]}
        for name, saved in data["streams"].items():
            stream = self._streams[name] = Stream.from_json(name, self.rate, saved)
            stream.keep_siblings(there)


def _known(value: float | None) -> float:
    """A number, NaN where there is none."""
    return math.nan if value is None else float(value)
