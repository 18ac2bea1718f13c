"""The bank: streams do not touch each other, state survives saving, siblings cut the noise."""

import json

import numpy as np
import pytest

from bayeslaw.anomalies.bank import Bank, State


def run(bank, loss, x, others=None):
    return [bank.step(loss[k], x[k], None if others is None else others[k]) for k in range(len(loss))]


def table(make_family, runs, steps):
    frame = make_family(runs, steps)
    loss = frame.pivot(index="step", columns="run", values="loss").to_numpy()
    return loss, np.repeat(np.arange(1.0, steps + 1)[:, None], runs, 1)


def test_streams_are_independent(make_family):
    loss, x = table(make_family, 3, 300)
    together = run(Bank(3), loss, x)
    alone = run(Bank(1), loss[:, 1:2], x[:, 1:2])
    assert np.array([s.z[1] for s in together]) == pytest.approx(np.array([s.z[0] for s in alone]))


def test_state_survives_json(make_family):
    loss, x = table(make_family, 2, 250)
    others = loss[:, ::-1, None]
    whole, first = Bank(2, 1), Bank(2, 1)
    expected = run(whole, loss, x, others)
    run(first, loss[:120], x[:120], others[:120])
    second = Bank(2, 1)
    second.state = State.from_json(json.loads(json.dumps(first.state.to_json())), 2, 1)
    rest = run(second, loss[120:], x[120:], others[120:])
    assert np.array_equal([s.total for s in rest], [s.total for s in expected[120:]])


def test_siblings_cut_the_noise(make_family):
    loss, x = table(make_family, 3, 800)
    alone = run(Bank(1), loss[:, :1], x[:, :1])[-1]
    shared = run(Bank(1, 2), loss[:, :1], x[:, :1], loss[:, None, 1:])[-1]
    assert shared.shared[0]
    assert not alone.shared[0]
    assert shared.scale[0] == pytest.approx(0.004 * np.sqrt(1.5), rel=0.2)
    assert alone.scale[0] > 10 * shared.scale[0]


def test_a_sibling_that_stops_is_done_without(make_family):
    loss, x = table(make_family, 2, 600)
    others = loss[:, 1:, None].copy()
    others[400:] = np.nan
    steps = run(Bank(1, 1), loss[:, :1], x[:, :1], others)
    assert steps[399].shared[0]
    assert not steps[400].shared[0]
    assert not any(s.alarm[0] for s in steps[395:])


def test_a_sibling_that_goes_wrong_is_not_this_runs_fault(make_family):
    loss, x = table(make_family, 3, 700)
    others = loss[:, None, 1:].copy()
    others[500:, :, 0] += 3.0
    steps = run(Bank(1, 2), loss[:, :1], x[:, :1], others)
    assert not any(s.alarm[0] for s in steps[450:])


@pytest.mark.parametrize("lasts", [100, 2000])
def test_a_sibling_after_its_event_measures_as_before(make_family, lasts):
    """A spike of a sibling, or a shift that stays, does not bend the level that the run has against it."""
    loss, x = table(make_family, 3, 1900)
    since = np.arange(1.0, 1901) - 700
    bump = np.where(since > 0, 0.25 * np.exp(-since / 40) if lasts == 100 else 0.25, 0.0)
    others = loss[:, None, 1:].copy()
    others[:, 0, 0] += bump
    mine = loss[:, :1].copy()
    mine[1500:1700] += 0.05
    steps = run(Bank(1, 2), mine, x[:, :1], others)
    assert not any(s.alarm[0] for s in steps[400:1500])
    found = np.mean([mine[k, 0] - steps[k].expected[0] for k in range(1500, 1700)])
    assert found == pytest.approx(0.05, abs=0.002)


def test_an_event_of_one_sibling_is_not_mirrored(make_family):
    """Sizes below the run's own noise, where its own curve says nothing: two siblings tell whose it is."""
    loss, x = table(make_family, 3, 800)
    for height in (0.02, 0.05, -0.05):
        others = loss[:, None, 1:].copy()
        others[600:640, :, 0] += height
        steps = run(Bank(1, 2), loss[:, :1], x[:, :1], others)
        assert not any(s.alarm[0] for s in steps[400:]), height
        mine = loss[:, :1].copy()
        mine[600:640] += height
        steps = run(Bank(1, 2), mine, x[:, :1], loss[:, None, 1:])
        assert any(s.alarm[0] for s in steps[600:640]), height


def test_a_log_that_turns_coarser_raises_no_shifts():
    """Every step, then every tenth: 200 rows now reach back to where the curve was much steeper."""
    rng, streams, alarms = np.random.default_rng(0), 20, 0
    bank = Bank(streams)
    for step in [*range(1, 2501), *range(2510, 6001, 10)]:
        loss = 2 + 8 * (step + 20.0) ** -0.35 + 0.01 * rng.standard_normal(streams)
        alarms += int(bank.step(loss, np.full(streams, float(step))).alarm.sum())
    assert alarms <= 1
