"""Many streams at once: baseline, siblings, noise and evidence of each, advanced by one row per call.

``Bank(streams, siblings)`` holds arrays whose first axis is the stream; ``step`` takes one row of each. A thousand
block-bootstrapped copies are a bank of a thousand; a live run has ``live.Live``, the same in plain numbers. Nothing
looks ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayeslaw.anomalies import baseline, contrast, evidence, noise, rates
from bayeslaw.anomalies.state import State

#: least wander, in base scales, that counts as healthy: alone, with siblings
TOLERANCE = (0.05, 0.05)
#: what a row counts for in evidence of shifts and of grown noise: alone, with siblings
TEMPER = (1.0, 0.6)
#: rows after which a displaced level is taken for the new one; rows of its running mean
PATIENCE, SETTLE = 400, 12
#: rows after a fresh start before the next alarm
RESTART = 80
#: sd of the wander that counts as healthy: alone, with siblings
EXCESS = (1.4, 1.0)


@dataclass
class Step:
    """What one row says, each (B,).

    ``expected`` loss and ``scale`` of the noise (nats), ``z`` the residual in scales, ``total`` the combined evidence,
    ``kinds`` (B, 4) its parts, ``alarm`` whether an event opened at this row, ``active`` whether one is open,
    ``shared`` whether siblings' rows were used, ``own_z`` the residual of the run alone in its own scales.
    """

    expected: np.ndarray
    scale: np.ndarray
    z: np.ndarray
    total: np.ndarray
    kinds: np.ndarray
    alarm: np.ndarray
    active: np.ndarray
    shared: np.ndarray
    own_z: np.ndarray


class Bank:
    """``streams`` runs with up to ``siblings`` siblings each; ``rate`` false alarms per step are asked for."""

    def __init__(self, streams: int, siblings: int = 0, rate: float = 1e-4) -> None:
        self.b, self.s, self.rate = streams, siblings, rate
        self.state = State.empty(streams, siblings)

    def step(
        self, loss: np.ndarray, x: np.ndarray, others: np.ndarray | None = None, lr: np.ndarray | None = None,
        others_lr: np.ndarray | None = None,
    ) -> Step:  # fmt: skip
        """One row of every stream.

        Parameters
        ----------
        loss : (B,) finite losses, nats per token.
        x : (B,) position along the run, increasing and positive: tokens or steps.
        others : (B, S) the siblings' losses on the same batch, NaN where there is none.
        lr, others_lr : (B,) and (B, S) learning rates of the row and of the siblings', NaN where unknown.
        """
        st = self.state
        if lr is not None:
            rates.note(st, lr, others_lr)
        first = np.isnan(st.position)
        at = np.log(x)
        hop = np.where(first, 0.0, at - st.position)
        st.usual = np.where(st.rows < 2, np.maximum(hop, 1e-12), st.usual + (hop - st.usual) * 0.02)
        ahead = np.where(first, loss, st.level + st.slope * hop)
        residual = loss - ahead
        scale = np.sqrt(st.scale2) + noise.FLOOR * np.abs(ahead)
        own_z = residual / scale
        w = noise.weights(st.counts)
        z, expected, sd, tolerance = own_z, ahead, scale, TOLERANCE[0] + self._excess(st.wander, EXCESS[0])
        shared = np.zeros(self.b, bool)
        pair = None
        if self.s and others is not None:
            pair = contrast.compare(st, loss, hop, others)
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
        armed = (st.rows >= noise.WARM_UP) & (st.age >= RESTART) & (st.active == 0)
        _, point = evidence.point_evidence(z, w, self.rate, np.where(shared, evidence.PAIRED_POINT, 1.0))
        lean = np.where(shared, st.c_mean, st.mean)
        temper = np.where(shared, TEMPER[1], TEMPER[0])
        ratio = evidence.ratios(z, w, np.minimum(tolerance, 3.0), lean, temper)
        st.detectors = np.where(armed[:, None], evidence.advance(st.detectors, ratio), 0.0)
        total = evidence.combine(st.detectors, point)
        alarm = armed & (total >= 1.0 / self.rate)
        kinds = evidence.by_kind(st.detectors, point)
        # the rows that led to an alarm have bent the slope already, and an event may last
        st.pair_slope = np.where(alarm[:, None], 0.0, st.pair_slope)
        moved = self._events(alarm, z, residual, residual if pair is None else pair["mean"], tolerance)
        calm = (st.active == 0) & ~moved
        self._learn(residual, scale, own_z, ahead, calm, first, loss, hop)
        if pair is not None:
            contrast.learn(st, pair, calm, hop)
        if moved.any():
            st.level = st.level + np.where(moved, st.recent_raw, 0.0)
            st.pair_level = st.pair_level + np.where(moved, st.recent_pair, 0.0)[:, None] * (st.pair_rows > 0)
        st.position, st.rows, st.age, st.steady = at, st.rows + 1, st.age + 1, st.steady + 1
        return Step(expected, sd, z, total, kinds, alarm, st.active > 0, shared, own_z)

    @staticmethod
    def _excess(wander: np.ndarray, most: float) -> np.ndarray:
        """Wander beyond white noise, in scales: ``most`` sd of the running mean that noise does not explain."""
        return most * np.sqrt(np.maximum(wander - 0.0101, 0.0))

    def _events(
        self, alarm: np.ndarray, z: np.ndarray, residual: np.ndarray, against: np.ndarray, tolerance: np.ndarray
    ) -> np.ndarray:
        """Open, follow and close events; returns which of them close and leave the level where it now is."""
        st = self.state
        opened = alarm & (st.active == 0)
        was = st.active > 0
        capped = np.clip(z, -8.0, 8.0)
        st.recent = np.where(was, st.recent + (capped - st.recent) / SETTLE, np.where(opened, capped, st.recent))
        st.recent_raw = np.where(opened, residual, st.recent_raw + (residual - st.recent_raw) / SETTLE)
        st.recent_pair = np.where(opened, against, st.recent_pair + (against - st.recent_pair) / SETTLE)
        st.active_rows = np.where(was, st.active_rows + 1, 0.0)
        quiet = was & (np.abs(st.recent) < tolerance + 1.0) & (np.abs(z) < 6.0)
        late = was & (st.active_rows >= PATIENCE)
        st.active = np.where(opened, 1.0, np.where(quiet | late, 0.0, st.active))
        moved = late & ~quiet
        # a level that stays displaced is the new one; for a while it is followed more quickly
        st.age = np.where(moved, 2.0 * baseline.LOOSE, st.age)
        return moved

    def _learn(
        self, residual: np.ndarray, scale: np.ndarray, z: np.ndarray, ahead: np.ndarray, calm: np.ndarray,
        first: np.ndarray, loss: np.ndarray, hop: np.ndarray,
    ) -> None:  # fmt: skip
        st = self.state
        st.typical += (np.abs(residual) - st.typical) * 0.06
        loose = np.where(st.age < baseline.LOOSE, np.inf, np.maximum(scale, 0.8 * st.typical))
        level, slope = baseline.update(
            st.slope,
            ahead,
            st.usual,
            residual,
            loose,
            baseline.gain(
                np.minimum(np.minimum(st.age, st.steady), baseline.even(hop, st.usual)),
                baseline.OWN_MEMORY,
                baseline.OWN_SHARE,
            ),
            baseline.OWN_DAMPING,
        )
        st.level = np.where(first, loss, np.where(calm, level, ahead))
        st.slope = np.where(calm & ~first, slope, st.slope)
        st.scale2, st.counts = noise.learn(st.rows, st.scale2, st.counts, z, residual, calm & ~first)
        st.mean, st.wander = noise.learn_wander(st.mean, st.wander, z, st.rows, calm, noise.WANDER_SHARE[0])
