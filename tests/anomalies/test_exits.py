"""Looped runs: what befalls a run befalls all its exits, so that they say nothing of each other's health."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bayeslaw.anomalies import Monitor, anomalies, past_events
from bayeslaw.anomalies.shocks import Curve, align
from bayeslaw.cli import cli
from bayeslaw.data.runs import Runs

EXITS = (1.0, 4.0, np.nan)


@pytest.fixture(scope="module")
def looped(make_family):
    """Two runs of one data order with two exits and a total loss each; r0 jumps at step 600, and its norm at 500."""
    family, rng, parts = make_family(2, 900), np.random.default_rng(1), []
    for exit_step in EXITS:
        part = family.assign(exit_step=exit_step)
        part["loss"] += (0.3 if exit_step == 1 else 0.1) + 0.002 * rng.standard_normal(len(part))
        part["grad_norm"] = np.exp(0.05 * np.sin(part["step"] ** 2)) + np.where(part["step"] == 500, 30.0, 0.0)
        parts.append(part)
    frame = pd.concat(parts).sort_values(["run", "step"], kind="stable", ignore_index=True)
    frame.loc[(frame["run"] == "r0") & frame["step"].between(600, 604), "loss"] += 0.5
    frame.loc[(frame["run"] == "r0") & (frame["step"] == 800) & (frame["exit_step"] == 4), "loss"] = np.nan
    frame["grad_norm"] = frame["grad_norm"].where(frame["run"] == "r0")
    return frame


@pytest.fixture(scope="module")
def seen(looped):
    return anomalies(Runs.from_frame(looped))


def test_exits_of_one_run_are_no_siblings_and_count_as_one(seen):
    runs = seen.alignment[["run", "sibling"]].map(lambda name: name.split(" exit")[0])
    assert len(runs) == 6
    assert (runs["run"] != runs["sibling"]).all()


def test_what_befalls_all_exits_is_told_of_each(seen):
    spikes = seen.frame[seen.frame["kind"] == "spike"]
    assert list(spikes["run"]) == ["r0 exit 1", "r0 exit 4", "r0"]
    assert spikes["start_step"].tolist() == [600.0] * 3
    assert np.allclose(spikes["magnitude"], 0.5, atol=0.05)


def test_a_gradient_that_every_exit_repeats_is_warned_of_once(seen):
    warned = seen.frame[seen.frame["kind"] == "gradient"]
    assert warned[["run", "start_step"]].to_numpy().tolist() == [["r0", 500.0]]


def test_nan_of_one_exit_is_told(seen):
    broken = seen.frame[seen.frame["kind"] == "nonfinite"]
    assert broken[["run", "start_step"]].to_numpy().tolist() == [["r0 exit 4", 800.0]]


def test_events_of_exits_are_left_out_of_what_a_forecast_is_given(seen, looped):
    kept = past_events(Runs.from_frame(looped), seen.frame).frame
    assert not (kept["run"].eq("r0") & kept["step"].between(600, 604)).any()
    assert (kept["run"] == "r1").sum() == 3 * 900


def test_tokens_stand_beside_the_rows_of_each_exit(seen):
    assert all((rows["tokens"] == rows["step"] * 1e5).all() for rows in seen.rows.values())
    assert len(seen.rows) == 6


def test_the_command_finds_a_run_by_its_own_name(looped, tmp_path):
    path = tmp_path / "looped.csv"
    looped.to_csv(path, index=False, na_rep="")
    done = CliRunner().invoke(cli, ["anomalies", str(path), "--run", "r0", "--json", "--plot", str(tmp_path / "a.png")])
    assert done.exit_code == 1
    named = {event["run"] for event in json.loads(done.stdout)["events"]}
    assert named == {"r0", "r0 exit 1", "r0 exit 4"}
    assert (tmp_path / "a.png").exists()


def test_a_stream_of_exits_is_judged_as_the_table_is(looped, seen):
    monitor = Monitor()
    rows = looped.sort_values("step", kind="stable").to_dict(orient="records")
    monitor.feed(rows[: len(rows) // 2])
    monitor = Monitor.from_json(json.loads(json.dumps(monitor.to_json())))
    events = [*monitor.feed(rows[len(rows) // 2 :]), *monitor.finish()]
    assert set(monitor.runs) == set(seen.rows)
    for name in monitor.runs:
        (sibling,) = monitor.siblings(name)
        assert sibling[0].split(" exit")[0] != name.split(" exit")[0]
    last = {(e.run, e.kind, e.start_step) for e in events if not e.open}
    assert {("r0 exit 1", "spike", 600.0), ("r0 exit 4", "spike", 600.0), ("r0", "spike", 600.0)} <= last
    assert [(e.run, e.start_step) for e in events if e.kind == "gradient"] == [("r0", 500.0)]


def test_finished_looped_runs_are_siblings_exit_by_exit(looped):
    finished = Runs.from_frame(looped[looped["run"] == "r1"])
    monitor = Monitor(siblings=finished)
    mine = looped[(looped["run"] == "r0") & (looped["step"] < 350)]
    monitor.feed(mine.sort_values("step", kind="stable").to_dict(orient="records"))
    assert all(len(monitor.siblings(name)) == 1 for name in monitor.runs)


def test_tables_without_exits_are_aligned_as_ever(make_family):
    frame = make_family(3, 200)
    curves = {
        name: Curve(name, part["step"].to_numpy(), part["loss"].to_numpy(), part["step"].to_numpy())
        for name, part in frame.groupby("run")
    }
    assert {name: len(found) for name, found in align(curves).items()} == {"r0": 2, "r1": 2, "r2": 2}
