"""What is said of an event while it is open, and where one ends and the next begins."""

import numpy as np
import pytest

from bayeslaw.anomalies.monitor import Monitor

ROWS = 600


def watched(spoil, rows=ROWS, seed=3):
    """Events of a healthy curve of noise 0.1 nats and ``spoil`` (rows,) on top, as they were told."""
    step = np.arange(1.0, rows + 1)
    loss = 3 + 8 * (step + 20) ** -0.35 + 0.1 * np.random.default_rng(seed).standard_normal(rows)
    monitor = Monitor()
    return [e for s, y in zip(step, loss + spoil, strict=True) for e in monitor.push("r", s, y)], monitor


@pytest.mark.parametrize("tau", [2, 6, 12])
def test_an_open_spike_is_not_said_to_have_recovered(tau):
    off = np.zeros(ROWS)
    off[500:] = 3 * np.exp(-np.arange(100) / tau)
    found, _ = watched(off)
    assert [(e.kind, e.open) for e in found] == [("spike", True), ("spike", False)]
    assert "not known yet" in found[0].message
    assert "recover" not in found[0].message.replace("Whether it recovers is not known yet", "")
    assert "It has recovered; go on." in found[1].message


def test_what_turns_out_to_stay_is_told_while_it_is_open():
    off = np.zeros(ROWS)
    off[500:] = 3.0
    found, monitor = watched(off)
    assert [(e.kind, e.open) for e in found] == [("spike", True), ("level_up", True)]
    assert len({e.seen_at for e in found}) == 1
    assert "the run is 3.07 nats worse" in found[1].message
    # nothing more is told of what stays the same
    assert [(e.kind, e.open) for e in monitor.finish()] == [("level_up", True)]


@pytest.mark.parametrize("gap", [12, 20, 60])
def test_a_single_loss_and_a_later_step_are_two_events(gap):
    off = np.zeros(ROWS)
    off[450] = 2.0
    off[450 + gap :] = 0.6
    found, monitor = watched(off)
    last = {e.seen_at: e for e in found + monitor.finish()}
    assert [(e.kind, e.start_step) for e in last.values()] == [("point", 451), ("level_up", 451 + gap)]
    assert max(last) <= 451 + gap + 5


def test_a_spike_with_a_second_bump_on_its_way_down_stays_one():
    off = np.zeros(ROWS)
    off[500:] = 4 * np.exp(-np.arange(100) / 25)
    off[510:513] += 2.0
    found, monitor = watched(off)
    assert len({e.seen_at for e in found + monitor.finish()}) == 1


@pytest.mark.parametrize(("rate", "kind"), [(0.06, "divergence"), (0.004, "drift")])
def test_a_loss_that_climbs_fast_to_the_end_diverges(rate, kind):
    off = np.zeros(ROWS)
    off[500:] = rate * np.arange(100)
    found, monitor = watched(off)
    event = (found + monitor.finish())[-1]
    assert event.kind == kind
    assert ("Stop, roll back" in event.message) == (kind == "divergence")
