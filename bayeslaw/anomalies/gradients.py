"""Early warning from the gradient norm: far above its usual, before the loss shows anything.

The logarithm of the norm is judged like a loss, alone, by a bank of its own; only excursions upwards are told. The
warnings come on top of the events of the loss, at a tenth of the rate that was asked for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayeslaw.anomalies.bank import Bank
from bayeslaw.anomalies.events import Event, sentence
from bayeslaw.anomalies.evidence import KINDS
from bayeslaw.anomalies.state import State

SHARE = 0.1
_TOLD = (KINDS.index("point"), KINDS.index("up"))


class Gradients:
    """Gradient norms of any number of streams; ``rate`` as asked for the losses."""

    def __init__(self, rate: float) -> None:
        self.bank = Bank(0, 0, SHARE * rate)

    def grow(self) -> None:
        """One more stream."""
        self.bank.state = State.stack([self.bank.state, State.empty(1, 0)])

    def judge(
        self, places: np.ndarray, runs: list[str], step: np.ndarray, x: np.ndarray, norm: np.ndarray
    ) -> dict[int, Event]:
        """One row of some streams: index within them -> warning. Norms that are missing are passed over."""
        use = np.flatnonzero(np.isfinite(norm) & (norm > 0))
        if not len(use):
            return {}
        whole = self.bank.state
        self.bank.state, self.bank.b = whole.take(places[use]), len(use)
        log = np.log(norm[use])
        out = self.bank.step(log, x[use])
        whole.put(places[use], self.bank.state)
        self.bank.state = whole
        told = out.alarm & (out.z > 0) & np.isin(out.kinds.argmax(axis=1), _TOLD)
        return {
            int(use[i]): _event(runs[use[i]], float(step[use[i]]), log[i], out.expected[i], out.z[i], out.total[i])
            for i in np.flatnonzero(told)
        }

    def to_json(self) -> dict[str, Any]:
        """Everything remembered, as JSON."""
        return self.bank.state.to_json()

    def restore(self, data: dict[str, Any], streams: int) -> None:
        """The inverse of ``to_json``."""
        self.bank.state = State.from_json(data, streams, 0)


def _event(run: str, step: float, log: float, usual: float, z: float, total: float) -> Event:
    nan = math.nan
    event = Event(
        run, "gradient", 1.0, step, step, step, nan, float(z), math.log10(min(max(total, 1.0), 1e30)),
        math.exp(usual), math.exp(log), nan, nan, nan, 0, step, False,
    )  # fmt: skip
    return Event(**{**event.record(), "message": sentence(event)})
