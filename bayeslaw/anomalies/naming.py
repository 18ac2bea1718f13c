"""From what a stretch of rows was taken for to the kind of event that is told, and what it costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayeslaw.anomalies.classify import Verdict

#: sd of the run's own noise by which a loss climbs each row that diverges; slower, it drifts
CLIMB = 0.25


class Row(NamedTuple):
    """One row as judged: nats, and ``z`` in sd of the healthy noise; ``siblings`` that had the same batch."""

    step: float
    loss: float
    expected: float
    scale: float
    z: float
    siblings: int


def name_of(verdict: Verdict, rows: list[Row], lead: int, own_scale: float) -> str:
    """The kind of event of ``rows``, ``lead`` of them before it; ``own_scale``: sd of the run's own noise, nats."""
    kind = verdict.kind
    if kind in ("level", "drift") and _climbs(rows[lead:], own_scale):
        return "divergence"
    if kind == "level":
        return "level_up" if verdict.magnitude > 0 else "level_down"
    if kind == "drift":
        if verdict.magnitude < 0:
            return "drift_down"
        return "plateau" if _flat(rows[lead:], verdict.magnitude) else "drift"
    return kind


def _climbs(rows: list[Row], own_scale: float) -> bool:
    """Whether the loss leaves what was expected fast, and no more slowly in the end."""
    third = len(rows) // 3
    if third < 4:
        return False
    off = np.array([r.loss - r.expected for r in rows])
    first, middle, last = off[:third].mean(), off[third:-third].mean(), off[-third:].mean()
    return bool(last - first > CLIMB * own_scale * (len(rows) - third) and last - middle > 0.4 * (middle - first))


def _flat(rows: list[Row], magnitude: float) -> bool:
    """Whether the loss itself stood still while what was expected fell by most of the departure's size."""
    n = len(rows)
    if n < 60:
        return False
    half = n // 2
    fall = np.mean([r.expected for r in rows[:half]]) - np.mean([r.expected for r in rows[half:]])
    change = np.mean([r.loss for r in rows[half:]]) - np.mean([r.loss for r in rows[:half]])
    return bool(fall > 0.25 * magnitude and abs(change) < 0.4 * fall)


def severity_of(kind: str, verdict: Verdict) -> tuple[float, float, float]:
    """Nats by which the loss is worse for good, with the ends of its 90 % interval."""
    margin = 1.645 * verdict.lasting_sd
    if kind in ("point", "variance"):
        return 0.0, 0.0, 0.0
    return verdict.lasting, verdict.lasting - margin, verdict.lasting + margin
