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
        self.detectors = np.zeros(evidence.N_DETECTORS)

    def step(self, loss: float, x: float, others: Sequence[float] | None = None) -> Judged:
        """One row: a finite loss (nats), its position and the siblings' losses on the same batch, NaN where unknown."""
        own, first, at = self.own, math.isnan(self.position), math.log(x)
        hop = 0.0 if first else at - self.position
        self.usual = max(hop, 1e-12) if own.rows < 2 else self.usual + (hop - self.usual) * 0.02
        ahead = loss if first else self.level + self.slope * hop
        residual = loss - ahead
        scale = math.sqrt(own.scale2) + bank.FLOOR * abs(ahead)
        own_z = residual / scale if scale > 0 else 0.0
        z, expected, sd, tolerance = own_z, ahead, scale, bank.TOLERANCE[0] + own.excess(bank.EXCESS[0])
        side, temper, part, shared, pair = own, bank.TEMPER[0], 1.0, False, None
        if others is not None and self.pairs:
            pair = self._compare(loss, hop, others)
            mean, pair_sd, count, _, drift = pair
            # an excursion far beyond the run's own noise that its own curve does not show is the sibling's
            theirs = abs(mean) > 6 * scale and residual * math.copysign(1.0, mean) < 0.3 * abs(mean)
            shared = count > 0 and self.contrast.rows >= 60 and not theirs
            if shared:
                side, temper, part = self.contrast, bank.TEMPER[1], evidence.PAIRED_POINT
                z, expected, sd = mean / pair_sd, loss - mean, pair_sd
                tolerance = bank.TOLERANCE[1] + side.excess(bank.EXCESS[1]) + drift
        total, kind, alarm = 0.0, evidence.KINDS[0], False
        if own.rows >= bank.WARM_UP and self.age >= bank.RESTART and self.active == 0:
            low, high = side.weights()
            if shared and pair is not None:
                low, high = single.given_scatter((low, high), pair[3], max(pair[2] - 1.0, 0.0))
            share = part * (evidence.POINT_UP if z > 0 else evidence.POINT_DOWN)
            hit = 0.5 * single.tail(z, high if z > 0 else low) <= share * self.rate
            point = np.array([1.0 / (evidence.BUDGET["point"] * self.rate) if hit else 0.0])
            self.detectors = single.advance(self.detectors, z, low, high, min(tolerance, 3.0), side.mean, temper)
            total = float(self.detectors @ evidence._SHARES) + evidence.BUDGET["point"] * float(point[0])
            alarm = total >= 1.0 / self.rate
            if alarm:
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
        """As ``Bank._contrast``: mean, its sd, how many siblings, their scatter, and how far they have moved apart."""
        rounding2 = (bank.FLOOR * loss) ** 2
        ripe: list[Pair] = []
        for p, y in zip(self.pairs, others, strict=True):
            p.y, p.shock, p.g, p.ripe = y, 0.0, 0.0, False
            if math.isnan(y):
                p.ahead = p.level + p.slope * hop
                continue
            if p.rows == 0:
                p.ahead = loss - y
                continue
            p.shock = y - p.sib_level
            p.ahead = p.level + p.slope * hop
            p.g = loss - y - p.ahead - p.response * p.shock
            p.spread = p.scale2 + p.recent * p.recent + rounding2
            if p.rows >= 40:
                p.ripe = True
                ripe.append(p)
        base = math.sqrt(self.contrast.scale2) + bank.FLOOR * abs(loss)
        if not ripe:
            return 0.0, base, 0, 0.0, 0.0
        best = min(ripe, key=lambda p: abs(p.g)).g
        for p in ripe:
            p.belief = 1.0 / (p.spread + (p.g - best) ** 2)
        whole = 1.0 / sum(p.belief for p in ripe)
        mean = shock = apart = 0.0
        for p in ripe:
            share = p.belief * whole
            mean, shock, apart = mean + share * p.g, shock + share * p.shock, apart + share * p.mean * p.mean
        count = len(ripe)
        sd = math.hypot(base, bank.RESPONSE * abs(shock))
        least = min(p.spread for p in ripe)
        scatter = sum((p.g - mean) ** 2 * max(least / p.spread, 1e-4) for p in ripe) / (sd * sd) * (1.0 + 1.0 / count)
        apart = math.sqrt(apart / max(count - 1.0, 1.0))
        return mean, sd, count, scatter, max(apart - bank.APART, 0.0)

    def _events(self, alarm: bool, z: float, residual: float, contrast: float, tolerance: float) -> bool:
        """As ``Bank._events``; returns whether an event closed that leaves the level where it now is."""
        was, capped = self.active > 0, min(max(z, -8.0), 8.0)
        if alarm and not was:
            self.recent, self.recent_raw, self.recent_pair = capped, residual, contrast
        else:
            self.recent += (capped - self.recent) / bank.SETTLE if was else 0.0
            self.recent_raw += (residual - self.recent_raw) / bank.SETTLE
            self.recent_pair += (contrast - self.recent_pair) / bank.SETTLE
        self.active_rows = self.active_rows + 1.0 if was else 0.0
        quiet = was and abs(self.recent) < tolerance + 1.0 and abs(z) < 6.0
        late = was and self.active_rows >= bank.PATIENCE
        self.active = 1.0 if alarm and not was else (0.0 if quiet or late else self.active)
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
                self.level, self.slope, ahead, hop, self.usual, residual, loose, alpha, baseline.OWN_DAMPING
            )
            self.own.learn(z, residual)
        else:
            self.level = ahead
        if calm:
            self.own.drift(z)

    def _learn_pairs(self, pair: tuple[float, float, int, float, float], loss: float, calm: bool, hop: float) -> None:
        """As ``Bank._learn_pairs``."""
        mean, sd, count = pair[:3]
        for p in self.pairs:
            if math.isnan(p.y):
                p.level = p.ahead
                continue
            new, own = p.rows == 0, math.sqrt(p.scale2) + 1e-9
            p.typical += (abs(p.g) - p.typical) * 0.06
            age = min(p.rows, self.age)
            memory = 1.0 / min(max(0.3 * p.rows, 3.0), 300.0)
            level = p.ahead
            if calm:
                loose = math.inf if age < bank.LOOSE else max(own, 0.8 * p.typical)
                alpha = single.gain(age, bank.CONTRAST_MEMORY, baseline.CONTRAST_SHARE)
                level, slope = single.track(
                    p.level, p.slope, p.ahead, hop, self.usual, p.g, loose, alpha, baseline.CONTRAST_DAMPING
                )
                bounded = min(max(p.g, -3 * loose), 3 * loose)
                if not new:
                    p.slope = slope
                    p.scale2 += memory * (bounded * bounded - p.scale2)
                p.shock2 += (p.shock * p.shock - p.shock2) * max(memory, 0.005)
                if p.rows > 40:
                    p.response += 0.01 * bounded * p.shock / (4 * p.shock2 + p.shock * p.shock + 1e-12)
            p.level = level
            p.sib_level = p.y if new else p.sib_level + p.shock * max(memory, 0.02)
            rest = min(max((p.g - mean) / sd, -4.0), 4.0) if p.ripe else 0.0
            p.mean += (rest - p.mean) * 0.02
            p.recent += (min(max(p.g, -20 * own), 20 * own) - p.recent) / bank.RECENT
            p.rows += 1.0
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
        new.detectors = np.array(data["detectors"])
        return new
