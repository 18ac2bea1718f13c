"""Watching a log file: rows in, events appended to a file exactly once, whatever interrupts it.

After each batch the events are appended and flushed to disk, then the state is replaced atomically; the state records
how long the event file was. On a start the event file is cut back to that length, so events written by a watcher that
was killed before it could save are written again, once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayeslaw.anomalies.events import Event
from bayeslaw.anomalies.monitor import Monitor
from bayeslaw.anomalies.tail import Tail
from bayeslaw.errors import DataError, FileError

if TYPE_CHECKING:
    from bayeslaw.anomalies.notify import Notifier
    from bayeslaw.data.runs import Runs


class Watch:
    """A monitor of one growing file.

    Parameters
    ----------
    path : the log. ``events`` : file of JSON lines to append to; ``state`` : file to keep what is known in.
    rate, siblings : as for ``Monitor``. ``columns`` : canonical name to the file's own.
    notifier : tells people of what is new in ``events``, at least once: again where it was killed, or no service took
        it, before the state was saved next.

    FileError where the state was saved by another version or is not one.
    """

    def __init__(
        self, path: str | Path, events: str | Path, state: str | Path, *, rate: float = 1e-4,
        siblings: Runs | None = None, columns: Mapping[str, str] | None = None, notifier: Notifier | None = None,
    ) -> None:  # fmt: skip
        self.tail = Tail(path, columns)
        self.events, self.state = Path(events), Path(state)
        self.monitor = Monitor(rate, siblings)
        self.notifier = notifier
        self.written = 0
        self.told = 0
        self.count = 0
        if self.state.exists():
            self._restore(siblings)
        elif self.events.exists() and self.events.stat().st_size > 0:
            raise FileError(
                f"{self.events} exists, but the state {self.state} that goes with it does not. Move the events away, "
                f"or name another file, so that none is lost."
            )
        else:
            self._save([])
        self._cut()
        self._tell()

    def poll(self) -> Iterator[list[Event]]:
        """Judge what was added to the file; yields the events of each batch after they are safely on disk."""
        for rows in self.tail.rows():
            # the tail stands behind the whole block, so a block is saved only when all of it was judged
            found = self.monitor.feed(rows)
            self._save(found)
            self._tell()
            yield found

    def finish(self) -> list[Event]:
        """What is open when watching ends; reported but not saved, for the file may still grow."""
        return self.monitor.copy().finish()

    def _save(self, events: list[Event]) -> None:
        if events:
            lines = "".join(line_of(event) + "\n" for event in events).encode()
            with open(self.events, "ab") as file:
                if file.tell() != self.written:
                    raise FileError(
                        f"{self.events} was changed by someone else, perhaps by another watcher of this log. Let one "
                        f"watch it, or give each its own files for events and state."
                    )
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            self.written += len(lines)
            self.count += sum(not event.open for event in events)
        data = {"tail": self.tail.to_json(), "monitor": self.monitor.to_json(), "written": self.written,
                "count": self.count, "told": self.told}  # fmt: skip
        new = self.state.with_name(self.state.name + ".new")
        text = json.dumps(data)  # in one piece: json.dump takes three times as long
        with open(new, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.state)

    def _tell(self) -> None:
        """Notify of the events on disk that nobody was told of."""
        if self.notifier is None:
            self.told = self.written
        elif self.told < self.written:
            with open(self.events, "rb") as file:
                file.seek(self.told)
                lines = file.read(self.written - self.told).decode().splitlines()
            if self.notifier.send([event_of(line) for line in lines]):
                self.told = self.written

    def _restore(self, siblings: Runs | None) -> None:
        try:
            data = json.loads(self.state.read_text(encoding="utf-8"))
            self.tail.restore(data["tail"])
            self.written, self.count, self.told = data["written"], data["count"], data["told"]
            asked, self.monitor = self.monitor.rate, Monitor.from_json(data["monitor"], siblings)
        except DataError as error:
            raise FileError(f"{self.state}: {error} {self._over}") from None
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise FileError(f"{self.state} is not a watcher's state ({error}). {self._over}") from None
        if self.monitor.rate != asked:
            raise FileError(
                f"{self.state} is of a watcher asked for {1e4 * self.monitor.rate:g} false alarms in 10,000 steps; now "
                f"{1e4 * asked:g} are asked for. Ask for the same, or name other files for events and state."
            )

    @property
    def _over(self) -> str:
        """How to start over: the state and the events that go with it are one."""
        return f"To start over, move it and {self.events} away, or name other files for state and events."

    def _cut(self) -> None:
        """Take back what was appended after the last save."""
        if not self.events.exists():
            self.events.touch()
        size = self.events.stat().st_size
        if size < self.written:
            raise FileError(
                f"{self.events} is shorter than it was when last written: it was changed by someone else. Put it back; "
                f"or, to start over, move {self.state} away with it."
            )
        if size > self.written:
            os.truncate(self.events, self.written)


def event_of(line: str) -> Event:
    """The event of a line."""
    record: dict[str, Any] = json.loads(line)
    del record["schema"]
    plain: dict[str, Any] = {k: (float("nan") if v is None else v) for k, v in record.items()}
    return Event(**plain)


def line_of(event: Event) -> str:
    """An event as one line of JSON; what is not a finite number is null."""
    record: dict[str, Any] = {"schema": "bayeslaw.event/1", **event.record()}
    plain = {k: (None if isinstance(v, float) and v - v != 0 else v) for k, v in record.items()}
    return json.dumps(plain, ensure_ascii=False)
