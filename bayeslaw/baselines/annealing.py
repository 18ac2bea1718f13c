"""Annealing laws as point fits: ``L0 + A S1^-alpha - gain``, the gain learnt from the family of schedules.

A constant rate says nothing about the gain, so it is fitted to the run's mates, and L0, A and alpha again to the
run's own prefix; where that spans less than a factor of two in the summed rate, only its level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bayeslaw.baselines.base import Answer, Ask, Frame, NotApplicable, Point, fill, point_fit, residual_bootstrap
from bayeslaw.laws.schedule import ETA_FLOOR, Schedule

Rows = Mapping[str, np.ndarray]
SEGMENTS = 64
#: log L0, log A and log alpha, from where fits of public curves lie
HEADS = ((1.0, -0.5, -0.7), (1.0, -0.5, -1.0), (0.8, -1.0, -0.5))


@dataclass(frozen=True)
class Gain:
    """``value(q, rows)`` in nats, given its own parameters q; ``starts`` for them."""

    value: Callable[[np.ndarray, Rows], np.ndarray]
    starts: Sequence[Sequence[float]]


def rows_of(frame: Frame, schedules: Mapping[str, Schedule], lam: float | None) -> Rows:
    """Per row: ``S1`` (n,), and of its schedule's drops so far ``drop``, ``eta``, ``since`` (n, m); ``S2`` for lam."""
    if "step" not in frame or not schedules:
        raise NotApplicable("An annealing law needs steps and learning rates.")
    runs, steps = frame["run"].astype(str).to_numpy(), frame["step"].to_numpy(float)
    out = {"S1": np.empty(len(frame)), "S2": np.empty(len(frame))}
    out |= {k: np.empty((len(frame), SEGMENTS)) for k in ("drop", "eta", "since")}
    for run in dict.fromkeys(runs):
        mine, s = runs == run, schedules[run]
        t, seg = steps[mine], s.segments(SEGMENTS)
        s1 = s.sums(t)
        h = seg["seg_step1"] - seg["seg_step0"]
        n = np.clip(t[:, None] - seg["seg_step0"], 0.0, h)
        covered = np.clip(s1[:, None] - seg["seg_S0"], 0.0, seg["seg_S1"] - seg["seg_S0"])
        middle = covered * np.maximum(n - 1, 0.0) / (2 * np.maximum(n, 1.0))
        out["S1"][mine] = s1
        out["drop"][mine] = seg["seg_drop"] * n / h
        out["eta"][mine] = np.maximum(seg["seg_eta"] + seg["seg_drop"] * (1 - n / h) / 2, ETA_FLOOR)
        out["since"][mine] = np.maximum(s1[:, None] - seg["seg_S0"] - middle, 0.0)
        out["S2"][mine] = 0.0 if lam is None else s.tissue_s2(t, lam)
    return out


def loss(p: np.ndarray, gain: Gain, rows: Rows) -> np.ndarray:
    """``exp(p0) + exp(p1) S1^-exp(p2) - gain(p[3:])``."""
    return np.exp(p[0]) + np.exp(p[1]) * rows["S1"] ** -np.exp(p[2]) - gain.value(p[3:], rows)


def annealing(ask: Ask, gain: Gain, lam: float | None = None) -> Answer:
    """Fit the law to each target's mates, and to its own prefix, and forecast."""
    answer, done = Answer.empty(ask), {}
    for _, where, own, mates in ask.targets():
        alone = not len(mates)
        source = own if alone else mates
        key = tuple(source.index)
        if key not in done:
            done[key] = _family(source, gain, lam, ask)
        point, replicates = done[key]
        if len(own) > 3 and not alone:
            point, replicates = _continued(own, gain, lam, point, replicates, ask)
        at = rows_of(ask.at.iloc[where], ask.schedules, lam)
        curves = np.stack([loss(p, gain, at) for p in [point.p, *replicates]])
        fill(answer, where, curves[0], curves[1:], point.residuals, ask)
    return answer


def _family(mates: Frame, gain: Gain, lam: float | None, ask: Ask) -> tuple[Point, np.ndarray]:
    rows, y = rows_of(mates, ask.schedules, lam), mates["loss"].to_numpy(float)
    if not len(y) or not np.abs(rows["drop"]).max() > 0:
        raise NotApplicable("No rate ever falls among the runs seen, so nothing tells the gain.")

    def curve(p):
        return loss(p, gain, rows)

    point = point_fit(curve, [(*head, *start) for head in HEADS for start in gain.starts], y)
    return point, residual_bootstrap(curve, point, ask.rng)


def _continued(own: Frame, gain: Gain, lam: float | None, point: Point, family: np.ndarray, ask: Ask):
    """The fit of the family taken over to the prefix: the gain stays, the rest is fitted again."""
    rows, y = rows_of(own, ask.schedules, lam), own["loss"].to_numpy(float)
    free = 3 if len(y) > 6 and rows["S1"].max() > 2 * rows["S1"].min() else 1

    def refit(p: np.ndarray, starts: list, y: np.ndarray) -> Point:
        found = point_fit(lambda head: loss(np.concatenate([head, p[free:]]), gain, rows), starts, y)
        return Point(np.concatenate([found.p, p[free:]]), found.residuals)

    own_fit = refit(point.p, [point.p[:free], *(HEADS if free == 3 else ())], y)
    level, out = loss(own_fit.p, gain, rows), []
    for p in family:
        again = level * np.exp(ask.rng.choice(own_fit.residuals, len(y)))
        out.append(refit(p, [own_fit.p[:free] if free == 3 else p[:1]], again).p)
    return own_fit, np.array(out)
