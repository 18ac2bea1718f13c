"""One stream in plain numbers says what the bank says, row by row, whatever the siblings do."""

import json
import math

import numpy as np
import pytest

from bayeslaw.anomalies import noise, single
from bayeslaw.anomalies.bank import Bank
from bayeslaw.anomalies.evidence import KINDS
from bayeslaw.anomalies.live import Live


def table(make_family, siblings):
    """A run with events of every kind, its siblings, one of which begins late, stops, and moves once."""
    frame = make_family(siblings + 1, 1500, seed=3)
    loss = frame.pivot(index="step", columns="run", values="loss").to_numpy().copy()
    loss[500, 0] += 0.5
    loss[600:640, 0] += 0.06
    loss[700:720, 0] += 1.5 * np.exp(-np.arange(20) / 5)
    loss[900:, 0] -= 0.4
    others = loss[:, 1:].copy()
    if siblings > 1:
        others[:50, 1] = others[850:880, 1] = np.nan
        others[1100:1380, -1] += 0.3
        others[1400:, -1] += 0.05
        others[1450:1455] = np.nan
    return loss[:, 0], others


@pytest.mark.parametrize("siblings", [0, 1, 2, 5])
def test_agrees_with_the_bank(make_family, siblings):
    loss, others = table(make_family, siblings)
    bank, live, alarms = Bank(1, siblings, 1e-3), Live(siblings, 1e-3), 0
    for k in range(len(loss)):
        rows = others[k] if siblings else None
        # from the thousandth row on every eighth step is logged
        x = k + 1.0 + 7.0 * max(k - 1000, 0)
        a = bank.step(loss[k : k + 1], np.array([x]), None if rows is None else rows[None])
        b = live.step(float(loss[k]), x, None if rows is None else rows.tolist())
        assert (bool(a.alarm[0]), bool(a.active[0]), bool(a.shared[0])) == (b.alarm, b.active, b.shared), k
        assert [b.expected, b.scale, b.z] == pytest.approx([a.expected[0], a.scale[0], a.z[0]], rel=1e-6, abs=1e-7), k
        assert np.log1p(live.detectors) == pytest.approx(np.log1p(bank.state.detectors[0]), rel=1e-5, abs=1e-6), k
        if b.alarm:
            assert math.log(b.total) == pytest.approx(math.log(a.total[0]), rel=1e-5)
            assert b.kind == KINDS[int(a.kinds[0].argmax())]
        assert b.own_scale == pytest.approx(math.sqrt(bank.state.scale2[0]), rel=1e-6)
        alarms += b.alarm
    assert alarms >= 2


def test_saving_changes_nothing(make_family):
    loss, others = table(make_family, 2)
    whole, cut = Live(2), Live(2)
    for k in range(len(loss)):
        if k % 97 == 0:
            cut = Live.from_json(json.loads(json.dumps(cut.to_json())), 1e-4)
        rows = others[k].tolist()
        assert whole.step(float(loss[k]), k + 1.0, rows) == cut.step(float(loss[k]), k + 1.0, rows)


def test_a_tail_is_looked_up_only_where_it_may_matter():
    w = (0.9, 0.08, 0.01, 0.005, 0.004, 0.001)
    both = np.tile(w, (1, 2, 1))
    for z in np.linspace(-9.0, 9.0, 181):
        tail = float(noise.tail(np.array([z]), both)[0])
        for chance in (0.5, 1e-2, 1e-4, 1e-6):
            assert single.beyond(float(z), w, chance) == (0.5 * tail <= chance), (z, chance)
