"""Early warning from the gradient norm: far above its usual, before the loss shows anything.

The logarithm of the norm is judged like a loss, alone, by a judge of its own; only excursions upwards are told. The
warnings come on top of the events of the loss, at a tenth of the rate that was asked for.
"""

from __future__ import annotations

import math
from typing import Any

from bayeslaw.anomalies.events import Event, log10_of, told
from bayeslaw.anomalies.live import Live

SHARE = 0.1
_TOLD = ("point", "up")


class Gradients:
    """Gradient norms of any number of runs; ``rate`` as asked for the losses."""

    def __init__(self, rate: float) -> None:
        self.rate = SHARE * rate
        self.runs: dict[str, Live] = {}

    def judge(self, run: str, step: float, x: float, norm: float) -> list[Event]:
        """One row of a run at position ``x``: its warning, if there is one. Norms that are missing are passed over."""
        if not (math.isfinite(norm) and norm > 0):
            return []
        live = self.runs.get(run)
        if live is None:
            live = self.runs[run] = Live(0, self.rate)
        if math.log(x) <= live.position:  # another exit of a looped run, which has one gradient
            return []
        log = math.log(norm)
        judged = live.step(log, x)
        if not (judged.alarm and judged.z > 0 and judged.kind in _TOLD):
            return []
        return [_event(run, step, log, judged.expected, judged.z, judged.total)]

    def back(self, run: str) -> None:
        """The run was restarted from an earlier step."""
        if run in self.runs:
            self.runs[run].back(None)

    def to_json(self) -> dict[str, Any]:
        """Everything remembered, as JSON."""
        return {run: live.to_json() for run, live in self.runs.items()}

    def restore(self, data: dict[str, Any]) -> None:
        """The inverse of ``to_json``."""
        self.runs = {run: Live.from_json(saved, self.rate) for run, saved in data.items()}


def _event(run: str, step: float, log: float, usual: float, z: float, total: float) -> Event:
    nan = math.nan
    return told(Event(
        run, "gradient", 1.0, step, step, step, nan, float(z), log10_of(total), math.exp(usual), math.exp(log),
        nan, nan, nan, 0, step, False,
    ))  # fmt: skip
