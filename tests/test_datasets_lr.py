"""lr-schedules from its authors' files: made, held to the checksum of the table, and kept whole or not at all."""

import csv
import functools
import http.server
import json
import threading
from pathlib import Path

import pytest

from bayeslaw import datasets, datasets_lr
from bayeslaw.errors import FileError

TAIL = next(name for name in datasets_lr.FILES if "nlayers10" in name and "iter7500" in name)


def history(rows: list[dict[str, str]]) -> dict:
    """A file of the authors' form that holds these rows of the table."""
    first = rows[0]
    config = {
        "lr": float(first["peak_lr"]),
        "scheduler": first["schedule"],
        "iterations": int(first["total_steps"]),
        "wsd_fract_decay": float(first["wsd_fract_decay"]),
        "resume_from": "somewhere" if first["resumed"] == "True" else None,
        "batch_size": 50,
        "acc_steps": 2,
        "world_size": 2,
        "sequence_length": 512,
    }
    train = {
        "iter": [int(row["step"]) for row in rows],
        "train_lr": [float(row["lr"]) for row in rows],
        "train_loss": [float(row["loss"]) for row in rows],
    }
    return {"summary": {"parameters": int(first["n_params"])}, "config": config, "history": {"train": train}}


def test_a_file_becomes_its_rows():
    """Numbers of the published file of the 60M tail from step 6,000 (fabian-sp/lr-scheduling, MIT)."""
    row = {"n_params": "59845120", "schedule": "wsd", "peak_lr": "0.001", "total_steps": "7500", "resumed": "True"}
    file = history([{**row, "wsd_fract_decay": "0.2", "step": "6050", "lr": "0", "loss": "0"}])
    file["history"]["train"] = {
        "iter": [6050, 7400, 7500],
        "train_lr": [0.0009666666666666667, 6.666666666666666e-05, 0],
        "train_loss": [3.729185104370117, 3.585505247116089, 3.2998952865600586],
    }
    assert datasets_lr._rows("60M/wsd/7500/2", file) == [
        "60M/wsd/7500/2,59845120,wsd,0.001,7500,0.2,True,6050,619520000,0.00096666667,3.7291851",
        "60M/wsd/7500/2,59845120,wsd,0.001,7500,0.2,True,7400,757760000,6.6666667e-05,3.5855052",
        "60M/wsd/7500/2,59845120,wsd,0.001,7500,0.2,True,7500,768000000,0,3.2998953",
    ]
    file["config"]["wsd_fract_decay"] = 0
    assert len(datasets_lr._rows("a constant run", file)) == 2, "its last rate of 0 was never trained at"


@pytest.fixture
def authors(tmp_path, monkeypatch, shared_data):
    """A server with files of the authors' form, made back from the table; a home folder of its own."""
    site = tmp_path / "site"
    site.mkdir()
    by_run: dict[str, list] = {}
    with (shared_data("lr-schedules") / "runs.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            by_run.setdefault(row["run"], []).append(row)
    assert list(by_run) == list(datasets_lr.FILES.values())
    for name, run in datasets_lr.FILES.items():
        file = history(by_run[run])
        if "sched_wsd" in name and not name.startswith("ann"):
            for key, value in {"iter": file["config"]["iterations"], "train_lr": 0, "train_loss": 3.3}.items():
                file["history"]["train"][key].append(value)
        (site / name).write_text(json.dumps(file), encoding="utf-8")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("BAYESLAW_DATA", raising=False)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setattr(datasets_lr, "ADDRESS", f"http://127.0.0.1:{server.server_address[1]}")
        yield site
        server.shutdown()
        thread.join()


def test_the_table_is_made_from_the_files_and_kept(authors, tmp_path, shared_data):
    path = datasets.fetch("lr-schedules")
    assert path == tmp_path / ".cache" / "bayeslaw" / "data" / "lr-schedules" / "runs.csv"
    assert path.read_bytes() == (shared_data("lr-schedules") / "runs.csv").read_bytes()
    (authors / TAIL).unlink()
    assert len(datasets.load("lr-schedules").names) == 17, "what is kept is not fetched again"


def test_other_numbers_are_refused_and_not_kept(authors, tmp_path):
    file = json.loads((authors / TAIL).read_text())
    file["history"]["train"]["train_loss"][0] += 0.01
    (authors / TAIL).write_text(json.dumps(file))
    with pytest.raises(FileError, match=r"its SHA-256 is another\. Nothing was kept"):
        datasets.fetch("lr-schedules")
    assert not list((tmp_path / ".cache").rglob("*.csv"))


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"config": {}}'])
def test_a_file_of_another_form_is_named(authors, content):
    (authors / TAIL).write_bytes(content)
    with pytest.raises(FileError, match=rf"^{TAIL} is not a run's history"):
        datasets.fetch("lr-schedules")


def test_a_file_that_is_gone_is_named(authors):
    (authors / TAIL).unlink()
    with pytest.raises(FileError, match=rf"Cannot download http://127\.0\.0\.1:\d+/{TAIL}: 404"):
        datasets.fetch("lr-schedules")
