"""The rules that training tools use to flag losses, as scores: a rule alarms where its score exceeds its threshold.

Each takes losses (B, n) and returns scores (B, n), causal; the first rows, without a full window, score 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


def _trailing(y: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of the ``window`` rows before each row."""
    total = np.cumsum(np.pad(y, ((0, 0), (1, 0))), axis=1)
    square = np.cumsum(np.pad(y**2, ((0, 0), (1, 0))), axis=1)
    mean = np.full_like(y, np.nan)
    sd = np.full_like(y, np.nan)
    mean[:, window:] = (total[:, window:-1] - total[:, : -window - 1]) / window
    var = (square[:, window:-1] - square[:, : -window - 1]) / window - mean[:, window:] ** 2
    sd[:, window:] = np.sqrt(np.maximum(var, 1e-12))
    return mean, sd


def z_window(y: np.ndarray, window: int) -> np.ndarray:
    """Standard deviations above the mean of a trailing window."""
    mean, sd = _trailing(y, window)
    return np.nan_to_num((y - mean) / sd)


def mad_window(y: np.ndarray, window: int = 128) -> np.ndarray:
    """Distance from the trailing median in robust sd; the window is thinned to every fourth row to keep it quick."""
    view = np.lib.stride_tricks.sliding_window_view(y, window, axis=1)[:, :-1, ::4]
    median = np.median(view, axis=2)
    mad = 1.4826 * np.median(np.abs(view - median[..., None]), axis=2)
    out = np.zeros_like(y)
    out[:, window:] = np.abs(y[:, window:] - median) / np.maximum(mad, 1e-12)
    return out


def ratio_window(y: np.ndarray, window: int) -> np.ndarray:
    """Relative distance from the mean of a trailing window."""
    mean, _ = _trailing(y, window)
    return np.nan_to_num(np.abs(y / mean - 1))


def zclip(y: np.ndarray, alpha: float = 0.97) -> np.ndarray:
    """ZClip's z-score on exponentially weighted mean and variance, here of the loss."""
    mean, var = y[:, 0].copy(), np.full(len(y), np.nan)
    out = np.zeros_like(y)
    var[:] = np.var(y[:, :25], axis=1)
    for t in range(25, y.shape[1]):
        out[:, t] = (y[:, t] - mean) / np.sqrt(np.maximum(var, 1e-12))
        var = alpha * var + (1 - alpha) * (y[:, t] - mean) ** 2
        mean = alpha * mean + (1 - alpha) * y[:, t]
    return out


def cusum(y: np.ndarray, window: int = 128, slack: float = 0.5) -> np.ndarray:
    """Two-sided cumulative sum of window z-scores, bounded at 5, with a slack of half a sd."""
    z = np.clip(z_window(y, window), -5, 5)
    up, down = np.zeros(len(y)), np.zeros(len(y))
    out = np.zeros_like(y)
    for t in range(y.shape[1]):
        up, down = np.maximum(up + z[:, t] - slack, 0), np.maximum(down - z[:, t] - slack, 0)
        out[:, t] = np.maximum(up, down)
    return out


def _river(make: Callable[[], Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Alarms (n,) of a drift detector of the library river, fed a curve (n,)."""

    def alarms(y: np.ndarray) -> np.ndarray:
        detector, out = make(), np.zeros(len(y), bool)
        for k, value in enumerate(y):
            detector.update(float(value))
            out[k] = detector.drift_detected
        return out

    return alarms


def _library() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    try:
        from river import drift
    except ImportError:
        return {}
    return {"ADWIN": _river(drift.ADWIN), "Page-Hinkley": _river(drift.PageHinkley)}


@dataclass(frozen=True)
class Rule:
    """A rule: its score, its tool's default threshold, and how many rows it needs before it can judge."""

    tool: str
    score: Callable[[np.ndarray], np.ndarray]
    default: float
    history: int


RULES = {
    "6 sd over 128": Rule("OLMo-core, Levanter, MaxText", lambda y: z_window(y, 128), 6.0, 128),
    "z 3 over 30": Rule("W&B", lambda y: np.abs(z_window(y, 30)), 3.0, 30),
    "median/MAD 6": Rule("", mad_window, 6.0, 128),
    "20 % jump": Rule("old Megatron", lambda y: np.diff(y, axis=1, prepend=y[:, :1]) / y, 0.2, 2),
    "2 x mean": Rule("LLM Foundry, Megatron, Lightning", lambda y: ratio_window(y, 10), 1.0, 10),
    "ZClip": Rule("ZClip, on the loss", zclip, 2.5, 60),
    "CUSUM 128": Rule("", cusum, 5.0, 256),
}

#: detectors of a library, where it is installed
LIBRARY = _library()
