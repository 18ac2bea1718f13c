"""Watching a file: killed at random it loses and repeats nothing; rotation, truncation and torn lines are survived."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from bayeslaw.anomalies.tail import Tail
from bayeslaw.anomalies.watch import Watch
from bayeslaw.cli import cli
from bayeslaw.errors import FileError

COMMAND = [sys.executable, "-c", "from bayeslaw.cli import main; main()"]


@pytest.fixture
def frame(make_family):
    made = make_family(1, 900)
    made.loc[400, "loss"] += 4.0
    made.loc[600:700, "loss"] += 3 * np.exp(-np.arange(101) / 10)
    return made


def watch(path, **options):
    return Watch(path, path.with_suffix(".events"), path.with_suffix(".state"), **options)


def drain(watcher):
    return [event for found in watcher.poll() for event in found]


def lines(frame, start, end):
    return frame.iloc[start:end].to_csv(index=False, header=start == 0)


def test_grows_in_pieces_torn_in_the_middle_of_lines(frame, tmp_path):
    whole = tmp_path / "whole.csv"
    whole.write_text(lines(frame, 0, 900))
    drain(watch(whole))
    text, path = lines(frame, 0, 900), tmp_path / "log.csv"
    for end in (10, 3001, 20_002, len(text)):
        path.write_text(text[:end])
        drain(watch(path))
    assert path.with_suffix(".events").read_text() == whole.with_suffix(".events").read_text()
    kinds = [json.loads(line)["kind"] for line in path.with_suffix(".events").read_text().splitlines()]
    assert "spike" in kinds


def test_a_rotated_file_is_read_to_its_end(frame, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(lines(frame, 0, 300))
    watcher = watch(path)
    drain(watcher)
    with open(path, "a") as file:
        file.write(lines(frame, 300, 500))
    os.rename(path, tmp_path / "log.csv.1")
    path.write_text(frame.iloc[500:].to_csv(index=False))
    drain(watcher)
    assert watcher.monitor._streams["r0"].rows == 900


def test_a_truncated_file_is_read_from_its_start(frame, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(lines(frame, 0, 300))
    watcher = watch(path)
    drain(watcher)
    path.write_text(frame.iloc[300:500].to_csv(index=False))
    drain(watcher)
    assert watcher.monitor._streams["r0"].rows == 500


def test_json_lines_with_other_names_and_rows_without_a_loss(tmp_path):
    path = tmp_path / "log.jsonl"
    rng = np.random.default_rng(0)
    with open(path, "w") as file:
        for k in range(1, 200):
            row = {"iteration": k, "train/loss": float("nan") if k == 150 else 3 + 0.1 * rng.standard_normal()}
            file.write(json.dumps(row) + "\n" + json.dumps({"iteration": k, "val": 1.0}) + "\nnot json {\n")
    found = drain(watch(path, columns={"loss": "train/loss"}))
    assert [e.kind for e in found] == ["nonfinite", "nonfinite"]


def test_events_without_their_state_are_not_overwritten(tmp_path):
    (tmp_path / "log.events").write_text("precious\n")
    with pytest.raises(FileError, match="does not"):
        watch(tmp_path / "log.csv")


def test_a_torn_append_is_taken_back(frame, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(lines(frame, 0, 900))
    drain(watch(path))
    events = path.with_suffix(".events")
    before = events.read_text()
    with open(events, "a") as file:
        file.write('{"half of an ev')
    watch(path)
    assert events.read_text() == before


def unbroken(frame, tmp_path):
    path = tmp_path / "unbroken.csv"
    path.write_text(lines(frame, 0, 900))
    drain(watch(path))
    return path.with_suffix(".events").read_text().replace('"unbroken"', '"log"')


def killed(frame, tmp_path, times):
    path, rng = tmp_path / "log.csv", random.Random(1)
    text = lines(frame, 0, 900)
    for k in range(times + 1):
        path.write_bytes(text[: int(len(text) * (k + 1) / (times + 1))].encode())
        process = subprocess.Popen([*COMMAND, "watch", str(path), "--every", "0.01"], stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 2.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*COMMAND, "watch", str(path), "--once"], stdout=subprocess.DEVNULL, check=False)
    return (tmp_path / "log.csv.events.jsonl").read_text()


def test_killed_a_few_times(frame, tmp_path):
    assert killed(frame, tmp_path, 5) == unbroken(frame, tmp_path)


#: forks watchers of a growing log and kills each at a random moment; a fork starts at once, so that most kills hit
#: the reading, judging and saving instead of Python's imports
KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from bayeslaw.anomalies.watch import Watch

log, text, times = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes(), int(sys.argv[3])
events, state, rng = log.with_suffix(".events"), log.with_suffix(".state"), random.Random(1)
for k in range(times + 1):
    with open(log, "ab") as file:
        file.write(text[len(text) * k // (times + 1) : len(text) * (k + 1) // (times + 1)])
    child = os.fork()
    if child == 0:
        watcher = Watch(log, events, state)
        while True:
            for _ in watcher.poll():
                pass
    time.sleep(rng.uniform(0.0, 0.2))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
for _ in Watch(log, events, state).poll():
    pass
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_a_hundred_times(frame, tmp_path):
    whole, log = tmp_path / "whole.csv", tmp_path / "log.csv"
    whole.write_text(lines(frame, 0, 900))
    expected = unbroken(frame, tmp_path)
    subprocess.run([sys.executable, "-c", KILLER, str(log), str(whole), "100"], check=True)
    assert log.with_suffix(".events").read_text() == expected
    assert expected.count("\n") >= 2


def test_exit_codes(frame, tmp_path):
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_text(lines(frame, 0, 900))
    good.write_text(lines(frame, 0, 250))
    for path, code in ((bad, 1), (good, 0), (tmp_path, 2)):
        done = subprocess.run([*COMMAND, "watch", str(path), "--once"], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr


def test_once_wants_a_file(tmp_path):
    """A log that is not there yet is waited for, but what is in no file now cannot be judged to be well."""
    done = subprocess.run([*COMMAND, "watch", str(tmp_path / "log.csv"), "--once"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "There is no file" in done.stderr
    assert not list(tmp_path.iterdir())


def test_another_rate_than_the_saved_one_is_refused(frame, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(lines(frame, 0, 300))
    drain(watch(path, rate=1e-3))
    with pytest.raises(FileError, match="asked for 10 false alarms in 10,000 steps; now 1 are"):
        watch(path)
    assert watch(path, rate=1e-3).monitor.rate == 1e-3


def test_rows_that_wait_when_watching_ends_are_judged_with_the_recorded_siblings(make_family, tmp_path):
    from bayeslaw.data.runs import Runs

    made = make_family(3, 620)
    mine = made[made["run"] == "r0"].copy()
    mine.loc[mine["step"] > 610, "loss"] += 0.1
    gap = mine[(mine["step"] != 611) & (mine["step"] < 620)]  # what follows a gap waits
    path = tmp_path / "log.csv"
    path.write_text(gap.to_csv(index=False))
    watcher = watch(path, siblings=Runs.from_frame(made[made["run"] != "r0"]))
    assert drain(watcher) == []
    assert [(e.kind, e.siblings) for e in watcher.finish()[-1:]] == [("level_up", 2)]
    # and the watcher itself goes on as if nothing had been asked
    assert len(watcher.monitor._streams["r0"].waiting) == 8


def test_a_line_separator_inside_a_string_ends_no_row(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [{"step": k, "loss": 3.0 + 0.01 * (k % 7), "note": "a\u2028b"} for k in range(1, 30)]
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    watcher = watch(path)
    drain(watcher)
    assert watcher.tail.lines.skipped == 0
    assert watcher.monitor._streams["log"].rows == 29


def test_a_log_may_turn_from_json_lines_to_csv(frame, tmp_path):
    path = tmp_path / "log"
    path.write_text("".join(json.dumps({"step": k, "loss": 3.0}) + "\n" for k in range(1, 9)))
    watcher = watch(path)
    drain(watcher)
    path.write_text(frame.iloc[8:20].to_csv(index=False))
    drain(watcher)
    assert watcher.tail.lines.skipped == 0
    assert watcher.monitor._streams["r0"].rows == 12


def test_no_row_is_lost_however_many_kinds_of_row_a_log_has(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text("".join(f'{{"step": {i + 1}, "loss": 2.0, "other_{i}": 1}}\n' for i in range(1005)))
    tail = Tail(log)
    steps = [row["step"] for rows in tail.rows() for row in rows]
    assert steps == list(range(1, 1006))
    assert tail.lines.skipped == 0


def long_log(first, last):
    return "".join(f"{k},{3 + 0.01 * (k % 7)}\n" for k in range(first, last + 1))


@pytest.mark.parametrize("header", ["step,loss\n", "step,loss,val_loss\n"])
def test_a_copy_in_its_place_or_a_new_header_is_no_restart(header, tmp_path):
    """rsync puts a longer copy in place of the log; Lightning's logger writes it anew when a column is added."""
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n" + long_log(1, 2500))
    watcher = watch(path)
    drain(watcher)
    copy = tmp_path / "copy"
    rest = long_log(1, 2600)
    copy.write_text(header + (rest.replace("\n", ",\n") if header.count(",") == 2 else rest))
    os.replace(copy, path)
    later = watch(path)
    assert drain(later) == []
    assert later.monitor._streams["log"].rows == 2600
    assert later.tail.count == 2600


