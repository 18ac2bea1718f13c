"""Power law: ``L0 + A x^-alpha`` in steps (or tokens), or in the learning rate summed over them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayeslaw.baselines.base import Answer, Ask, Frame, NotApplicable, axis_of, fill, point_fit, residual_bootstrap

#: log of the share of the loss that stays, log of what goes at the middle row, log alpha
STARTS = ((-0.1, -1.5, -0.7), (-0.3, -1.0, -1.2), (-0.05, -2.5, -0.3))


def power_law(ask: Ask) -> Answer:
    """Fitted to the run's own prefix where there is one, else to its mates; residual bootstrap."""
    axis = axis_of(ask.learn, ask.at)
    return _forecast(ask, lambda frame: frame[axis].to_numpy(float))


def power_law_lr(ask: Ask) -> Answer:
    """As ``power_law``, in the summed learning rate."""
    if not ask.schedules:
        raise NotApplicable("The learning rates are not known.")

    def summed(frame: Frame) -> np.ndarray:
        out = np.empty(len(frame))
        runs, steps = frame["run"].astype(str).to_numpy(), frame["step"].to_numpy(float)
        for run in set(runs):
            out[runs == run] = ask.schedules[run].sums(steps[runs == run])
        return out

    axis_of(ask.learn[["step"]], ask.at[["step"]])
    return _forecast(ask, summed)


def _forecast(ask: Ask, x_of: Callable[[Frame], np.ndarray]) -> Answer:
    answer, done = Answer.empty(ask), {}
    for _, where, own, mates in ask.targets():
        source = own if len(own) > len(STARTS[0]) else mates
        key = tuple(source.index)
        x, y = x_of(source), source["loss"].to_numpy(float)
        if np.unique(x).size < 4:
            raise NotApplicable("A power law needs four rows at different x.")
        middle, scale = float(np.median(x)), float(y.min())

        def curve(p, x=x, middle=middle, scale=scale):
            return scale * (np.exp(p[0]) + np.exp(p[1]) * (x / middle) ** -np.exp(p[2]))

        if key not in done:
            point = point_fit(curve, STARTS, y)
            done[key] = point, residual_bootstrap(curve, point, ask.rng)
        point, replicates = done[key]
        at = x_of(ask.at.iloc[where])
        fill(answer, where, curve(point.p, at), np.stack([curve(p, at) for p in replicates]), point.residuals, ask)
    return answer
