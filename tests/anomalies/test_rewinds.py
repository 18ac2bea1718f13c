"""Streams whose position does not simply advance: restarts, and tokens that are rounded or logged now and then."""

import json

import numpy as np
import pytest

from bayeslaw.anomalies.monitor import Monitor
from bayeslaw.anomalies.stream import REMEMBERED

ROWS = 6000


@pytest.fixture(scope="module")
def healthy():
    step = np.arange(1.0, 2 * ROWS)
    return 3 + 20 * step**-0.4 + 0.02 * np.random.default_rng(1).standard_normal(len(step))


def push(monitor, steps, losses, **more):
    return [e for s, y in zip(steps, losses, strict=True) for e in monitor.push("r", s, y, **more)]


@pytest.mark.parametrize("back", [5, 100, 300, 600, 1000, 1990, 3000, 5000])
def test_a_healthy_run_that_is_restarted_raises_no_alarm(healthy, back):
    monitor = Monitor()
    found = push(monitor, range(1, ROWS + 1), healthy[:ROWS])
    start = ROWS - back + 1
    found += push(monitor, range(start, ROWS + 1500), 1e-3 + healthy[start - 1 : ROWS + 1499])
    found += monitor.finish()
    assert [(e.kind, e.start_step, e.end_step) for e in found] == [("rewind", start, ROWS)]
    assert monitor._streams["r"].live.level == pytest.approx(3 + 20 * (ROWS + 1500) ** -0.4, abs=0.02)


def test_with_siblings_neither(make_family):
    frame = make_family(3, 1500)
    rows = frame.sort_values(["step", "run"], ascending=[True, False]).to_dict(orient="records")
    again = [dict(r, loss=r["loss"] + 1e-4) for r in rows if r["run"] == "r0" and r["step"] > 700]
    monitor = Monitor()
    found = monitor.feed(rows) + monitor.feed(again)
    assert len(monitor.siblings("r0")) == 2
    assert [(e.run, e.kind) for e in found] == [("r0", "rewind")]


def test_saving_at_any_row_changes_nothing(healthy):
    steps = [*range(1, 2501), *range(1900, 2200)]
    losses = [*healthy[:2500], *(healthy[1899:2199] + 1e-3)]
    whole, monitor, found = push(Monitor(), steps, losses), Monitor(), []
    for k in range(0, len(steps), 333):
        found += push(monitor, steps[k : k + 333], losses[k : k + 333])
        monitor = Monitor.from_json(json.loads(json.dumps(monitor.to_json())))
    assert repr(found) == repr(whole)
    assert [e.kind for e in whole] == ["rewind"]


def test_rolling_back_ends_what_was_open(healthy):
    monitor = Monitor()
    bad = healthy[:1000].copy()
    bad[950:] += 0.5
    found = push(monitor, range(1, 1001), bad)
    assert {(e.seen_at, e.open) for e in found} == {(951.0, True)}
    found = push(monitor, range(900, 1200), healthy[899:1199])
    assert [(e.kind, e.open) for e in found] == [("level_up", False), ("rewind", False)]


def test_frozen_and_nan_end_with_a_restart_too(healthy):
    monitor = Monitor()
    losses = np.round(healthy[:500], 4)
    losses[480:490], losses[495:] = losses[480], np.nan
    push(monitor, range(1, 501), losses)
    found = push(monitor, range(400, 480), losses[399:479] + 1e-4)
    assert [(e.kind, e.open) for e in found] == [("nonfinite", False), ("rewind", False)]


def test_a_restart_from_before_all_that_is_remembered_is_seen_after_a_few_rows(healthy):
    monitor = Monitor()
    push(monitor, range(1, ROWS + 1), healthy[:ROWS])
    start = ROWS - 2 * REMEMBERED
    found = []
    for k in range(start, start + 20):
        found += monitor.push("r", k, healthy[k - 1])
        assert len(monitor._streams["r"].back) <= monitor.patience + 1
    assert [(e.kind, e.start_step, e.seen_at) for e in found] == [("rewind", start, start + monitor.patience)]


@pytest.mark.parametrize("every", [1, 20, 250, 1000])
@pytest.mark.parametrize("how", ["now and then", "rounded"])
def test_tokens_may_be_rounded_or_missing(healthy, every, how):
    monitor, found = Monitor(), []
    for k in range(1, ROWS + 1):
        tokens = 5e5 * np.ceil(k / every) * every if how == "rounded" else 5e5 * k if k % every == 0 else None
        found += monitor.push("r", k, healthy[k - 1], tokens=tokens, grad_norm=np.exp(healthy[k - 1] - 3))
    assert found + monitor.finish() == []


def test_a_sibling_that_is_gone_leaves_the_others_in_their_places(make_family):
    from bayeslaw.data.runs import Runs

    frame = make_family(3, 900)
    frame.loc[frame["run"] == "r1", "loss"] += 0.5
    frame.loc[frame["run"] == "r2", "loss"] -= 0.5
    mine, others = frame[frame["run"] == "r0"].to_dict(orient="records"), frame[frame["run"] != "r0"]
    monitor = Monitor(siblings=Runs.from_frame(others))
    monitor.feed(mine[:700])
    first = monitor.siblings("r0")[0][0]
    left = others[others["run"] != first]
    monitor = Monitor.from_json(json.loads(json.dumps(monitor.to_json())), Runs.from_frame(left))
    assert len(monitor.siblings("r0")) == 1
    assert monitor.feed(mine[700:]) + monitor.finish() == []
