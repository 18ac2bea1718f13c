"""What a baseline is asked and what it answers, and the point fits with residual bootstrap that most of them are.

To add one, write a file of this folder with a function ``Ask → Answer`` that raises ``NotApplicable`` where it has
nothing to say, and a line in ``bayeslaw/baselines/__init__.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.errors import FitError
from bayeslaw.laws import Schedule
from bayeslaw.laws.huber import DELTA

#: a pandas DataFrame; its stubs lose track of what a selection returns
Frame = Any
#: rows of one run that a baseline looks at, evenly spaced; replicates of a bootstrap
MOST_ROWS, REPLICATES = 600, 100
SAME_SIZE = 0.02


class NotApplicable(FitError):
    """A baseline cannot say anything about these runs: a column is missing, or too little was seen."""


@dataclass(frozen=True)
class Ask:
    """The question.

    ``learn`` and ``given`` are tables with losses (``given``: prefixes of runs asked for), ``at`` the rows asked for;
    ``schedules`` by run; ``draws`` and ``rng`` for the answer."""

    learn: Frame
    given: Frame
    at: Frame
    draws: int
    rng: np.random.Generator
    schedules: Mapping[str, Schedule] = field(default_factory=dict)

    def targets(self) -> Iterator[tuple[str, np.ndarray, Frame, Frame]]:
        """Per run asked for: its name, its positions in ``at``, its own known rows, and those of its mates.

        Mates are the other runs of its group with its size, or of the nearest size there is.
        """
        known = pd.concat([self.learn, self.given], ignore_index=True) if len(self.given) else self.learn
        names = self.at["run"].astype(str).to_numpy()
        known_names = known["run"].astype(str).to_numpy()
        for run in dict.fromkeys(names):
            where = np.flatnonzero(names == run)
            own = known[known_names == run]
            yield run, where, thin(own), self._mates(self.at.iloc[where[0]], known[known_names != run])

    def _mates(self, row: Any, others: Frame) -> Frame:
        if "group" in others and "group" in row and (others["group"] == row["group"]).any():
            others = others[others["group"] == row["group"]]
        if len(others) and "n_params" in others and pd.notna(row.get("n_params")):
            distance = np.abs(np.log(others["n_params"].to_numpy(float) / float(row["n_params"])))
            others = others[distance <= np.nanmin(distance) + SAME_SIZE]
        return thin(others)


@dataclass(frozen=True)
class Answer:
    """Draws (S, rows) of the ``curve`` and of ``observed`` losses, and the ``centre`` (rows,), which is the point fit's
    own curve; nats per token."""

    curve: np.ndarray
    observed: np.ndarray
    centre: np.ndarray

    @classmethod
    def empty(cls, ask: Ask) -> Answer:
        """An answer still to be filled in."""
        shape = (ask.draws, len(ask.at))
        return cls(np.full(shape, np.nan), np.full(shape, np.nan), np.full(len(ask.at), np.nan))


def thin(frame: Frame, most: int = MOST_ROWS) -> Frame:
    """At most ``most`` rows of each run, evenly spaced, the last one among them."""
    if not len(frame) or frame.groupby("run").size().max() <= most:
        return frame
    place = frame.groupby("run").cumcount().to_numpy()
    size = frame.groupby("run")["run"].transform("size").to_numpy()
    return frame[np.floor((place + 1) * most / size) > np.floor(place * most / size)]


def axis_of(*frames: Frame) -> str:
    """``step``, else ``tokens``: the first that every frame knows; NotApplicable if none does."""
    for name in ("step", "tokens"):
        if all(name in f and bool((f[name] > 0).all()) for f in frames):
            return name
    raise NotApplicable("A curve needs a step or tokens above 0 in every row.")


Curve = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Point:
    """A point fit: its parameters ``p``, and the residuals of the log loss, widened for the degrees of freedom."""

    p: np.ndarray
    residuals: np.ndarray


def point_fit(curve: Curve, starts: Sequence[Any], y: np.ndarray, *, slope: Curve | None = None) -> Point:
    """Least Huber error of the log loss, the best of several starts.

    ``curve(p)`` gives losses (n,), ``slope(p)`` their derivatives (n, k), taken by differences if left out.
    NotApplicable if there are fewer points than parameters, or no start leads anywhere.
    """
    from scipy.optimize import least_squares

    count = len(starts[0])
    if len(y) <= count:
        raise NotApplicable(f"{len(y)} points are too few for {count} parameters.")
    log_y, best = np.log(y), None

    def error(p):
        with np.errstate(all="ignore"):
            return np.nan_to_num(np.log(np.maximum(curve(p), 1e-3)) - log_y, nan=10.0, posinf=10.0, neginf=-10.0)

    def error_slope(p):
        assert slope is not None
        with np.errstate(all="ignore"):
            return np.nan_to_num(slope(p) / np.maximum(curve(p), 1e-3)[:, None], posinf=1e6, neginf=-1e6)

    for start in starts:
        jac: Any = "2-point" if slope is None else error_slope
        found = least_squares(error, np.asarray(start, float), jac=jac, loss="huber", f_scale=DELTA, max_nfev=300)
        if best is None or found.cost < best.cost:
            best = found
    if best is None or not np.isfinite(best.cost):
        raise NotApplicable("No start led to a fit.")
    residuals = log_y - np.log(np.maximum(curve(best.x), 1e-3))
    return Point(best.x, (residuals - residuals.mean()) * np.sqrt(len(y) / (len(y) - count)))


def residual_bootstrap(
    curve: Curve, point: Point, rng: np.random.Generator, *, slope: Curve | None = None, replicates: int = REPLICATES
) -> np.ndarray:
    """Parameters (replicates, k) fitted again to the curve with its residuals drawn anew, independently."""
    level = curve(point.p)
    out = []
    for _ in range(replicates):
        y = level * np.exp(rng.choice(point.residuals, len(level)))
        out.append(point_fit(curve, [point.p], y, slope=slope).p)
    return np.array(out)


def fill(
    answer: Answer, where: np.ndarray, centre: np.ndarray, curves: np.ndarray, residuals: np.ndarray, ask: Ask
) -> None:
    """Put a point fit's curve (rows,) and its replicates (replicates, rows) into an answer, with residuals on top."""
    pick = ask.rng.integers(len(curves), size=ask.draws)
    answer.centre[where] = centre
    answer.curve[:, where] = curves[pick]
    answer.observed[:, where] = curves[pick] * np.exp(ask.rng.choice(residuals, (ask.draws, len(where))))
