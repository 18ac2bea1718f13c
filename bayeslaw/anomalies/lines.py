"""Lines of a log as rows: JSON objects or CSV cells, and which of their names are the step, the loss and the rest.

A growing log shows its names one line after another. A loss is taken where all lines so far, read as one table, would
have it taken (``data.columns.match``): rows of a validation loss between those of the train loss are no losses.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from typing import Any

from bayeslaw.data.columns import match
from bayeslaw.errors import DataError
from bayeslaw.readers.records import flat

#: most headers (or keys of JSON lines) whose names are remembered
MOST_HEADERS = 1000
#: what is read of a log
TAKEN = ("run", "step", "loss", "tokens", "grad_norm", "lr", "exit_step")


class Lines:
    """One log's lines, in order. ``where``: the log, for messages; ``columns``: canonical name to the log's own;
    ``run``: name of the run of a log that names none.

    ``skipped`` lines could not be read; ``passed`` rows, by its name, have another loss than the one that is taken;
    ``lacking`` rows have no step with a loss, and ``lack`` says why, of the latest; ``taken`` rows were given out.
    """

    def __init__(self, where: str, columns: Mapping[str, str], run: str) -> None:
        self.where, self.columns, self.run = where, dict(columns), run
        self.skipped, self.taken, self.lacking, self.lack = 0, 0, 0, ""
        self.passed: dict[str, int] = {}
        self.anew()

    def anew(self) -> None:
        """The log begins anew, and may be of another kind."""
        self.header: list[str] | None = None
        self.json, self.losses, self.loss = False, [], ""
        #: header -> its names, so that each is looked at once
        self._cache: dict[tuple[str, ...], dict[str, str] | None] = {}

    def row(self, line: str) -> dict[str, Any] | None:
        """The row of a line, if it has a step and a loss. DataError where a CSV's header names none."""
        line = line.strip("\r\n")
        if not line.strip():
            return None
        if line.lstrip().startswith("{"):
            try:
                data = json.loads(line)
            except ValueError:
                self.skipped += 1
                return None
            self.json = True
            if any(type(value) is dict for value in data.values()):
                data = flat(data)
            names = self._names(list(data))
            if names is None:
                self.lacking += 1
                return None
            if names["loss"] != self.loss:
                self.passed[names["loss"]] = self.passed.get(names["loss"], 0) + 1
                return None
            return self._made({c: data.get(s) for c, s in names.items()})
        if self.json:
            self.skipped += 1
            return None
        cells = next(csv.reader([line]))
        if self.header is None:
            self._head([c.strip().lstrip("\ufeff") for c in cells])
            return None
        if len(cells) != len(self.header):
            self.skipped += 1
            return None
        names = self._names(self.header) or {}
        record = dict(zip(self.header, cells, strict=True))
        return self._made({c: record.get(s) for c, s in names.items()})

    def _head(self, header: list[str]) -> None:
        if self._names(header) is None:
            first = header[0]
            if "\x00" in first or "\ufffd" in first or (len(header) == 1 and {*"\t;|"} & {*first}):
                raise DataError(
                    f"{self.where}: `watch` follows JSON lines, and CSV parted by commas; this is neither. "
                    f"`bayeslaw anomalies` reads other formats, once they are written."
                )
            raise DataError(f"{self.where}: the first line names no step with a loss. {self.lack}")
        self.header = header

    def _names(self, header: list[str]) -> dict[str, str] | None:
        """Canonical name -> the log's, or None if there is no step with a loss."""
        key = tuple(header)
        if key not in self._cache:
            if len(self._cache) >= MOST_HEADERS:
                self._cache.clear()
            self._cache[key] = self._found(header)
        return self._cache[key]

    def _found(self, header: list[str]) -> dict[str, str] | None:
        try:
            # lines of JSON may leave out what was named, but for what makes them a row
            chosen = {c: s for c, s in self.columns.items() if s in header or not self.json or c in ("step", "loss")}
            found = match(header, chosen or None).mapping
            names = {c: s for c, s in found.items() if c in TAKEN}
            if "step" not in names:
                raise DataError(f"There is no step among {', '.join(header[:12])}. Name it: --column step=<yours>.")
        except DataError as error:
            self.lack = str(error)
            return None
        if names["loss"] not in self.losses:
            self.losses.append(names["loss"])
            try:
                self.loss = self.columns.get("loss") or match(self.losses).mapping["loss"]
            except DataError:  # names of which none goes first: the first one stays
                self.loss = self.loss or names["loss"]
        return names

    def _made(self, values: dict[str, Any]) -> dict[str, Any] | None:
        step, loss = _number(values.get("step")), _number(values.get("loss"))
        if step is None or loss is None or not math.isfinite(step):
            # an empty cell is that of a row of other metrics
            self.skipped += any(_text(values.get(c)) and _number(values[c]) is None for c in ("step", "loss"))
            return None
        self.taken += 1
        run = values.get("run")
        return {
            "run": str(run) if run not in (None, "") else self.run,
            "step": step,
            "loss": loss,
            "tokens": _number(values.get("tokens")),
            "grad_norm": _number(values.get("grad_norm")),
            "lr": _number(values.get("lr")),
            "exit_step": _number(values.get("exit_step")),
        }

    def to_json(self) -> dict[str, Any]:
        """What is known of the log's lines so far."""
        names = ("header", "json", "skipped", "taken", "lacking", "lack", "passed", "losses", "loss")
        return {name: getattr(self, name) for name in names}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Go on from where ``to_json`` was taken; what it lacks stays."""
        for name in self.to_json():
            setattr(self, name, data.get(name, getattr(self, name)))


def _text(value: Any) -> bool:
    return value is not None and value != ""


def _number(value: Any) -> float | None:
    """A number, NaN and infinity included; None for what is empty or is not one."""
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
