"""The stream: causal, the same whatever the batches, restarts and order of late rows; bounded in memory."""

import json

import numpy as np
import pytest

from bayeslaw.anomalies.monitor import Monitor
from bayeslaw.anomalies.stream import REMEMBERED
from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError


@pytest.fixture(scope="module")
def rows(make_family):
    frame = make_family(2, 620)
    at = (frame["run"] == "r0") & (frame["step"] >= 500)
    frame.loc[at, "loss"] += 0.3 * np.exp(-np.arange(at.sum()) / 10)
    frame = frame.sort_values(["step", "run"], ascending=[True, False])  # r0 comes last: it can use r1's row
    return frame.to_dict(orient="records")


@pytest.fixture(scope="module")
def expected(rows):
    return events(Monitor(), rows)


def events(monitor, rows):
    return [repr(e) for e in monitor.feed(rows)]


def test_an_event_opens_at_once_and_is_settled_later(rows):
    found = Monitor().feed(rows)
    mine = [e for e in found if e.run == "r0" and e.start_step == 500]
    assert [e.open for e in mine] == [True, False]
    assert mine[0].seen_at <= 502
    assert mine[1].kind == "spike"
    assert mine[1].siblings == 1


def test_batches_and_saving_do_not_matter(rows, expected):
    monitor, got = Monitor(), []
    for start in range(0, len(rows), 97):
        got += events(monitor, rows[start : start + 97])
        monitor = Monitor.from_json(json.loads(json.dumps(monitor.to_json())))
    assert got == expected


def test_nothing_looks_ahead(rows):
    cut = 2 * 560
    whole, part = Monitor().feed(rows), Monitor().feed(rows[:cut])
    assert [repr(e) for e in part] == [repr(e) for e in whole[: len(part)]]


def test_late_and_repeated_rows_change_nothing(rows, expected):
    order = list(range(len(rows)))
    for i in range(50, len(rows) - 12, 40):
        order[i], order[i + 8] = order[i + 8], order[i]
    mixed = [rows[i] for i in order]
    mixed = [row for i, row in enumerate(mixed) for _ in range(2 if i % 9 == 0 else 1)]
    alone = [e for e in mixed if e["run"] == "r0"]
    plain = [e for e in rows if e["run"] == "r0"]
    assert events(Monitor(), alone) == events(Monitor(), plain)


def test_a_restart_is_a_rewind_and_no_alarm(make_family):
    rows = make_family(1, 400).to_dict(orient="records")
    again = [dict(r, loss=r["loss"] + 1e-3) for r in rows if r["step"] >= 300]
    found = Monitor().feed(rows[:350] + again)
    assert [(e.kind, e.start_step) for e in found] == [("rewind", 300.0)]


def test_nan_opens_and_closes(make_family):
    rows = make_family(1, 300).to_dict(orient="records")
    for k in (200, 201):
        rows[k]["loss"] = float("nan")
    found = Monitor().feed(rows)
    assert [(e.kind, e.open, e.start_step, e.end_step) for e in found] == [
        ("nonfinite", True, 201.0, 201.0),
        ("nonfinite", False, 201.0, 202.0),
    ]


def test_memory_is_bounded(make_family):
    monitor = Monitor()
    monitor.feed(make_family(1, REMEMBERED + 50).to_dict(orient="records"))
    saved = monitor.to_json()["streams"]["r0"]
    assert len(saved["past"]) == REMEMBERED
    assert len(monitor._streams["r0"].by_step) == REMEMBERED


def test_finished_siblings_can_be_given(make_family):
    from bayeslaw.data.runs import Runs

    frame = make_family(3, 620)
    mine = frame["run"] == "r0"
    frame.loc[mine & (frame["step"] >= 500), "loss"] += 0.05
    monitor = Monitor(siblings=Runs.from_frame(frame[~mine]))
    found = monitor.feed(frame[mine].to_dict(orient="records"))
    assert found[0].siblings == 2
    assert monitor.finish()[0].kind == "level_up"
    assert 500 <= found[0].seen_at <= 503
    assert {name for name, _ in monitor.siblings("r0")} == {"r1", "r2"}
    assert monitor.siblings("never seen") == ()


def test_what_it_cannot_take():
    with pytest.raises(DataError, match="needs its step"):
        Monitor().push("r", float("nan"), 3.0)
    with pytest.raises(DataError, match="version"):
        Monitor.from_json({"version": 0})


def test_rows_of_several_ranks_in_one_log_are_remarked_on(make_family):
    """Every step comes twice, with another loss: one rank's rows are judged, and the user is told."""
    rows = make_family(2, 60).sort_values(["step", "run"]).assign(run="a").to_dict(orient="records")
    monitor = Monitor()
    monitor.feed(rows)
    assert "60 rows came late, or again with another loss" in monitor.remarks()["a"]
    assert "column run" in monitor.remarks()["a"]
    assert monitor.remarks(least=61) == {}
    assert Monitor.from_json(monitor.to_json()).remarks() == monitor.remarks()


def test_one_restart_is_not_remarked_on(make_family):
    rows = make_family(1, 60).to_dict(orient="records")
    monitor = Monitor()
    monitor.feed([*rows, *({**row, "loss": row["loss"] + 0.01} for row in rows[30:])])
    assert monitor.remarks() == {}


def test_a_run_of_nothing_but_nan_stops_no_monitor(make_family):
    """There is no curve to look for siblings of, and the other runs are judged on."""
    frame = make_family(3, 220)
    frame.loc[(frame["run"] == "r1"), "loss"] = np.nan
    monitor = Monitor()
    events = monitor.feed(frame.sort_values(["step", "run"]).to_dict(orient="records"))
    assert [(e.run, e.kind, e.start_step) for e in events] == [("r1", "nonfinite", 1.0)]
    assert monitor.siblings("r0") == (("r2", 0),)


@pytest.mark.parametrize("seed", [1, 9])
def test_an_earlier_attempt_of_the_same_name_is_a_run_of_its_own(make_family, seed):
    """Of the same batches it is a sibling; of others it is none, and no rows of it stand in for the running run's."""
    now = make_family(2, 700, seed=1)
    now.loc[(now["run"] == "r1") & (now["step"] > 500), "loss"] += 0.05
    before = make_family(2, 700, seed=seed, own=0.003)
    monitor = Monitor(siblings=Runs.from_frame(before))
    rows = now.sort_values(["step", "run"]).to_dict(orient="records")
    events = monitor.feed(rows[:900])
    monitor = Monitor.from_json(json.loads(json.dumps(monitor.to_json())), Runs.from_frame(before))
    events += [*monitor.feed(rows[900:]), *monitor.finish()]
    names = {name for run in monitor.runs for name, _ in monitor.siblings(run)}
    assert any(name.endswith(" (finished)") for name in names) == (seed == 1)
    shift = [e for e in events if e.run == "r1"][-1]
    assert (shift.kind, shift.start_step) == ("level_up", 501.0)
    assert shift.siblings >= 1
