"""Many streams at once: baseline, siblings, noise and evidence of each, advanced by one row per call.

``Bank(streams, siblings)`` holds arrays whose first axis is the stream; ``step`` takes one row of each. A thousand
block-bootstrapped copies are a bank of a thousand; a live run has ``live.Live``, the same in plain numbers. Nothing
looks ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayeslaw.anomalies import baseline, evidence, noise
from bayeslaw.anomalies.state import State

#: rows remembered by the level of a run alone, and of its contrast with siblings
OWN_MEMORY, CONTRAST_MEMORY = 200.0, 200.0
#: least wander, in base scales, that counts as healthy: alone, with siblings
TOLERANCE = (0.05, 0.05)
#: what a row counts for in evidence of shifts and of grown noise: alone, with siblings
TEMPER = (1.0, 0.6)
#: rows before the first alarm; rows after which a displaced level is taken for the new one; rows of its running mean
WARM_UP, PATIENCE, SETTLE = 100, 400, 12
#: rows in which the filter follows anything; rows after a fresh start before the next alarm
LOOSE, RESTART = 25, 80
#: smallest standard deviation of a loss, relative to it: logs are rounded
FLOOR = 2e-5
#: how far siblings' running means may lie apart, in scales, before it counts as wander
APART = 0.6
#: rows over which wander is remembered, and the share of the rows so far, alone and with siblings: contrasts bend early
WANDER_MEMORY, WANDER_SHARE = 400.0, (1.0, 0.25)
#: sd of the wander that counts as healthy: alone, with siblings
EXCESS = (1.4, 1.0)
#: rows of the running mean that says which siblings have lately moved
RECENT = 10.0
#: by how much a sibling's response to a hard batch may differ, as a share of the shock
RESPONSE = 0.015


@dataclass
class Step:
    """What one row says, each (B,).

    ``expected`` loss and ``scale`` of the noise (nats), ``z`` the residual in scales, ``p`` its tail probability,
    ``total`` the combined evidence, ``kinds`` (B, 4) its parts, ``alarm`` whether an event opened at this row,
    ``closed`` whether one closed, ``active`` whether one is open, ``shared`` whether siblings' rows were used,
    ``own_z`` the residual of the run alone in its own scales.
    """

    expected: np.ndarray
    scale: np.ndarray
    z: np.ndarray
    p: np.ndarray
    total: np.ndarray
    kinds: np.ndarray
    alarm: np.ndarray
    closed: np.ndarray
    active: np.ndarray
    shared: np.ndarray
    own_z: np.ndarray


class Bank:
    """``streams`` runs with up to ``siblings`` siblings each; ``rate`` false alarms per step are asked for."""

    def __init__(self, streams: int, siblings: int = 0, rate: float = 1e-4) -> None:
        self.b, self.s, self.rate = streams, siblings, rate
        self.state = State.empty(streams, siblings)

    def step(self, loss: np.ndarray, x: np.ndarray, others: np.ndarray | None = None) -> Step:
        """One row of every stream.

        Parameters
        ----------
        loss : (B,) finite losses, nats per token.
        x : (B,) position along the run, increasing and positive: tokens or steps.
        others : (B, S) the siblings' losses on the same batch, NaN where there is none.
        """
        st = self.state
        first = np.isnan(st.position)
        at = np.log(x)
        hop = np.where(first, 0.0, at - st.position)
        st.usual = np.where(st.rows < 2, np.maximum(hop, 1e-12), st.usual + (hop - st.usual) * 0.02)
        ahead = np.where(first, loss, st.level + st.slope * hop)
        residual = loss - ahead
        scale = np.sqrt(st.scale2) + FLOOR * np.abs(ahead)
        own_z = residual / scale
        w = noise.weights(st.counts)
        z, expected, sd, tolerance = own_z, ahead, scale, TOLERANCE[0] + self._excess(st.wander, EXCESS[0])
        shared = np.zeros(self.b, bool)
        pair = None
        if self.s and others is not None:
            pair = self._contrast(loss, hop, others)
            cw = noise.given_scatter(noise.weights(st.c_counts, noise.CONTRAST_PRIOR), pair["scatter"], pair["freedom"])
            # an excursion far beyond the run's own noise that its own curve does not show is the sibling's
            theirs = (np.abs(pair["mean"]) > 6 * scale) & (
                residual * np.sign(pair["mean"]) < 0.3 * np.abs(pair["mean"])
            )
            shared = pair["ready"] & ~theirs
            col = shared[:, None, None]
            w = np.where(col, cw, w)
            z = np.where(shared, pair["z"], own_z)
            expected = np.where(shared, loss - pair["mean"], ahead)
            sd = np.where(shared, pair["sd"], scale)
            wide = TOLERANCE[1] + self._excess(st.c_wander, EXCESS[1]) + pair["drift"]
            tolerance = np.where(shared, wide, tolerance)
        armed = (st.rows >= WARM_UP) & (st.age >= RESTART) & (st.active == 0)
        p, point = evidence.point_evidence(z, w, self.rate, np.where(shared, evidence.PAIRED_POINT, 1.0))
        lean = np.where(shared, st.c_mean, st.mean)
        temper = np.where(shared, TEMPER[1], TEMPER[0])
        ratio = evidence.ratios(z, w, np.minimum(tolerance, 3.0), lean, temper)
        st.detectors = np.where(armed[:, None], evidence.advance(st.detectors, ratio), 0.0)
        total = evidence.combine(st.detectors, point)
        alarm = armed & (total >= 1.0 / self.rate)
        kinds = evidence.by_kind(st.detectors, point)
        closed, moved = self._events(alarm, z, residual, residual if pair is None else pair["mean"], tolerance)
        calm = (st.active == 0) & ~moved
        self._learn(residual, scale, own_z, ahead, hop, calm, first, loss)
        if pair is not None:
            self._learn_pairs(pair, calm, hop)
        if moved.any():
            st.level = st.level + np.where(moved, st.recent_raw, 0.0)
            st.pair_level = st.pair_level + np.where(moved, st.recent_pair, 0.0)[:, None] * (st.pair_rows > 0)
        st.position, st.rows, st.age = at, st.rows + 1, st.age + 1
        return Step(expected, sd, z, p, total, kinds, alarm, closed, st.active > 0, shared, own_z)

    @staticmethod
    def _excess(wander: np.ndarray, most: float) -> np.ndarray:
        """Wander beyond white noise, in scales: ``most`` sd of the running mean that noise does not explain."""
        return most * np.sqrt(np.maximum(wander - 0.0101, 0.0))

    def _contrast(self, loss: np.ndarray, hop: np.ndarray, others: np.ndarray) -> dict[str, np.ndarray]:
        st = self.state
        seen = np.isfinite(others)
        y = np.where(seen, others, 0.0)
        new = seen & (st.pair_rows == 0)
        shock = np.where(seen & ~new, y - st.sib_level, 0.0)
        ahead = np.where(new, loss[:, None] - y, st.pair_level + st.pair_slope * hop[:, None])
        g = np.where(seen, loss[:, None] - y - ahead - st.response * shock, 0.0)
        ripe = seen & (st.pair_rows >= 40)
        count = ripe.sum(axis=1)
        base = np.sqrt(st.c_scale2) + FLOOR * np.abs(loss)
        # a sibling that follows this run more closely counts for more
        # and one that has lately moved away, or is away at this step, for less: of two siblings, the one to believe is
        # the one that speaks for health, for an event of this run shows against both
        spread = st.pair_scale2 + st.pair_recent**2 + (FLOOR * loss[:, None]) ** 2
        quality = np.where(ripe, 1.0 / spread, 0.0)
        best = np.where(ripe, np.abs(g), np.inf).argmin(axis=1)[:, None]
        away = g - np.take_along_axis(g, best, axis=1)
        belief = np.where(ripe, 1.0 / (spread + away**2), 0.0)
        share = belief / np.maximum(belief.sum(axis=1, keepdims=True), 1e-300)
        mean = (share * g).sum(axis=1)
        rest = np.where(ripe, g - mean[:, None], 0.0)
        jolt = RESPONSE * np.abs((share * shock).sum(axis=1))
        sd = np.sqrt(base**2 + jolt**2)
        relative = np.sqrt(np.maximum(quality / np.maximum(quality.max(axis=1, keepdims=True), 1e-300), 1e-4))
        scatter = ((rest * relative / sd[:, None]) ** 2).sum(axis=1) * (1.0 + 1.0 / np.maximum(count, 1.0))
        # how far the siblings themselves have moved apart, which is what their mean may have moved by
        apart = np.sqrt((share * st.pair_mean**2).sum(axis=1) / np.maximum(count - 1.0, 1.0))
        return {
            "seen": seen, "new": new, "ahead": ahead, "g": g, "shock": shock, "y": y, "mean": mean, "sd": sd,
            "rest": rest / sd[:, None], "z": mean / sd, "calm": mean * base / sd,
            "ready": (count > 0) & (st.c_rows >= 60),
            "scatter": scatter, "freedom": np.maximum(count - 1.0, 0.0), "any": count > 0,
            "drift": np.maximum(apart - APART, 0.0),
        }  # fmt: skip

    def _events(
        self, alarm: np.ndarray, z: np.ndarray, residual: np.ndarray, contrast: np.ndarray, tolerance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Open, follow and close events; returns which closed, and which of those leave the level where it now is."""
        st = self.state
        opened = alarm & (st.active == 0)
        was = st.active > 0
        capped = np.clip(z, -8.0, 8.0)
        st.recent = np.where(was, st.recent + (capped - st.recent) / SETTLE, np.where(opened, capped, st.recent))
        st.recent_raw = np.where(opened, residual, st.recent_raw + (residual - st.recent_raw) / SETTLE)
        st.recent_pair = np.where(opened, contrast, st.recent_pair + (contrast - st.recent_pair) / SETTLE)
        st.active_rows = np.where(was, st.active_rows + 1, 0.0)
        quiet = was & (np.abs(st.recent) < tolerance + 1.0) & (np.abs(z) < 6.0)
        late = was & (st.active_rows >= PATIENCE)
        st.active = np.where(opened, 1.0, np.where(quiet | late, 0.0, st.active))
        moved = late & ~quiet
        # a level that stays displaced is the new one; for a while it is followed more quickly
        st.age = np.where(moved, 2.0 * LOOSE, st.age)
        return quiet | late, moved

    def _learn(
        self, residual: np.ndarray, scale: np.ndarray, z: np.ndarray, ahead: np.ndarray, hop: np.ndarray,
        calm: np.ndarray, first: np.ndarray, loss: np.ndarray,
    ) -> None:  # fmt: skip
        st = self.state
        st.typical += (np.abs(residual) - st.typical) * 0.06
        loose = np.where(st.age < LOOSE, np.inf, np.maximum(scale, 0.8 * st.typical))
        level, slope = baseline.update(
            st.level,
            st.slope,
            ahead,
            hop,
            st.usual,
            residual,
            loose,
            baseline.gain(st.age, OWN_MEMORY, baseline.OWN_SHARE),
            baseline.OWN_DAMPING,
        )
        st.level = np.where(first, loss, np.where(calm, level, ahead))
        st.slope = np.where(calm & ~first, slope, st.slope)
        st.scale2, st.counts = _learn_noise(st.rows, st.scale2, st.counts, z, residual, calm & ~first)
        st.mean, st.wander = _learn_wander(st.mean, st.wander, z, st.rows, calm, WANDER_SHARE[0])

    def _learn_pairs(self, pair: dict[str, np.ndarray], calm: np.ndarray, hop: np.ndarray) -> None:
        st = self.state
        seen, new, g, shock = pair["seen"], pair["new"], pair["g"], pair["shock"]
        ok = seen & calm[:, None]
        own = np.sqrt(st.pair_scale2) + 1e-9
        st.pair_typical += np.where(seen, np.abs(g) - st.pair_typical, 0.0) * 0.06
        age = np.minimum(st.pair_rows, st.age[:, None])
        loose = np.where(age < LOOSE, np.inf, np.maximum(own, 0.8 * st.pair_typical))
        alpha = baseline.gain(age, CONTRAST_MEMORY, baseline.CONTRAST_SHARE)
        h = hop[:, None]
        level, slope = baseline.update(
            st.pair_level,
            st.pair_slope,
            pair["ahead"],
            h,
            st.usual[:, None],
            g,
            loose,
            alpha,
            baseline.CONTRAST_DAMPING,
        )
        st.pair_level = np.where(ok, level, np.where(seen, pair["ahead"], st.pair_level + st.pair_slope * h))
        st.pair_slope = np.where(ok & ~new, slope, st.pair_slope)
        bounded = np.minimum(np.maximum(g, -3 * loose), 3 * loose)
        memory = 1.0 / np.clip(0.3 * st.pair_rows, 3.0, 300.0)
        st.pair_scale2 = np.where(ok & ~new, st.pair_scale2 + memory * (bounded**2 - st.pair_scale2), st.pair_scale2)
        # regression of the contrast on the sibling's shock: how differently the two respond to one batch
        st.shock2 = np.where(ok, st.shock2 + (shock**2 - st.shock2) * np.maximum(memory, 0.005), st.shock2)
        learn = ok & (st.pair_rows > 40)
        st.response += np.where(learn, 0.01 * bounded * shock / (4 * st.shock2 + shock**2 + 1e-12), 0.0)
        st.sib_level = np.where(
            new, pair["y"], np.where(seen, st.sib_level + shock * np.maximum(memory, 0.02), st.sib_level)
        )
        st.pair_mean = np.where(seen, st.pair_mean + (np.clip(pair["rest"], -4, 4) - st.pair_mean) * 0.02, st.pair_mean)
        near = np.clip(g, -20 * own, 20 * own)
        st.pair_recent = np.where(seen, st.pair_recent + (near - st.pair_recent) / RECENT, st.pair_recent)
        st.pair_rows = st.pair_rows + seen
        use = calm & pair["any"]
        st.c_scale2, st.c_counts = _learn_noise(
            st.c_rows, st.c_scale2, st.c_counts, pair["z"], pair["calm"], use, noise.CONTRAST_PRIOR
        )
        st.c_mean, st.c_wander = _learn_wander(st.c_mean, st.c_wander, pair["z"], st.c_rows, use, WANDER_SHARE[1])
        st.c_rows = st.c_rows + pair["any"]


