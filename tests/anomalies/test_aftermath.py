"""After an event: what it costs at the end, whether to roll back, and forecasts that go past it."""

import numpy as np
import pytest

from bayeslaw.anomalies import aftermath, past_events
from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError

STEPS = 1500


@pytest.fixture(scope="module")
def spoiled(make_family):
    """A benign spike in r0 after step 800, one that leaves 0.05 nats in r1 after step 1000."""
    frame = make_family(4, STEPS)
    for run, start, stays in (("r0", 800, 0.0), ("r1", 1000, 0.05)):
        values = 0.4 * np.exp(-np.arange(STEPS - start) / 8) + stays
        frame.loc[(frame["run"] == run) & (frame["step"] > start), "loss"] += values
    return frame


@pytest.fixture(scope="module")
def result(spoiled):
    from bayeslaw.anomalies import anomalies

    return anomalies(Runs.from_frame(spoiled))


def event_of(result, run):
    return int(np.flatnonzero(result.frame["run"] == run)[0])


def test_an_excess_that_stays_makes_the_end_worse(result):
    after = aftermath(result, event_of(result, "r1"), end=20_000)
    assert after.worse > 0.95
    # uniform between none and all of 0.05 nats
    assert after.go_on == pytest.approx(0.025, abs=0.004)
    assert 0.0 < after.go_on_lo90 < 0.006
    assert after.go_on_hi90 == pytest.approx(0.0475, abs=0.006)


def test_one_that_recovered_does_not(result):
    after = aftermath(result, event_of(result, "r0"), end=20_000)
    assert after.worse < 0.05
    assert after.go_on == pytest.approx(0.0, abs=0.002)
    assert after.roll_back_better < 0.05
    assert after.message.endswith("go on.")


def test_rolling_back_costs_the_slope_of_the_curve(result):
    """The loss falls as 8 (step + 20)^-0.35: what the steps lost are worth at the end, at the present slope."""
    early = aftermath(result, event_of(result, "r1"), end=20_000, checkpoint=500)
    slope = 8 * 0.35 * 770**-0.35
    assert early.steps_lost == 1000
    assert early.tokens_lost == pytest.approx(1000 * 1e5)
    assert early.roll_back == pytest.approx(slope * np.log(20_000 / 19_000), rel=0.25)


def test_the_same_event_is_worth_rolling_back_when_training_is_cheap(result):
    far = aftermath(result, event_of(result, "r1"), end=200_000)
    near = aftermath(result, event_of(result, "r1"), end=STEPS, checkpoint=10)
    assert far.roll_back_better > 0.9
    assert "roll back." in far.message
    assert near.roll_back_better < 0.05
    assert far.steps_to_make_up > 0


def test_forecasts_go_past_an_event(result, spoiled):
    kept = past_events(Runs.from_frame(spoiled), result.frame)
    gone = STEPS * 4 - len(kept.frame)
    assert 10 < gone < 200
    peak = spoiled.query("run == 'r0' and step == 801")["loss"].iloc[0]
    assert not np.isclose(kept.frame["loss"], peak).any()


def test_mistakes_are_named(result):
    with pytest.raises(DataError, match="counted from 0"):
        aftermath(result, 99, end=20_000)
    with pytest.raises(DataError, match="must lie before the event"):
        aftermath(result, 0, end=20_000, checkpoint=1200)
    with pytest.raises(DataError, match="before the last row"):
        aftermath(result, 0, end=700)


def test_nothing_is_weighed_of_what_has_no_size(make_family):
    """A run that ended in NaN is not one that "ends no worse than forecast"."""
    from bayeslaw.anomalies import anomalies

    frame = make_family(1, 400)
    frame.loc[frame["step"] > 300, "loss"] = np.nan
    found = anomalies(Runs.from_frame(frame))
    assert list(found.frame["kind"]) == ["nonfinite"]
    with pytest.raises(DataError, match=r"no size in nats .* roll back"):
        aftermath(found, 0, end=20_000)
