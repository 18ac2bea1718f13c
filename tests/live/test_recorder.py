"""The recorder: what it writes is read back, it never raises, and a call costs microseconds."""

import json
import logging
import subprocess
import sys
import time

import numpy as np
import pytest

from bayeslaw.errors import DataError
from bayeslaw.live import Recorder
from bayeslaw.readers import load


def test_what_is_recorded_is_read(tmp_path):
    path = tmp_path / "logs" / "7b.jsonl"
    with Recorder(path, n_params="7B", group="c4", batch_tokens="4M") as record:
        for step in range(1, 101):
            record(step=step, loss=np.float32(2 + 3 / step), lr=1e-3)
    runs = load(path)
    curve = runs.curve("7b")
    np.testing.assert_allclose(curve["loss"], 2 + 3 / np.arange(1, 101), rtol=1e-7)
    assert curve["tokens"].tolist() == [4e6 * s for s in range(1, 101)]
    assert curve[["n_params", "group"]].drop_duplicates().to_numpy().tolist() == [[7e9, "c4"]]
    assert len(runs.facts) == 0


def test_rows_are_there_while_training_runs(tmp_path):
    record = Recorder(tmp_path / "x.jsonl", every=0.05)
    record(step=1, loss=4.0)
    record(step=2, loss=float("nan"))
    deadline = time.monotonic() + 10
    while not (tmp_path / "x.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert record.flush()
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 2
    record(step=3, loss=3.0)
    assert record.flush()
    assert load(tmp_path / "x.jsonl").facts["kind"].tolist() == ["nonfinite_loss"]
    record.close()
    record(step=4, loss=2.0)
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("left", "whole"), [('{"step":1,"loss":4.0}\n{"step":2,"lo', 1), ('{"step":1,"loss":4.0}', 1), ('{"st', 0)]
)
def test_a_killed_job_is_continued(tmp_path, left, whole):
    path = tmp_path / "x.jsonl"
    path.write_text(left)
    with Recorder(path) as record:
        record(step=2, loss=3.5)
    lines = path.read_text().splitlines()
    assert len(lines) == whole + 1
    assert json.loads(lines[-1]) == {"run": "x", "step": 2, "loss": 3.5}


def test_a_resume_appends_and_is_settled(tmp_path):
    path = tmp_path / "x.jsonl"
    for first, last in ((1, 20), (11, 30)):
        with Recorder(path) as record:
            for step in range(first, last + 1):
                record(step=step, loss=4 - step / 100)
    runs = load(path)
    assert runs.curve("x")["step"].tolist() == list(range(1, 31))
    assert runs.facts["kind"].tolist() == ["rewind"]


def test_nothing_that_goes_wrong_is_raised(tmp_path, caplog):
    class Broken:
        def __float__(self):
            raise RuntimeError("out of order")

        def detach(self):
            raise RuntimeError("no device")

    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING, logger="bayeslaw.live"):
        with Recorder(tmp_path / "file" / "x.jsonl") as record:
            for step in range(1, 50):
                record(step=step, loss=4.0)
                record.flush()
        with Recorder(tmp_path / "y.jsonl") as record:
            record(step=1, loss=4.0, note=[1, 2], other=None)
            record(step=2, loss=Broken())
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 3, said
    assert all(message.endswith("Training goes on.") for message in said)
    assert [json.loads(line) for line in (tmp_path / "y.jsonl").read_text().splitlines()] == [
        {"run": "y", "step": 1, "loss": 4.0}
    ]


def test_mistakes_before_training_are_said(tmp_path):
    with pytest.raises(DataError, match="n_params"):
        Recorder(tmp_path / "x.jsonl", n_params="many")


def test_only_rank_zero_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    with Recorder(tmp_path / "x.jsonl") as record:
        record(step=1, loss=4.0)
    assert not (tmp_path / "x.jsonl").exists()


def test_a_call_costs_less_than_a_thousandth_of_a_short_step(tmp_path):
    """20 microseconds are 0.1 % of 20 ms. The processor time of this thread, so that other programs do not count."""
    with Recorder(tmp_path / "x.jsonl", n_params=7e9) as record:
        record(step=0, loss=1.0)
        start = time.thread_time()
        for step in range(1, 20_001):
            record(step=step, loss=4.0, lr=1e-3, grad_norm=0.5)
        cost = (time.thread_time() - start) / 20_000
    assert cost < 20e-6
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 20_001


def test_a_program_that_ends_without_closing_loses_nothing(tmp_path):
    code = "from bayeslaw.live import Recorder\nr = Recorder('x.jsonl')\nfor s in range(1, 1001): r(step=s, loss=1 / s)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert len(load(tmp_path / "x.jsonl")) == 1000


def test_flush_says_whether_the_rows_are_in_the_file(tmp_path):
    record = Recorder(tmp_path, every=60)  # a folder
    record(step=1, loss=4.0)
    assert not record.flush()
    record.close()
    record = Recorder(tmp_path / "x.jsonl", every=60)
    record(step=1, loss=4.0)
    assert record.flush()
    record.close()


def test_a_line_that_a_full_disk_cut_off_is_not_continued(tmp_path):
    """A limit on the size of files stands in for the disk's. Half a line and the next row made one that none reads."""
    code = """
import resource, signal
from bayeslaw.live import Recorder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
record = Recorder("x.jsonl", every=60)
for step in range(1, 101):
    record(step=step, loss=4 - step / 100)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
assert not record.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
record(step=101, loss=3.0)
assert record.flush()
record.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    steps = [json.loads(line)["step"] for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert steps[:3] == [1, 2, 3]
    assert steps[-1] == 101
    assert len(load(tmp_path / "x.jsonl")) == len(steps)


FORKING = """
import os, sys
from bayeslaw.live import Recorder

record = Recorder(sys.argv[1], every=60)
record(step=1, loss=4.0)
child = os.fork()
if not child:
    record(step=2, loss=3.0)
    record.close()
    os._exit(0)
os.waitpid(child, 0)
record(step=3, loss=2.0)
record.close()
"""


def test_a_forked_process_records_its_own_rows_and_not_its_parents(tmp_path):
    # in a process of its own: other tests leave threads behind that must not be forked
    subprocess.run([sys.executable, "-c", FORKING, str(tmp_path / "x.jsonl")], check=True, timeout=60)
    steps = [json.loads(line)["step"] for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert steps == [2, 1, 3]


def test_arrays_are_recorded_as_they_were(tmp_path):
    loss = np.array(4.0)
    with Recorder(tmp_path / "x.jsonl", every=60) as record:
        record(step=1, loss=loss)
        record(step=2, loss=np.array([3.5]))
        loss[...] = 99.0
    assert load(tmp_path / "x.jsonl").frame["loss"].tolist() == [4.0, 3.5]


def test_a_file_of_something_else_keeps_its_last_line(tmp_path, caplog):
    path = tmp_path / "runs.csv"
    path.write_text("step,loss\n1,4.0")
    with caplog.at_level(logging.WARNING, logger="bayeslaw.live"), Recorder(path) as record:
        record(step=2, loss=3.0)
    assert path.read_text() == "step,loss\n1,4.0"
    assert "which is no row of JSON" in caplog.text