def test_a_log_that_was_begun_anew_is_a_restart(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n" + long_log(1, 300))
    drain(watch(path))
    path.unlink()
    path.write_text("step,loss\n" + "".join(f"{k},{4 + 0.01 * (k % 7)}\n" for k in range(1, 400)))
    assert [e.kind for e in drain(watch(path))] == ["rewind"]


def test_another_file_under_the_number_of_a_gone_one_is_not_read(tmp_path):
    path, other = tmp_path / "log.csv", tmp_path / "log.csv.watch.json"
    path.write_text("step,loss\n" + long_log(1, 300))
    tail = Tail(path)
    list(tail.rows())
    other.write_text("step,loss\n" + long_log(700, 999) * 2)
    tail.inode = os.stat(other).st_ino
    assert list(tail.rows()) == []
    assert tail.count == 300


def test_two_watchers_of_one_log_do_not_write_events_twice(frame, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(lines(frame, 0, 300))
    first, second = watch(path), watch(path)
    with open(path, "a") as file:
        file.write(lines(frame, 300, 900))
    drain(first)
    before = path.with_suffix(".events").read_text()
    with pytest.raises(FileError, match="another watcher"):
        drain(second)
    assert path.with_suffix(".events").read_text() == before


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: {**data, "monitor": {**data["monitor"], "version": 1}}, "version 1"),
        (lambda data: {**data, "monitor": {**data["monitor"], "streams": {"r0": {}}}}, "is not a watcher's state"),
        (lambda data: {}, "is not a watcher's state"),
    ],
)
def test_a_state_that_cannot_be_read_says_how_to_start_over(frame, tmp_path, spoil, says):
    path = tmp_path / "log.csv"
    path.write_text(lines(frame, 0, 150))
    drain(watch(path))
    state = path.with_suffix(".state")
    state.write_text(json.dumps(spoil(json.loads(state.read_text()))))
    with pytest.raises(FileError, match=says) as error:
        watch(path)
    assert f"move it and {path.with_suffix('.events')} away" in str(error.value)


def test_a_log_of_no_losses_is_not_taken_for_a_healthy_one(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "perplexity": 20.0}\n' * 30)
    done = CliRunner().invoke(cli, ["watch", str(path), "--once"])
    assert done.exit_code != 0
    assert "not one line has a step with a loss" in str(done.exception) + done.output
