"""What a bank of streams remembers: arrays with the streams along the first axis, copied, stacked and saved."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from bayeslaw.anomalies import evidence, noise


@dataclass
class State:
    """Everything a bank remembers; arrays of (B,), (B, S), (B, 2, K) or (B, detectors)."""

    rows: np.ndarray
    position: np.ndarray
    usual: np.ndarray
    level: np.ndarray
    slope: np.ndarray
    scale2: np.ndarray
    counts: np.ndarray
    mean: np.ndarray
    wander: np.ndarray
    pair_rows: np.ndarray
    pair_level: np.ndarray
    pair_slope: np.ndarray
    pair_scale2: np.ndarray
    pair_mean: np.ndarray
    pair_recent: np.ndarray
    response: np.ndarray
    sib_level: np.ndarray
    shock2: np.ndarray
    c_rows: np.ndarray
    c_scale2: np.ndarray
    c_counts: np.ndarray
    c_mean: np.ndarray
    c_wander: np.ndarray
    detectors: np.ndarray
    active: np.ndarray
    active_rows: np.ndarray
    recent: np.ndarray
    recent_raw: np.ndarray
    recent_pair: np.ndarray
    age: np.ndarray
    typical: np.ndarray
    pair_typical: np.ndarray
    peak: np.ndarray
    lr: np.ndarray
    steady: np.ndarray
    pair_peak: np.ndarray
    pair_lr: np.ndarray
    pair_steady: np.ndarray
    pair_away: np.ndarray

    @classmethod
    def empty(cls, b: int, s: int) -> State:
        """The state before the first row."""
        k = len(noise.SCALES)
        shapes: dict[str, tuple[int, ...]] = {f.name: (b,) for f in fields(cls)}
        pairs = ("pair_rows", "pair_level", "pair_slope", "pair_scale2", "pair_mean", "pair_recent", "pair_typical")
        pairs += ("response", "sib_level", "shock2", "pair_peak", "pair_lr", "pair_steady", "pair_away")
        shapes |= dict.fromkeys(pairs, (b, s))
        shapes |= {"counts": (b, 2, k), "c_counts": (b, 2, k), "detectors": (b, evidence.N_DETECTORS)}
        state = cls(**{name: np.zeros(shape) for name, shape in shapes.items()})
        state.position[:] = state.lr[:] = state.pair_lr[:] = np.nan
        return state

    def take(self, rows: np.ndarray) -> State:
        """A copy of some streams, in the order of ``rows``."""
        return State(**{f.name: getattr(self, f.name)[rows].copy() for f in fields(self)})

    @classmethod
    def stack(cls, states: list[State]) -> State:
        """Several states as one, stream after stream; all with the same number of siblings."""
        return cls(**{f.name: np.concatenate([getattr(s, f.name) for s in states]) for f in fields(cls)})

    def to_json(self) -> dict[str, Any]:
        """Plain lists; floats survive exactly."""
        return {f.name: getattr(self, f.name).tolist() for f in fields(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any], b: int, s: int) -> State:
        """The inverse of ``to_json``."""
        like = cls.empty(b, s)
        return cls(**{f.name: np.array(data[f.name], float).reshape(getattr(like, f.name).shape) for f in fields(cls)})
