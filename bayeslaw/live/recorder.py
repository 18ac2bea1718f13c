"""``Recorder``: losses of a running training into a file of JSON lines, from a thread of its own."""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
from collections import deque
from pathlib import Path
from typing import Any

log = logging.getLogger("bayeslaw.live")
#: rows that wait for a disk that does not answer; later ones are dropped
MOST = 100_000


class Recorder:
    """Appends one JSON object per call to a file.

    ::

        with Recorder("7b.jsonl", run="7b", n_params="7B", batch_tokens="4M") as record:
            for step, batch in enumerate(batches, 1):
                loss = train(batch)
                record(step=step, loss=loss, lr=schedule(step))

    Parameters
    ----------
    path : the file; it is created, or continued: a line that a killed job left unfinished is removed first.
    run : the run's name; the file's name without it.
    batch_tokens : tokens per optimizer step, ``"4M"``; then each row with a step gets ``tokens``, step times this.
    every : seconds between two writes.
    enabled : False to do nothing. By default, only the process with ``RANK`` 0 (or none) writes.
    **constants : written with every row: ``n_params="7B"``, ``group="c4"``.

    A call hands the row to a background thread and costs some microseconds; tensors and arrays are copied where they
    are and read in that thread, so that no step waits for one. Whatever goes wrong (a full disk, a value that is no
    number) is said once through ``logging`` and never raised: a log must not stop a training. Only wrong numbers given
    here (``n_params="many"``) raise DataError, before training starts. A process that is forked off has a thread of its
    own from its first row on; the rows that its parent had waiting are the parent's to write.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        run: str | None = None,
        batch_tokens: float | str | None = None,
        every: float = 5.0,
        enabled: bool | None = None,
        **constants: Any,
    ):
        from bayeslaw.data import units
        from bayeslaw.data.columns import TEXT

        self.path = Path(path)
        self.constants: dict[str, Any] = {"run": run or self.path.stem}
        for name, value in constants.items():
            self.constants[name] = value if name in TEXT else units.parse(value, name)
        self.batch_tokens = None if batch_tokens is None else units.parse(batch_tokens, "batch_tokens")
        self.every = every
        self.enabled = os.environ.get("RANK", "0") == "0" if enabled is None else enabled
        self._told: set[str] = set()
        self._closed = False
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._rows: deque[dict[str, Any]] = deque()
        self._waiting: deque[_Flush] = deque()
        # set by flush and close; a step wakes nobody, for that costs it more than the rest
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost = 0  # rows that could not be written

    def __call__(self, **row: Any) -> None:
        """Record one row: ``step``, ``loss``, and whatever else is a number or a text. Never raises."""
        if not self.enabled or self._closed:
            return
        try:
            if self._process != os.getpid():  # forked: no thread comes along, and locks may be held for ever
                self._reset()
            if len(self._rows) > MOST:
                self._lost += 1
                self._tell("full", f"{self.path} cannot be written fast enough: rows are being dropped.")
                return
            for name, value in row.items():
                if hasattr(value, "detach"):
                    row[name] = value.detach().clone()  # the copy keeps its value when the loop reuses the tensor
                elif hasattr(value, "setflags"):  # numpy's; JAX's arrays stay what they are
                    row[name] = value.copy()
            self._rows.append(row)
            if self._thread is None:
                self._start()
        except Exception as error:
            self._tell("call", f"a row for {self.path} was lost ({error!r}).")

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until everything recorded so far is in the file, at most ``timeout`` seconds; whether it is.

        False also where rows since the last flush could not be written.
        """
        if self._process != os.getpid() or self._thread is None or not self._thread.is_alive():
            return True
        asked = _Flush()
        self._waiting.append(asked)
        self._wake.set()
        return asked.done.wait(timeout) and asked.whole

    def close(self) -> None:
        """Write what is left and stop. Later calls do nothing."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None and self._process == os.getpid():
            self._wake.set()
            self._thread.join(30.0)
        atexit.unregister(self.close)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="bayeslaw.live", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _work(self) -> None:
        """The background thread: every some seconds, and when asked, write what has been recorded."""
        begun = last = False
        while not last:
            self._wake.wait(self.every)
            self._wake.clear()
            last = self._closed  # in this order, so that what was recorded before close or flush is among the rows
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            rows = [self._rows.popleft() for _ in range(len(self._rows))]
            try:
                if rows and not begun:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    mend(self.path)
                    begun = True
                text = "".join(filter(None, map(self._line, rows)))
                if text:
                    with self.path.open("ab") as file:
                        file.write(text.encode())
            except Exception as error:
                begun = False  # a full disk takes a part of a line, which the next row must not continue
                self._lost += len(rows)
                self._tell("write", f"{self.path} could not be written ({error}): its rows are lost.")
            whole, self._lost = not self._lost, 0 if waiting else self._lost
            for asked in waiting:
                asked.whole = whole
                asked.done.set()

    def _line(self, row: dict[str, Any]) -> str:
        cells = dict(self.constants)
        for name, value in row.items():
            if value is None:
                continue
            try:
                cells[name] = value if isinstance(value, (str, int)) else _number(value)
            except Exception as error:
                self._tell(name, f"{name} was left out: {value!r:.80} is not a number ({error}).")
        step = cells.get("step")
        if self.batch_tokens is not None and "tokens" not in cells and isinstance(step, (int, float)) and step > 0:
            cells["tokens"] = step * self.batch_tokens
        return json.dumps(cells) + "\n"

    def _tell(self, kind: str, message: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            log.warning("bayeslaw: %s Training goes on.", message)


class _Flush:
    """Somebody who waits for the file: ``done`` once it has been written, ``whole`` if nothing was lost."""

    def __init__(self) -> None:
        self.done, self.whole = threading.Event(), True


def _number(value: Any) -> float:
    """A number as it is, or the one number that an array or tensor holds."""
    try:
        return float(value)
    except TypeError:
        return float(value.item())


def mend(path: Path) -> None:
    """Remove a last line that was cut off while being written, so that the next row begins a line of its own.

    ValueError where what would be removed is no such line: the file is somebody else's.
    """
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        at, tail = size, b""
        while at and b"\n" not in tail:
            at = max(0, at - (1 << 16))
            file.seek(at)
            tail = file.read(size - at)
        line = tail[tail.rfind(b"\n") + 1 :]
        if not line:
            return
        try:
            json.loads(line)
            file.write(b"\n")  # the file is at its end: a whole row that only lacks its line break
        except ValueError:
            if line.strip(b"\x00")[:1] not in (b"", b"{"):
                raise ValueError(f"it ends in {line[:40]!r}, which is no row of JSON") from None
            file.truncate(size - len(line))
