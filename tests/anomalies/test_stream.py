"""One run as a monitor follows it: where along the run a row stands."""

import math

from bayeslaw.anomalies.stream import Stream


def places(*rows):
    stream = Stream("a", 1e-3)
    return [stream.place(float(step), tokens) for step, tokens in rows]


def test_tokens_that_are_missing_or_rounded_advance_as_the_steps_do():
    assert places((10, 1e6), (15, math.nan), (30, 1.5e6), (40, 5e6)) == [1e6, 1.5e6, 3e6, 5e6]


def test_a_run_that_begins_without_tokens_stands_at_its_steps():
    assert places((10, math.nan), (20, 2e6)) == [10, 20]
