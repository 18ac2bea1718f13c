"""Last value: the loss stays what it is. Doubt grows as a random walk's over the rows ahead."""

from __future__ import annotations

import numpy as np

from bayeslaw.baselines.base import Answer, Ask, NotApplicable, axis_of


def last_value(ask: Ask) -> Answer:
    """The run's last known loss; for a run of which nothing is known, the last of its mates'.

    Draws are normal around it: the sd of one row's change, times the root of the rows ahead (the naive forecast of
    Hyndman and Athanasopoulos 2021, section 5.5). For an unknown run the sd is that between its mates' last losses.
    """
    answer = Answer.empty(ask)
    for _, where, own, mates in ask.targets():
        source = own if len(own) else mates
        if not len(source):
            raise NotApplicable("Nothing like these runs was seen.")
        last = source.groupby("run")["loss"].last().to_numpy(float)
        if len(own) >= 3:
            axis = axis_of(own)
            x, loss = own[axis].to_numpy(float), own["loss"].to_numpy(float)
            rows = np.maximum((ask.at[axis].to_numpy(float)[where] - x[-1]) / np.median(np.diff(x)), 1.0)
            sd = np.std(np.diff(loss)) * np.sqrt(rows)
        else:
            sd = np.full(len(where), max(float(np.std(last)), 0.01 * float(last.mean())))
        draws = last.mean() + sd * ask.rng.standard_normal((ask.draws, 1))
        answer.curve[:, where] = draws
        answer.observed[:, where] = draws
        answer.centre[where] = last.mean()
    return answer
