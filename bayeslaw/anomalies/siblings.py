"""A run against its siblings, one row at a time: the arithmetic of ``contrast`` in plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bayeslaw.anomalies import baseline, contrast, noise, rates, single
from bayeslaw.anomalies.single import Noise

_PRIOR = single.priors(noise.CONTRAST_PRIOR)


@dataclass(slots=True)
class Pair:
    """What is remembered of one sibling; the fields are those of ``State``, without their ``pair_``."""

    rows: float = 0.0
    level: float = 0.0
    slope: float = 0.0
    scale2: float = 0.0
    mean: float = 0.0
    recent: float = 0.0
    response: float = 0.0
    sib_level: float = 0.0
    shock2: float = 0.0
    typical: float = 0.0
    peak: float = 0.0
    lr: float = math.nan
    steady: float = 0.0
    away: float = 0.0
    # of the row that is being judged
    y: float = math.nan
    shock: float = 0.0
    ahead: float = 0.0
    g: float = 0.0
    ripe: bool = False
    spread: float = 1.0


class Siblings:
    """Up to so many siblings of one run."""

    def __init__(self, count: int) -> None:
        self.pairs = [Pair() for _ in range(count)]
        self.noise = Noise(_PRIOR, noise.WANDER_SHARE[1])
        # of the row being judged: who has a loss, the contrast and recent mean nearest to zero, how far slopes fade
        self.seen: list[Pair] = []
        self.near, self.fade = (math.inf, math.inf), 1.0

    def keep(self, kept: Sequence[int]) -> None:
        """Leave out all siblings but those at these places."""
        self.pairs = [self.pairs[k] for k in kept] + [Pair() for _ in range(len(self.pairs) - len(kept))]

    def compare(self, loss: float, hop: float, others: Sequence[float]) -> tuple[float, float, int, float, float]:
        """As ``contrast.compare``: mean, its sd, how many siblings, their scatter, and how far they have moved apart.

        Leaves in ``seen`` and ``ripe`` the siblings that have a loss on this batch and those known well enough, and in
        ``near`` and ``fade`` what ``learn`` asks for.
        """
        rounding = noise.FLOOR * abs(loss)
        rounding2 = rounding * rounding
        fade = self.fade = math.exp(-baseline.FADE * hop)
        seen, ripe, best, recent = [], [], math.inf, math.inf
        for p, y in zip(self.pairs, others, strict=True):
            ahead = p.level + p.slope * hop
            if y != y:
                p.level = ahead
                p.slope *= fade
                continue
            seen.append(p)
            p.y, p.ripe = y, p.rows >= contrast.RIPE
            if p.rows == 0:
                p.ahead, p.shock, p.g = loss - y, 0.0, 0.0
                continue
            p.ahead, p.shock = ahead, y - p.sib_level
            p.g = g = loss - y - ahead - p.response * p.shock
            if p.ripe:
                ripe.append(p)
                p.spread = p.scale2 + p.recent * p.recent + rounding2
                if abs(g) < abs(best):
                    best = g
                if abs(p.recent) < abs(recent):
                    recent = p.recent
        self.seen, self.near = seen, (best, recent)
        base = math.sqrt(self.noise.scale2) + rounding
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
        jolt = contrast.RESPONSE * shock
        sd = math.sqrt(base * base + jolt * jolt)
        scatter = 0.0
        for p in ripe:
            rest, close = p.g - mean, least / p.spread
            scatter += rest * rest * (close if close > 1e-4 else 1e-4)
        scatter *= (1.0 + 1.0 / count) / (sd * sd)
        apart = math.sqrt(apart / (count - 1.0 if count > 2 else 1.0))
        return mean, sd, count, scatter, apart - contrast.APART if apart > contrast.APART else 0.0

    def learn(
        self, pair: tuple[float, float, int, float, float], loss: float, calm: bool, usual: float, lived: float
    ) -> None:
        """As ``contrast.learn``; ``usual`` and ``lived`` are the run's usual hop and rows since a fresh start."""
        mean, sd, count = pair[:3]
        fade, near = self.fade, self.near
        for p in self.seen:
            g, shock, rows, own = p.g, p.shock, p.rows, math.sqrt(p.scale2) + 1e-9
            p.typical += (abs(g) - p.typical) * 0.06
            memory = 0.3 * rows
            memory = 1.0 / (3.0 if memory < 3.0 else 300.0 if memory > 300.0 else memory)
            p.level = p.ahead
            if not _astray(p, near, own) and calm:
                age = min(rows, lived, p.steady)
                typical = 0.8 * p.typical
                loose = math.inf if age < baseline.LOOSE else own if own > typical else typical
                alpha = single.gain(age, baseline.CONTRAST_MEMORY, baseline.CONTRAST_SHARE)
                p.level, slope = single.track(p.slope, p.ahead, usual, g, loose, alpha, baseline.CONTRAST_DAMPING)
                bound = 3 * loose
                bounded = bound if g > bound else -bound if g < -bound else g
                if rows > 0:
                    p.slope = slope
                    p.scale2 += memory * (bounded * bounded - p.scale2)
                shock2 = shock * shock
                p.shock2 += (shock2 - p.shock2) * (memory if memory > 0.005 else 0.005)
                if rows > contrast.RIPE:
                    p.response += 0.01 * bounded * shock / (4 * p.shock2 + shock2 + 1e-12)
            p.sib_level = p.sib_level + shock * (memory if memory > 0.02 else 0.02) if rows > 0 else p.y
            rest = (g - mean) / sd if p.ripe else 0.0
            p.mean += ((-4.0 if rest < -4.0 else 4.0 if rest > 4.0 else rest) - p.mean) * 0.02
            bound = 20 * own
            p.recent += ((-bound if g < -bound else bound if g > bound else g) - p.recent) / contrast.RECENT
            p.slope *= fade
            p.rows, p.steady = rows + 1.0, p.steady + 1.0
        if count > 0:
            if calm:
                base = math.sqrt(self.noise.scale2) + noise.FLOOR * abs(loss)
                self.noise.learn(mean / sd, mean * base / sd)
                self.noise.drift(mean / sd)
            self.noise.rows += 1.0


def _astray(p: Pair, near: tuple[float, float], own: float) -> bool:
    """As ``contrast._astray``, of one sibling."""
    far, long = contrast.ASTRAY
    if not p.ripe or (abs(p.g - near[0]) <= far * own and abs(p.recent - near[1]) <= long * own):
        p.away = 0.0
        return False
    p.away += 1.0
    if p.away <= contrast.HOLD:
        return True
    p.steady = min(p.steady, rates.YOUNG)
    return False
