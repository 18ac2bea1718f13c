"""Local level of a curve, without looking ahead: a robust alpha-beta filter whose slope lives in log-steps.

Loss curves are close to power laws, so over a stretch that is a fixed share of the run they are straight in log-steps.
The filter remembers a share of the run so far and at most ``memory`` rows; residuals are clipped before they move it.
"""

from __future__ import annotations

import numpy as np

#: share of the rows so far that the level remembers, of a run alone and of a contrast; least memory in rows
OWN_SHARE, CONTRAST_SHARE, LEAST = 0.2, 0.13, 3.0
#: damping: the slope's gain is the level's squared over this. A contrast bends less in the end, but early as fast as a
#: curve: a slope that lags there leaves its level displaced for a thousand rows
OWN_DAMPING, CONTRAST_DAMPING = 1.5, 2.0
#: a contrast's slope fades with the position: what two runs differ by comes to rest
FADE = 1.0
#: rows remembered by the level of a run alone, and of its contrast with siblings
OWN_MEMORY, CONTRAST_MEMORY = 200.0, 200.0
#: residuals beyond this many scales pull the level no further
CLIP = 3.0
#: rows in which the filter follows anything
LOOSE = 25
#: a run's rows count for as many as there would be at its present cadence since its start, with this much room: where
#: fewer rows are logged from some step on, as many rows as before would reach back to where the curve bent otherwise
EVEN = 1.25


def even(hop: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """(B,) most rows that count, from the last advance in log-steps and the running mean of them."""
    return EVEN / np.maximum(np.minimum(hop, usual), 1e-12)


def gain(rows: np.ndarray, memory: float, share: float) -> np.ndarray:
    """(B,) gain of the level after ``rows`` rows: one over the rows that it remembers."""
    return 1.0 / np.clip(share * rows, LEAST, memory)


def update(
    slope: np.ndarray, ahead: np.ndarray, usual: np.ndarray, residual: np.ndarray, scale: np.ndarray,
    alpha: np.ndarray, damping: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Level and slope after a residual against the level expected here, ``ahead``: the last one and its slope's due.

    Parameters
    ----------
    usual : running mean of the advance in log-steps from row to row, which turns the slope's gain per row into one per
        log-step. All arrays have one shape (or broadcast to it), nats per token.
    """
    bound = CLIP * scale
    pull = np.minimum(np.maximum(residual, -bound), bound)
    return ahead + alpha * pull, slope + alpha * alpha / damping * pull / usual
