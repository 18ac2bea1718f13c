"""The runs that a stream may be compared with, finished or running: its siblings found, and what they had at a step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bayeslaw.anomalies.recorded import label_of
from bayeslaw.anomalies.shocks import MOST, Curve, nearest
from bayeslaw.anomalies.stream import Stream

if TYPE_CHECKING:
    import pandas as pd

    from bayeslaw.data.runs import Runs

#: rows between two looks for siblings, and running runs that are compared with at one look
LOOK_EVERY, AT_ONCE = 100, 16
#: what tells a finished run from one of its name that is running
FINISHED = " (finished)"


class Company:
    """All runs that are known: ``running`` streams by name, a mapping that grows, and finished runs.

    ``finished`` : losses and learning rates by step, of each finished run.
    """

    def __init__(self, running: Mapping[str, Stream], siblings: Runs | None = None) -> None:
        self.running = running
        self.finished: dict[str, tuple[dict[float, float], dict[float, float]]] = {}
        self._curves: dict[str, Curve] = {}
        for name, run, frame in () if siblings is None else _curves(siblings):
            if "step" in frame and len(frame) > 1:
                step, loss = frame["step"].to_numpy(float), frame["loss"].to_numpy(float)
                self._curves[name] = Curve(name, step, loss, step, of=run)
                at = step.tolist()
                rates = dict(zip(at, frame["lr"].tolist(), strict=True)) if "lr" in frame else {}
                self.finished[name] = dict(zip(at, loss.tolist(), strict=True)), rates

    def of(self, running: Mapping[str, Stream]) -> Company:
        """The same finished runs, beside other running ones."""
        new = Company(running)
        new.finished, new._curves = self.finished, self._curves
        return new

    def at(self, stream: Stream, step: float) -> tuple[list[float], list[float]]:
        """Losses and learning rates that the siblings of a stream had at a step of it by now, NaN for none."""
        losses, rates = [math.nan] * MOST, [math.nan] * MOST
        for k, (name, offset) in enumerate(stream.siblings):
            loss_at, rate_at = self.running[name].known if name in self.running else self.finished[_bare(name)]
            there = loss_at.get(step + offset, math.nan)
            if math.isfinite(there):
                losses[k], rates[k] = there, rate_at.get(step + offset, math.nan)
        return losses, rates

    def look(self, stream: Stream) -> None:
        """Look for siblings on what the runs have shown so far, every ``LOOK_EVERY`` rows; one once found is kept.

        Looks become rarer, and each is at a part of the running runs, so that many runs stay cheap.
        """
        look = stream.rows // LOOK_EVERY
        if len(stream.siblings) == MOST or (look & (look - 1) and look % 16):
            return
        held = {self._owner(name) for name, _ in stream.siblings}
        known = [curve for curve in self._curves.values() if curve.owner not in held]
        running = [s for s in self.running.values() if s.of != stream.of and s.rows > 30]
        first = (look * AT_ONCE) % len(running) if len(running) > AT_ONCE else 0
        running = [s for s in (running[first:] + running[:first])[:AT_ONCE] if s.of not in held]
        if not known and not running:
            return
        mine, candidates = stream.curve(), []
        if not len(mine.step):  # nothing but NaN for as long as is remembered
            return
        low, high = mine.step[0] - 8, mine.step[-1] + 8
        for curve in known:
            inside = (curve.step >= low) & (curve.step <= high)
            if inside.sum() > 30:
                step = curve.step[inside]
                name = curve.run + FINISHED if curve.run in self.running else curve.run
                candidates.append(Curve(name, step, curve.loss[inside], step, of=curve.of))
        candidates += [s.curve() for s in running]
        for sibling in nearest(mine, candidates)[: MOST - len(stream.siblings)]:
            if self._owner(sibling.run) not in held:
                held.add(self._owner(sibling.run))
                stream.siblings.append((sibling.run, sibling.offset))

    def _owner(self, name: str) -> str:
        return self.running[name].of if name in self.running else self._curves[_bare(name)].owner


def _bare(name: str) -> str:
    """The name of a finished run in its own table."""
    return name.removesuffix(FINISHED)


def _curves(siblings: Runs) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Each curve of finished runs: its name, its run and its rows."""
    for run in siblings.names:
        frame = siblings.curve(run)
        if "exit_step" not in frame:
            yield run, run, frame
            continue
        for exit_step, part in frame.groupby("exit_step", dropna=False, sort=False):
            yield label_of(run, float(str(exit_step))), run, part
