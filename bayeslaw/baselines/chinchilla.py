"""Chinchilla's approach 3: Huber error of the log loss, L-BFGS from many starts, bootstrap over runs."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from bayeslaw.baselines.base import REPLICATES, Answer, Ask, Frame, NotApplicable, fill, thin
from bayeslaw.laws.huber import DELTA, huber_error, log_loss

#: rows of a curve that are fitted, and points of the grid that are refined
ROWS_OF_A_RUN, REFINED = 40, 12
#: Hoffmann et al. 2022, section 3.3: log A, log B, log E, alpha, beta
GRID = list(itertools.product((0, 5, 10, 15, 20, 25), (0, 5, 10, 15, 20, 25), (-1, -0.5, 0, 0.5, 1),
                              (0.0, 0.5, 1.0, 1.5, 2.0), (0.0, 0.5, 1.0, 1.5, 2.0)))  # fmt: skip


def chinchilla(ask: Ask) -> Answer:
    """``E + A / N^alpha + B / D^beta`` per group, Hoffmann et al. 2022 (arXiv 2203.15556), approach 3.

    The replicates draw whole runs again, as Besiroglu et al. 2024 (arXiv 2404.10102) do with single points.
    """
    answer = Answer.empty(ask)
    for where, rows in groups(ask):
        if len(rows) < 6 or rows["n_params"].nunique() < 2:
            raise NotApplicable("Approach 3 needs six rows of two sizes at least.")
        x, y = _x(rows), np.log(rows["loss"].to_numpy(float))
        best = _fit(x, y, np.ones(len(y)), _starts(x, y))
        code = pd.factorize(rows["run"])[0]
        replicates = []
        for _ in range(REPLICATES):
            count = np.bincount(ask.rng.integers(code.max() + 1, size=code.max() + 1), minlength=code.max() + 1)
            replicates.append(_fit(x, y, count[code].astype(float), [best]))
        at = _x(ask.at.iloc[where])
        residuals = y - log_loss(best, x)[0]
        residuals *= np.sqrt(len(y) / max(len(y) - 5, 1))
        curves = np.exp(np.stack([log_loss(p, at)[0] for p in [best, *replicates]]))
        fill(answer, where, curves[0], curves[1:], residuals, ask)
    return answer


def groups(ask: Ask):
    """Positions in ``at`` and the rows to fit for them, group by group; a group that was not seen gets all rows."""
    for frame in (ask.learn, ask.at):
        for name in ("n_params", "tokens"):
            if name not in frame or bool(frame[name].isna().any()):
                raise NotApplicable(f"The law needs {name} in every row.")
    rows = pd.concat([ask.learn, ask.given], ignore_index=True) if len(ask.given) else ask.learn
    rows = thin(rows, ROWS_OF_A_RUN)
    if "group" not in rows or "group" not in ask.at:
        yield np.arange(len(ask.at)), rows
        return
    for group in ask.at["group"].unique():
        mine = rows[rows["group"] == group]
        yield np.flatnonzero(ask.at["group"] == group), mine if len(mine) > 4 else rows


def _x(frame: Frame) -> np.ndarray:
    return np.log(frame[["n_params", "tokens"]].to_numpy(float))


def _objective(p: np.ndarray, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray]:
    value, grad = huber_error(p, x, y, weight)
    # in units of the threshold: L-BFGS stops on absolute changes
    return value / DELTA**2, grad / DELTA**2


def _starts(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    one = np.ones(len(y))
    grid = [np.array(p, float) for p in GRID]
    return sorted(grid, key=lambda p: _objective(p, x, y, one)[0])[:REFINED]


def _fit(x: np.ndarray, y: np.ndarray, weight: np.ndarray, starts: list[np.ndarray]) -> np.ndarray:
    from scipy.optimize import minimize

    found = [
        minimize(_objective, p, args=(x, y, weight), jac=True, method="L-BFGS-B", options={"maxiter": 2000})
        for p in starts
    ]
    return min(found, key=lambda f: f.fun).x
