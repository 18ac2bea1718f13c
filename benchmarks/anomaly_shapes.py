"""Anomalies to inject: what is added to a healthy curve, by kind, and how long a detector has to notice."""

from __future__ import annotations

import numpy as np

#: kind -> rows within which an alarm counts as found
ROOM = {
    "point": 1,
    "spike 3": 10,
    "spike 30": 50,
    "spike 300": 300,
    "shift up": 50,
    "shift down": 50,
    "drift 100": 150,
    "drift 300": 350,
    "drift 1000": 600,
    "divergence": 150,
    "plateau": 600,
    "repeated data": 50,
    "variance": 100,
}


def shape(kind: str, n: int) -> np.ndarray:
    """(n,) the anomaly of size one, from its first row on."""
    k = np.arange(n, dtype=float)
    name, _, number = kind.partition(" ")
    if name == "point":
        return (k == 0).astype(float)
    if name == "spike":
        return np.exp(-k / float(number))
    if name == "shift":
        return np.full(n, 1.0 if number == "up" else -1.0)
    if name == "drift":
        return np.minimum(k / float(number), 1.0)
    if name == "divergence":
        return np.expm1(k / 30.0) / np.expm1(1.0)
    if name == "plateau":
        return np.minimum(k / 500.0, 1.0)
    if name == "repeated":
        return -np.minimum((k + 1) / 5.0, 1.0)
    if name == "variance":
        # noise of this sd on top of the run's own: the caller draws it
        return np.ones(n)
    raise KeyError(kind)
