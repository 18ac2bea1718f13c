"""What a forecast is told of the learning rates it had to guess."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.engine.question import _guessed
from bayeslaw.laws import Schedule

COSINE = Schedule.cosine(3e-4, 24_000, 2_000)


def rows(steps, schedule=COSINE):
    steps = np.asarray(steps, float)
    return pd.DataFrame({"run": "a", "step": steps, "lr": schedule.rate(steps)})


PREFIX = np.arange(2_000, 8_001, 100)


def test_a_prefix_and_an_end_leave_the_rates_between_to_a_guess():
    (note,) = _guessed([rows(PREFIX), rows([24_000])], ["a"], {})
    assert note == (
        "No row of run 'a' says its learning rate between steps 8,000 and 24,000, where it goes from 0.000253 to "
        "3e-05: a straight line was taken for it. Ask for rows in between as well, or declare the schedule."
    )
    # the same of a run whose history the fit knows
    assert _guessed([rows([24_000])], ["a"], {"a": Schedule.from_rows(PREFIX, COSINE.rate(PREFIX))})


@pytest.mark.parametrize(
    "frames",
    [
        [rows(PREFIX), rows(np.linspace(8_000, 24_000, 30).round())],
        [rows(np.arange(2_000, 24_001, 100))],
        [rows(np.arange(2_000, 24_001, 2_000))],
        [rows(PREFIX, Schedule.constant(3e-4, 24_000, 2_000)), rows([24_000], Schedule.constant(3e-4, 24_000, 2_000))],
        [rows(PREFIX).drop(columns="lr"), rows([24_000])],
        [rows(PREFIX), rows([24_000]).assign(run="b")],
    ],
)
def test_rates_that_rows_tell_are_no_guess(frames):
    assert _guessed(frames, ["a"], {}) == []
