"""``Live``: everything one live stream remembers, advanced by one row; ``Bank`` for a single run, in plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bayeslaw.anomalies import bank, baseline, evidence, noise, single
from bayeslaw.anomalies.single import Judged, Noise, Pair

_PRIORS = single._priors(noise.PRIOR), single._priors(noise.CONTRAST_PRIOR)
_STATE = ("position", "usual", "level", "slope", "active", "active_rows", "recent", "recent_raw", "recent_pair",
          "age", "typical")  # fmt: skip
_OF_NOISE = ("rows", "scale2", "low", "high", "mean", "wander")
_OF_PAIR = ("rows", "level", "slope", "scale2", "mean", "recent", "response", "sib_level", "shock2", "typical")


class Live:
    """One run with up to ``siblings`` siblings; ``rate`` false alarms per step are asked for."""

    def __init__(self, siblings: int = 0, rate: float = 1e-4) -> None:
        self.rate = rate
        self.position = math.nan
        self.usual = self.level = self.slope = self.typical = self.age = 0.0
        self.active = self.active_rows = self.recent = self.recent_raw = self.recent_pair = 0.0
        self.own = Noise(_PRIORS[0], bank.WANDER_SHARE[0])
        self.contrast = Noise(_PRIORS[1], bank.WANDER_SHARE[1])
        self.pairs = [Pair() for _ in range(siblings)]
        self.seen: list[Pair] = []
        self.detectors = np.zeros(evidence.N_DETECTORS)

    def step(self, loss: float, x: float, others: Sequence[float] | None = None) -> Judged:
        """One row: a finite loss (nats), its position and the siblings' losses on the same batch, NaN where unknown."""
        own, position, at = self.own, self.position, math.log(x)
        first = position != position
        hop = 0.0 if first else at - position
        self.usual = max(hop, 1e-12) if own.rows < 2 else self.usual + (hop - self.usual) * 0.02
        ahead = loss if first else self.level + self.slope * hop
        residual = loss - ahead
        scale = math.sqrt(own.scale2) + bank.FLOOR * abs(ahead)
        own_z = residual / scale if scale > 0 else 0.0
        side, part, shared, pair = own, 1.0, False, None
        if others is not None and self.pairs:
            pair = self._compare(loss, hop, others)
            mean = pair[0]
            # an excursion far beyond the run's own noise that its own curve does not show is the sibling's
            theirs = abs(mean) > 6 * scale and residual * math.copysign(1.0, mean) < 0.3 * abs(mean)
            shared = pair[2] > 0 and self.contrast.rows >= 60 and not theirs
        if shared and pair is not None:
            mean, sd, count, scatter, drift = pair
            side, temper, part = self.contrast, bank.TEMPER[1], evidence.PAIRED_POINT
            z, expected, tolerance = mean / sd, loss - mean, bank.TOLERANCE[1] + side.excess(bank.EXCESS[1]) + drift
        else:
            z, expected, sd, count, scatter, temper = own_z, ahead, scale, 0, 0.0, bank.TEMPER[0]
            tolerance = bank.TOLERANCE[0] + own.excess(bank.EXCESS[0])
        total, kind, alarm = 0.0, evidence.KINDS[0], False
        if own.rows >= bank.WARM_UP and self.age >= bank.RESTART and self.active == 0:
            low, high = side.below, side.above
            if shared:
                low, high = single.given_scatter(low, high, scatter, count - 1)
            chance = part * (evidence.POINT_UP if z > 0 else evidence.POINT_DOWN) * self.rate
            hit = single.beyond(z, high if z > 0 else low, chance)
            self.detectors = single.advance(self.detectors, z, low, high, min(tolerance, 3.0), side.mean, temper)
            total = float(self.detectors.dot(evidence._SHARES)) + (1.0 / self.rate if hit else 0.0)
            alarm = total >= 1.0 / self.rate
            if alarm:
                point = np.array([1.0 / (evidence.BUDGET["point"] * self.rate) if hit else 0.0])
                kind = evidence.KINDS[int(evidence.by_kind(self.detectors[None], point)[0].argmax())]
        else:
            self.detectors = np.zeros(evidence.N_DETECTORS)
        moved = self._events(alarm, z, residual, residual if pair is None else pair[0], tolerance)
        calm = self.active == 0 and not moved
        self._learn(residual, scale, own_z, ahead, hop, calm, first, loss)
        if pair is not None:
            self._learn_pairs(pair, loss, calm, hop)
        if moved:
            self.level += self.recent_raw
            for p in self.pairs:
                p.level += self.recent_pair if p.rows > 0 else 0.0
        self.position, self.age = at, self.age + 1.0
        own.rows += 1.0
        return Judged(expected, sd, z, total, kind, alarm, self.active > 0, shared, math.sqrt(own.scale2))

    def _compare(self, loss: float, hop: float, others: Sequence[float]) -> tuple[float, float, int, float, float]:
        """As ``Bank._contrast``: mean, its sd, how many siblings, their scatter, and how far they have moved apart.

        Leaves in ``seen`` and ``ripe`` the siblings that have a loss on this batch, and those known well enough.
        """
        rounding = bank.FLOOR * abs(loss)
        rounding2 = rounding * rounding
        seen, ripe, best, nearest = [], [], 0.0, math.inf
        for p, y in zip(self.pairs, others, strict=True):
            ahead = p.level + p.slope * hop
            if y != y:
                p.level = ahead
                continue
            seen.append(p)
            p.y, p.ripe = y, p.rows >= 40
            if p.rows == 0:
                p.ahead, p.shock, p.g = loss - y, 0.0, 0.0
                continue
            p.ahead, p.shock = ahead, y - p.sib_level
            p.g = g = loss - y - ahead - p.response * p.shock
            if p.ripe:
                ripe.append(p)
                p.spread = p.scale2 + p.recent * p.recent + rounding2
                if abs(g) < nearest:
                    best, nearest = g, abs(g)
        self.seen = seen
        base = math.sqrt(self.contrast.scale2) + rounding
        if not ripe:
            return 0.0, base, 0, 0.0, 0.0
        whole = mean = shock = apart = 0.0
        least = math.inf
        for p in ripe:
            away, spread = p.g - best, p.spread
            belief = 1.0 / (spread + away * away)
            whole += belief
            mean += belief * p.g
            shock += belief * p.shock
            apart += belief * p.mean * p.mean
            least = spread if spread < least else least
        mean, shock, apart, count = mean / whole, shock / whole, apart / whole, len(ripe)
        jolt = bank.RESPONSE * shock
        sd = math.sqrt(base * base + jolt * jolt)
        scatter = 0.0
        for p in ripe:
            rest, close = p.g - mean, least / p.spread
            scatter += rest * rest * (close if close > 1e-4 else 1e-4)
        scatter *= (1.0 + 1.0 / count) / (sd * sd)
        apart = math.sqrt(apart / (count - 1.0 if count > 2 else 1.0))
        return mean, sd, count, scatter, apart - bank.APART if apart > bank.APART else 0.0

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
            self.age = 2.0 * bank.LOOSE
        return moved

    def _learn(self, residual: float, scale: float, z: float, ahead: float, hop: float, calm: bool, first: bool,
               loss: float) -> None:  # fmt: skip
        """As ``Bank._learn``."""
        self.typical += (abs(residual) - self.typical) * 0.06
        if first:
            self.level = loss
        elif calm:
            loose = math.inf if self.age < bank.LOOSE else max(scale, 0.8 * self.typical)
            alpha = single.gain(self.age, bank.OWN_MEMORY, baseline.OWN_SHARE)
            self.level, self.slope = single.track(
                self.slope, ahead, self.usual, residual, loose, alpha, baseline.OWN_DAMPING
            )
            self.own.learn(z, residual)
        else:
            self.level = ahead
        if calm:
            self.own.drift(z)

    def _learn_pairs(self, pair: tuple[float, float, int, float, float], loss: float, calm: bool, hop: float) -> None:
        """As ``Bank._learn_pairs``."""
        mean, sd, count = pair[:3]
        usual, lived = self.usual, self.age
        for p in self.seen:
            g, shock, rows, own = p.g, p.shock, p.rows, math.sqrt(p.scale2) + 1e-9
            p.typical += (abs(g) - p.typical) * 0.06
            memory = 0.3 * rows
            memory = 1.0 / (3.0 if memory < 3.0 else 300.0 if memory > 300.0 else memory)
            p.level = p.ahead
            if calm:
                age = rows if rows < lived else lived
                typical = 0.8 * p.typical
                loose = math.inf if age < bank.LOOSE else own if own > typical else typical
                alpha = single.gain(age, bank.CONTRAST_MEMORY, baseline.CONTRAST_SHARE)
                p.level, slope = single.track(p.slope, p.ahead, usual, g, loose, alpha, baseline.CONTRAST_DAMPING)
                bound = 3 * loose
                bounded = bound if g > bound else -bound if g < -bound else g
                if rows > 0:
                    p.slope = slope
                    p.scale2 += memory * (bounded * bounded - p.scale2)
                shock2 = shock * shock
                p.shock2 += (shock2 - p.shock2) * (memory if memory > 0.005 else 0.005)
                if rows > 40:
                    p.response += 0.01 * bounded * shock / (4 * p.shock2 + shock2 + 1e-12)
            p.sib_level = p.sib_level + shock * (memory if memory > 0.02 else 0.02) if rows > 0 else p.y
            rest = (g - mean) / sd if p.ripe else 0.0
            p.mean += ((-4.0 if rest < -4.0 else 4.0 if rest > 4.0 else rest) - p.mean) * 0.02
            bound = 20 * own
            p.recent += ((-bound if g < -bound else bound if g > bound else g) - p.recent) / bank.RECENT
            p.rows = rows + 1.0
        if count > 0:
            if calm:
                base = math.sqrt(self.contrast.scale2) + bank.FLOOR * abs(loss)
                self.contrast.learn(mean / sd, mean * base / sd)
                self.contrast.drift(mean / sd)
            self.contrast.rows += 1.0

    def to_json(self) -> dict[str, Any]:
        """Everything remembered, as JSON; floats survive exactly."""
        return {
            "state": [getattr(self, name) for name in _STATE], "detectors": self.detectors.tolist(),
            "noise": [[getattr(n, name) for name in _OF_NOISE] for n in (self.own, self.contrast)],
            "pairs": [[getattr(p, name) for name in _OF_PAIR] for p in self.pairs],
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any], rate: float) -> Live:
        """The inverse of ``to_json``."""
        new = cls(len(data["pairs"]), rate)
        for name, value in zip(_STATE, data["state"], strict=True):
            setattr(new, name, value)
        for item, names, saved in [
            (new.own, _OF_NOISE, data["noise"][0]), (new.contrast, _OF_NOISE, data["noise"][1]),
            *((p, _OF_PAIR, s) for p, s in zip(new.pairs, data["pairs"], strict=True)),
        ]:  # fmt: skip
            for name, value in zip(names, saved, strict=True):
                setattr(item, name, list(value) if isinstance(value, list) else value)
        new.own.weigh()
        new.contrast.weigh()
        new.detectors = np.array(data["detectors"])
        return new
