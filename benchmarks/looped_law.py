"""The law of Zhu et al. 2025 (Ouro, arXiv 2510.25741) as the paper fits it: a point, by least squares.

Total loss: ``E + A/(N+t1)^a + B/(D+t2)^b + C/(T_m+t3)^c`` over all depths at once. Step-wise: T in place of T_m, one
law for each T_m (and one over all of them for a T_m of which nothing was seen). The predictive is normal about the
point, its sd that of the rows' residuals.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import least_squares

CENTRE = (4e4, 6e5, 2.0)  # parameters, tokens, steps: where amplitudes are nats
STARTS = (
    (0.2, -0.7, -1.0, -2.0, -0.7, -0.7, -2.0, -2.0, -0.5, -1.0),
    (0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -3.0, 1.0, 1.0),
)
EVERY = 10


def _loss(p: np.ndarray, x: np.ndarray) -> np.ndarray:
    e = np.exp(p)
    terms = [e[1 + 3 * i] * (x[:, i] + e[3 + 3 * i]) ** -e[2 + 3 * i] for i in range(3)]
    return e[0] + terms[0] + terms[1] + terms[2]


def _x(kind: str, frame: Any) -> np.ndarray:
    depth = "exit_step" if kind == "steps" else "recurrence"
    return frame[["n_params", "tokens", depth]].to_numpy(float) / CENTRE


def _one(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    best = None
    for start in STARTS:
        error = lambda p: np.nan_to_num(_loss(p, x) - y, nan=10.0, posinf=10.0)  # noqa: E731
        found = least_squares(error, np.array(start), bounds=(-12, 6), max_nfev=200)
        best = found if best is None or found.cost < best.cost else best
    assert best is not None
    return best.x, float(np.sqrt(2 * best.cost / max(len(y) - 10, 1)))


def point_fit(kind: str, frame: Any) -> dict[float, tuple[np.ndarray, float]]:
    """Depth (0: all together) to the point and its residual sd, fitted to every tenth row."""
    rows = frame[frame["step"] % EVERY == 0]
    out = {0.0: _one(_x(kind, rows), rows["loss"].to_numpy())}
    if kind == "steps":
        for depth, mine in rows.groupby("recurrence"):
            out[float(depth)] = _one(_x(kind, mine), mine["loss"].to_numpy())
    return out


def predict(kind: str, point: dict[float, tuple[np.ndarray, float]], at: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of every row of ``at``."""
    x, depth = _x(kind, at), at["recurrence"].to_numpy(float)
    mean, sd = np.empty(len(at)), np.empty(len(at))
    for one in np.unique(depth):
        p, spread = point.get(one, point[0.0])
        mine = depth == one
        mean[mine], sd[mine] = _loss(p, x[mine]), spread
    return mean, sd
