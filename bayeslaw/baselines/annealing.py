"""Annealing laws as point fits: ``L0 + A S1^-alpha - gain``, the gain learnt from the family of schedules.

A constant rate says nothing about the gain, so it is fitted to the run's mates, and L0, A and alpha again to the
run's own prefix; where that spans less than a factor of two in the summed rate, only its level.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bayeslaw.baselines.base import Answer, Ask, Frame, NotApplicable, Point, fill, point_fit, residual_bootstrap
from bayeslaw.laws.schedule import ETA_FLOOR, Schedule
from bayeslaw.laws.schedule_updates import tissue_s2

Rows = Mapping[str, np.ndarray]
SEGMENTS = 64
#: log L0, log A and log alpha, from where fits of public curves lie
HEADS = ((1.0, -0.5, -0.7), (1.0, -0.5, -1.0), (0.8, -1.0, -0.5))
#: fits of families, which many forecasts share
_DONE: dict[bytes, tuple[Point, np.ndarray]] = {}


@dataclass(frozen=True)
class Gain:
    """``terms(q, rows)``: the gain (n,) in nats for its own parameters q, and its derivatives (n, k) by them;
    ``starts`` for q."""

    name: str
    terms: Callable[[np.ndarray, Rows], tuple[np.ndarray, np.ndarray]]
    starts: Sequence[Sequence[float]]


def rows_of(frame: Frame, schedules: Mapping[str, Schedule], lam: float | None) -> Rows:
    """What the laws read of each row: ``S1`` and ``S2`` (for lam), (n,); and of all drops of its schedule so far, one
    after the other, ``drop``, ``log_eta``, ``since`` and ``row``, the row that each belongs to."""
    if "step" not in frame or not schedules:
        raise NotApplicable("An annealing law needs steps and learning rates.")
    runs, steps = frame["run"].astype(str).to_numpy(), frame["step"].to_numpy(float)
    s1, s2 = np.empty(len(frame)), np.zeros(len(frame))
    parts: dict[str, list[np.ndarray]] = {"drop": [], "log_eta": [], "since": [], "row": []}
    for run in dict.fromkeys(runs):
        mine, s = np.flatnonzero(runs == run), schedules[run]
        t, seg = steps[mine], s.segments(SEGMENTS)
        s1[mine] = s.sums(t)
        if lam is not None:
            s2[mine] = tissue_s2(s, t, lam)
        h = seg["seg_step1"] - seg["seg_step0"]
        n = np.clip(t[:, None] - seg["seg_step0"], 0.0, h)
        covered = np.clip(s1[mine][:, None] - seg["seg_S0"], 0.0, seg["seg_S1"] - seg["seg_S0"])
        middle = covered * np.maximum(n - 1, 0.0) / (2 * np.maximum(n, 1.0))
        drop = seg["seg_drop"] * n / h
        i, k = np.nonzero(drop)
        parts["drop"].append(drop[i, k])
        parts["log_eta"].append(np.log(np.maximum(seg["seg_eta"] + seg["seg_drop"] * (1 - n / h) / 2, ETA_FLOOR))[i, k])
        parts["since"].append(np.maximum(s1[mine][:, None] - seg["seg_S0"] - middle, 0.0)[i, k])
        parts["row"].append(mine[i])
    return {"S1": s1, "S2": s2, **{name: np.concatenate(v) for name, v in parts.items()}}


def loss(p: np.ndarray, gain: Gain, rows: Rows) -> np.ndarray:
    """``exp(p0) + exp(p1) S1^-exp(p2) - gain(p[3:])``."""
    return np.exp(p[0]) + np.exp(p[1]) * rows["S1"] ** -np.exp(p[2]) - gain.terms(p[3:], rows)[0]


def slope(p: np.ndarray, gain: Gain, rows: Rows) -> np.ndarray:
    """Derivatives (n, 3 + k) of ``loss``."""
    term = np.exp(p[1]) * rows["S1"] ** -np.exp(p[2])
    head = [np.full(len(term), np.exp(p[0])), term, -term * np.exp(p[2]) * np.log(rows["S1"])]
    return np.column_stack([*head, -gain.terms(p[3:], rows)[1]])


def annealing(ask: Ask, gain: Gain, lam: float | None = None) -> Answer:
    """Fit the law to each target's mates, and to its own prefix, and forecast."""
    answer = Answer.empty(ask)
    for _, where, own, mates in ask.targets():
        alone = not len(mates)
        point, replicates = _family(own if alone else mates, gain, lam, ask)
        if len(own) > 3 and not alone:
            point, replicates = _continued(own, gain, lam, point, replicates, ask)
        at = rows_of(ask.at.iloc[where], ask.schedules, lam)
        curves = np.stack([loss(p, gain, at) for p in [point.p, *replicates]])
        fill(answer, where, curves[0], curves[1:], point.residuals, ask)
    return answer


def _family(mates: Frame, gain: Gain, lam: float | None, ask: Ask) -> tuple[Point, np.ndarray]:
    """The point fit of the mates and its replicates: a function of the mates alone, so that it is made once."""
    rows, y = rows_of(mates, ask.schedules, lam), mates["loss"].to_numpy(float)
    if not len(rows["drop"]):
        raise NotApplicable("No rate ever falls among the runs seen, so nothing tells the gain.")
    digest = hashlib.sha256(gain.name.encode() + y.tobytes() + b"".join(rows[k].tobytes() for k in sorted(rows)))
    key = digest.digest()
    if key not in _DONE:
        rng = np.random.default_rng(int.from_bytes(key[:8], "little"))
        curve, by = functools.partial(loss, gain=gain, rows=rows), functools.partial(slope, gain=gain, rows=rows)
        point = point_fit(curve, [(*head, *start) for head in HEADS for start in gain.starts], y, slope=by)
        _DONE[key] = point, residual_bootstrap(curve, point, rng, slope=by)
    return _DONE[key]


def _continued(own: Frame, gain: Gain, lam: float | None, point: Point, family: np.ndarray, ask: Ask):
    """The fit of the family taken over to the prefix: the gain stays, the rest is fitted again."""
    rows, y = rows_of(own, ask.schedules, lam), own["loss"].to_numpy(float)
    free = 3 if len(y) > 6 and rows["S1"].max() > 2 * rows["S1"].min() else 1

    def refit(p: np.ndarray, starts: list, y: np.ndarray) -> Point:
        rest = p[free:]
        found = point_fit(
            lambda head: loss(np.concatenate([head, rest]), gain, rows), starts, y,
            slope=lambda head: slope(np.concatenate([head, rest]), gain, rows)[:, :free],
        )  # fmt: skip
        return Point(np.concatenate([found.p, rest]), found.residuals)

    own_fit = refit(point.p, [point.p[:free], *(HEADS if free == 3 else ())], y)
    level, out = loss(own_fit.p, gain, rows), []
    for p in family:
        again = level * np.exp(ask.rng.choice(own_fit.residuals, len(y)))
        out.append(refit(p, [own_fit.p[:free] if free == 3 else p[:1]], again).p)
    return own_fit, np.array(out)
