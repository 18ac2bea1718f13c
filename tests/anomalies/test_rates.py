"""Runs of one data order under different schedules: rates that go apart are told from anomalies."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.anomalies import rates
from bayeslaw.anomalies.bank import Bank
from bayeslaw.anomalies.live import Live
from bayeslaw.anomalies.monitor import Monitor

STEPS = 1500


def schedules() -> dict[str, np.ndarray]:
    """Shares of the peak rate: a cosine, a longer one, and two that hold and then decay or drop."""
    t = np.arange(1.0, STEPS + 1)
    warm = np.minimum(t / 50, 1)
    return {
        "wsd": warm * np.clip(1 - (t - 1000) / 300, 0.02, 1),
        "cosine": warm * 0.5 * (1.02 + np.cos(np.pi * t / STEPS)),
        "longer": warm * 0.5 * (1.02 + np.cos(np.pi * t / 2 / STEPS)),
        "drop": warm * np.where(t > 800, 0.3, 1.0),
    }


@pytest.fixture(scope="module")
def annealed():
    """Losses and rates (STEPS, 4): one data order, annealing gains 0.25 nats and arrives over some 25 steps."""
    rng = np.random.default_rng(4)
    shock = 0.08 * rng.standard_normal(STEPS)
    kernel = 1 - (1 + np.arange(STEPS) / 25) ** -0.6
    loss, lr = [], []
    for share in schedules().values():
        fall = -np.diff(share, prepend=share[0])
        fall[:50] = 0
        curve = 2.5 + 8 * (np.cumsum(share) + 20) ** -0.35 - 0.25 * np.convolve(fall, kernel)[:STEPS]
        loss.append(curve + shock + 0.004 * rng.standard_normal(STEPS))
        lr.append(1e-3 * share)
    lr[1] = 2 * lr[1]
    return np.stack(loss, axis=1), np.stack(lr, axis=1)


def judged(loss, lr, told):
    """Alarms (STEPS, 4) of every run against the three others."""
    n = loss.shape[1]
    rest = np.array([[j for j in range(n) if j != i] for i in range(n)])
    bank = Bank(n, n - 1)
    x = np.arange(1.0, len(loss) + 1)
    known = [(lr[k], lr[k][rest]) if told else () for k in range(len(loss))]
    return np.stack([bank.step(loss[k], np.full(n, x[k]), loss[k][rest], *known[k]).alarm for k in range(len(loss))])


def test_a_sibling_that_anneals_at_another_time_raises_no_alarm_once_rates_are_told(annealed):
    loss, lr = annealed
    assert judged(loss, lr, told=False).any(axis=0).sum() >= 2
    assert not judged(loss, lr, told=True).any()


@pytest.mark.parametrize("start", [600, 1100])
def test_shifts_are_found_while_rates_go_apart(annealed, start):
    loss, lr = annealed
    for i in range(loss.shape[1]):
        hurt = loss.copy()
        hurt[start:, i] += 0.1
        assert judged(hurt, lr, told=True)[start : start + 40, i].any(), i


def test_one_schedule_at_other_peaks_changes_nothing(annealed):
    loss, lr = annealed
    one = lr[:, [0]] * np.array([1.0, 2.0, 0.5, 1.0])
    noise = np.random.default_rng(0).standard_normal(loss.shape)
    alike = loss[:, [0]] + 0.004 * noise
    bank, plain = Bank(1, 3), Bank(1, 3)
    for k in range(STEPS):
        x = np.array([k + 1.0])
        told = bank.step(alike[k, :1], x, alike[k, None, 1:], one[k, :1], one[k, None, 1:])
        bare = plain.step(alike[k, :1], x, alike[k, None, 1:])
        # the run's own level may follow its decay more quickly; what siblings say is as before
        assert (told.z[0] == bare.z[0]) or not told.shared[0]
    assert np.array_equal(bank.state.pair_steady, bank.state.pair_rows)


def test_unknown_rates_change_nothing(annealed):
    loss, lr = annealed
    assert np.array_equal(judged(loss, np.full_like(lr, np.nan), told=True), judged(loss, lr, told=False))
    unknown = lr.copy()
    unknown[:, 1:] = np.nan
    told, bare = Bank(1, 3), Bank(1, 3)
    for k in range(STEPS):
        row = loss[k, :1], np.array([k + 1.0]), loss[k, None, 1:]
        told.step(*row, unknown[k, :1], unknown[k, None, 1:])
        bare.step(*row)
    assert np.array_equal(told.state.pair_level, bare.state.pair_level)


def test_plain_numbers_agree_with_the_bank(annealed):
    loss, lr = annealed
    lr = lr.copy()
    lr[300:320, 0] = lr[600:650, 2] = np.nan
    lr[:5] = 0.0
    bank, live = Bank(1, 3, 1e-3), Live(3, 1e-3)
    for k in range(STEPS):
        a = bank.step(loss[k, :1], np.array([k + 1.0]), loss[k, None, 1:], lr[k, :1], lr[k, None, 1:])
        b = live.step(float(loss[k, 0]), k + 1.0, loss[k, 1:].tolist(), float(lr[k, 0]), lr[k, 1:].tolist())
        assert (bool(a.alarm[0]), bool(a.active[0]), bool(a.shared[0])) == (b.alarm, b.active, b.shared), k
        assert [b.expected, b.scale, b.z] == pytest.approx([a.expected[0], a.scale[0], a.z[0]], rel=1e-6, abs=1e-7), k
        pairs = live.siblings.pairs
        assert [p.steady for p in pairs] == bank.state.pair_steady[0].tolist(), k
        assert [p.lr for p in pairs] == pytest.approx(bank.state.pair_lr[0].tolist(), nan_ok=True), k
        assert live.steady == bank.state.steady[0], k
    assert live.steady < STEPS - rates.YOUNG


def test_recorded_and_streamed_runs_use_the_column(annealed, found):
    loss, lr = annealed
    step = np.arange(1.0, STEPS + 1)
    parts = [
        pd.DataFrame({"run": name, "step": step, "loss": loss[:, i], "lr": lr[:, i]})
        for i, name in enumerate(schedules())
    ]
    frame = pd.concat(parts, ignore_index=True)
    untold = found(frame.drop(columns="lr"))
    assert len(untold) >= 1
    assert untold.notes[-1].startswith("No learning rates are known")
    assert len(found(frame)) == 0
    assert found(frame).notes == ()
    rows = frame.sort_values(["step", "run"], kind="stable").to_dict(orient="records")
    assert Monitor().feed(rows) == []
    assert Monitor().feed([{k: v for k, v in row.items() if k != "lr"} for row in rows]) != []


def test_a_saved_monitor_remembers_rates(annealed):
    loss, lr = annealed
    # the row of this run comes last, so that its siblings' are known
    hurt = loss.copy()
    hurt[1200:, 3] += 0.1
    whole, cut, found = Monitor(), Monitor(), []
    for k in range(STEPS):
        if k == 900:
            cut = Monitor.from_json(cut.to_json())
        for i in range(loss.shape[1]):
            a = whole.push(f"r{i}", k + 1, hurt[k, i], lr=lr[k, i])
            b = cut.push(f"r{i}", k + 1, hurt[k, i], lr=lr[k, i])
            assert a == b
            found += a
    assert any(e.run == "r3" and 1195 <= e.start_step <= 1240 for e in found)
