"""``Live``: everything one live stream remembers, advanced by one row; ``Bank`` for a single run, in plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bayeslaw.anomalies import bank, baseline, contrast, evidence, noise, rates, single
from bayeslaw.anomalies.siblings import Siblings
from bayeslaw.anomalies.single import Judged, Noise

_PRIOR = single.priors(noise.PRIOR)
_STATE = ("position", "usual", "level", "slope", "active", "active_rows", "recent", "recent_raw", "recent_pair",
          "age", "typical", "peak", "lr", "steady")  # fmt: skip
_OF_NOISE = ("rows", "scale2", "low", "high", "mean", "wander")
_OF_PAIR = ("rows", "level", "slope", "scale2", "mean", "recent", "response", "sib_level", "shock2", "typical",
            "peak", "lr", "steady", "away")  # fmt: skip


class Mark(NamedTuple):
    """Where the levels were after a row: log-position, level and slope, and level and slope against each sibling."""

    position: float
    level: float
    slope: float
    pairs: list[tuple[float, float]]

    def of(self, kept: Sequence[int]) -> Mark:
        """The same of some of the siblings."""
        return self._replace(pairs=[self.pairs[k] for k in kept if k < len(self.pairs)])


class Live:
    """One run with up to ``siblings`` siblings; ``rate`` false alarms per step are asked for."""

    def __init__(self, siblings: int = 0, rate: float = 1e-4) -> None:
        self.rate = rate
        self.position = math.nan
        self.usual = self.level = self.slope = self.typical = self.age = 0.0
        self.peak, self.lr, self.steady = 0.0, math.nan, 0.0
        self.active = self.active_rows = self.recent = self.recent_raw = self.recent_pair = 0.0
        self.own = Noise(_PRIOR, noise.WANDER_SHARE[0])
        self.siblings = Siblings(siblings)
        self.detectors = np.zeros(evidence.N_DETECTORS)

    def step(self, loss: float, x: float, others: Sequence[float] | None = None, lr: float = math.nan,
             others_lr: Sequence[float] | None = None) -> Judged:  # fmt: skip
        """One row: a finite loss (nats), its position, the siblings' losses on the same batch and the learning rates of
        all, NaN where unknown."""
        rates.note_one(self, self.siblings.pairs, lr, others_lr)
        own, position, at = self.own, self.position, math.log(x)
        first = position != position
        hop = 0.0 if first else at - position
        self.usual = max(hop, 1e-12) if own.rows < 2 else self.usual + (hop - self.usual) * 0.02
        ahead = loss if first else self.level + self.slope * hop
        residual = loss - ahead
        scale = math.sqrt(own.scale2) + noise.FLOOR * abs(ahead)
        own_z = residual / scale if scale > 0 else 0.0
        side, part, shared, pair = own, 1.0, False, None
        if others is not None and self.siblings.pairs:
            pair = self.siblings.compare(loss, hop, others)
            mean = pair[0]
            # an excursion far beyond the run's own noise that its own curve does not show is the sibling's
            theirs = abs(mean) > 6 * scale and residual * math.copysign(1.0, mean) < 0.3 * abs(mean)
            shared = pair[2] > 0 and self.siblings.noise.rows >= contrast.READY and not theirs
        if shared and pair is not None:
            mean, sd, count, scatter, drift = pair
            side, temper, part = self.siblings.noise, bank.TEMPER[1], evidence.PAIRED_POINT
            z, expected, tolerance = mean / sd, loss - mean, bank.TOLERANCE[1] + side.excess(bank.EXCESS[1]) + drift
        else:
            z, expected, sd, count, scatter, temper = own_z, ahead, scale, 0, 0.0, bank.TEMPER[0]
            tolerance = bank.TOLERANCE[0] + own.excess(bank.EXCESS[0])
        total, kind, alarm = 0.0, evidence.KINDS[0], False
        if own.rows >= noise.WARM_UP and self.age >= bank.RESTART and self.active == 0:
            low, high = side.below, side.above
            if shared:
                low, high = single.given_scatter(low, high, scatter, count - 1)
            chance = part * (evidence.POINT_UP if z > 0 else evidence.POINT_DOWN) * self.rate
            hit = single.beyond(z, high if z > 0 else low, chance)
            self.detectors = single.advance(self.detectors, z, low, high, min(tolerance, 3.0), side.mean, temper)
            total = float(self.detectors.dot(evidence.SHARES)) + (1.0 / self.rate if hit else 0.0)
            alarm = total >= 1.0 / self.rate
            if alarm:
                point = np.array([1.0 / (evidence.BUDGET["point"] * self.rate) if hit else 0.0])
                kind = evidence.KINDS[int(evidence.by_kind(self.detectors[None], point)[0].argmax())]
                for p in self.siblings.pairs:
                    p.slope = 0.0
        else:
            self.detectors = np.zeros(evidence.N_DETECTORS)
        moved = self._events(alarm, z, residual, residual if pair is None else pair[0], tolerance)
        calm = self.active == 0 and not moved
        self._learn(residual, scale, own_z, ahead, calm, first, loss, hop)
        if pair is not None:
            self.siblings.learn(pair, loss, calm, self.usual, self.age)
        if moved:
            self.level += self.recent_raw
            for p in self.siblings.pairs:
                p.level += self.recent_pair if p.rows > 0 else 0.0
        self.position, self.age, self.steady = at, self.age + 1.0, self.steady + 1.0
        own.rows += 1.0
        return Judged(expected, sd, z, total, kind, alarm, self.active > 0, shared, math.sqrt(own.scale2))

    def mark(self, siblings: int) -> Mark:
        """Where the levels are, those of the first ``siblings`` siblings with them."""
        pairs = [(p.level, p.slope) for p in self.siblings.pairs[:siblings]]
        return Mark(self.position, self.level, self.slope, pairs)

    def back(self, mark: Mark | None) -> None:
        """The run goes on from an earlier place, whose levels ``mark`` has; without it they are found anew.

        What is known of the noise stays; an event that was open is over.
        """
        self.active = self.active_rows = self.recent = self.recent_raw = self.recent_pair = 0.0
        self.detectors = np.zeros(evidence.N_DETECTORS)
        known = [] if mark is None else mark.pairs
        for p, (level, slope) in zip(self.siblings.pairs, known, strict=False):
            p.level, p.slope = level, slope
        for p in self.siblings.pairs[len(known) :]:
            p.steady = 0.0
        if mark is None:
            self.position, self.age = math.nan, 0.0
        else:
            self.position, self.level, self.slope = mark[:3]

    def _events(self, alarm: bool, z: float, residual: float, contrast: float, tolerance: float) -> bool:
        """As ``Bank._events``; returns whether an event closed that leaves the level where it now is."""
        was, capped = self.active > 0, -8.0 if z < -8.0 else 8.0 if z > 8.0 else z
        if alarm and not was:
            self.recent, self.recent_raw, self.recent_pair = capped, residual, contrast
        else:
            self.recent += (capped - self.recent) / bank.SETTLE if was else 0.0
            self.recent_raw += (residual - self.recent_raw) / bank.SETTLE
            self.recent_pair += (contrast - self.recent_pair) / bank.SETTLE
        if not was:
            self.active_rows, self.active = 0.0, 1.0 if alarm else 0.0
            return False
        self.active_rows += 1.0
        quiet = abs(self.recent) < tolerance + 1.0 and abs(z) < 6.0
        late = self.active_rows >= bank.PATIENCE
        if quiet or late:
            self.active = 0.0
        moved = late and not quiet
        if moved:
            self.age = 2.0 * baseline.LOOSE
        return moved

    def _learn(self, residual: float, scale: float, z: float, ahead: float, calm: bool, first: bool,
               loss: float, hop: float) -> None:  # fmt: skip
        """As ``Bank._learn``."""
        self.typical += (abs(residual) - self.typical) * 0.06
        if first:
            self.level = loss
        elif calm:
            loose = math.inf if self.age < baseline.LOOSE else max(scale, 0.8 * self.typical)
            rows = min(self.age, self.steady, baseline.EVEN / max(min(hop, self.usual), 1e-12))
            alpha = single.gain(rows, baseline.OWN_MEMORY, baseline.OWN_SHARE)
            self.level, self.slope = single.track(
                self.slope, ahead, self.usual, residual, loose, alpha, baseline.OWN_DAMPING
            )
            self.own.learn(z, residual)
        else:
            self.level = ahead
        if calm:
            self.own.drift(z)

    def to_json(self) -> dict[str, Any]:
        """Everything remembered, as JSON; floats survive exactly."""
        return {
            "state": [getattr(self, name) for name in _STATE], "detectors": self.detectors.tolist(),
            "noise": [[getattr(n, name) for name in _OF_NOISE] for n in (self.own, self.siblings.noise)],
            "pairs": [[getattr(p, name) for name in _OF_PAIR] for p in self.siblings.pairs],
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any], rate: float) -> Live:
        """The inverse of ``to_json``."""
        new = cls(len(data["pairs"]), rate)
        for name, value in zip(_STATE, data["state"], strict=True):
            setattr(new, name, value)
        for item, names, saved in [
            (new.own, _OF_NOISE, data["noise"][0]), (new.siblings.noise, _OF_NOISE, data["noise"][1]),
            *((p, _OF_PAIR, s) for p, s in zip(new.siblings.pairs, data["pairs"], strict=True)),
        ]:  # fmt: skip
            for name, value in zip(names, saved, strict=True):
                setattr(item, name, list(value) if isinstance(value, list) else value)
        new.own.weigh()
        new.siblings.noise.weigh()
        new.detectors = np.array(data["detectors"])
        return new