def _learn_noise(
    rows: np.ndarray,
    scale2: np.ndarray,
    counts: np.ndarray,
    z: np.ndarray,
    residual: np.ndarray,
    use: np.ndarray,
    prior: np.ndarray = noise.PRIOR,
) -> tuple[np.ndarray, np.ndarray]:
    """One step of stochastic expectation-maximization for the base scale and the weights of its multiples.

    In the first rows, while the filter still finds the curve, every residual counts in full and no weight is learned.
    """
    r = noise.responsibilities(z, noise.weights(counts, prior))
    young = rows < LOOSE
    square = np.where(young, residual**2, (r * (residual[:, None] / noise.SCALES) ** 2).sum(axis=1))
    memory = np.minimum(np.maximum(0.15 * rows, 3.0), noise.SCALE_MEMORY)
    scale2 = np.where(use, scale2 + (square - scale2) / memory, scale2)
    # what was learned while the curve still bent fast is forgotten sooner
    fade = np.clip(rows, 400.0, noise.WEIGHT_MEMORY)[:, None, None]
    side = np.stack([z <= 0, z > 0], axis=1)[:, :, None] & (use & (rows >= WARM_UP))[:, None, None]
    counts = np.where(side, counts * (1 - 1 / fade) + r[:, None, :], counts)
    return scale2, counts


def _learn_wander(
    mean: np.ndarray, wander: np.ndarray, z: np.ndarray, rows: np.ndarray, use: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Running mean over 50 rows of the residuals, and the mean square of that: white noise has 1/99."""
    mean = np.where(use, mean + (np.clip(z, -3, 3) - mean) * 0.02, mean)
    memory = np.minimum(np.maximum(share * (rows + 1.0), np.minimum(rows + 1.0, 50.0)), WANDER_MEMORY)
    return mean, np.where(use, wander + (mean**2 - wander) / memory, wander)
