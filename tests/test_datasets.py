"""Data sets by name: those in the folder load as described, others are fetched, or say where they come from."""

import functools
import hashlib
import http.server
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bayeslaw import datasets
from bayeslaw.errors import FileError


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_what_is_said_of_a_set_is_so(name, shared_data, monkeypatch):
    monkeypatch.setenv("BAYESLAW_DATA", str(shared_data(name).parent))
    entry = datasets.DATASETS[name]
    runs = datasets.load(name)
    assert (len(runs.names), len(runs)) == (entry.runs, entry.rows)
    assert set(entry.columns.split(", ")) <= set(runs.frame.columns)
    assert runs.source == name
    assert any(entry.licence in note and entry.source in note for note in runs.notes)
    assert not any("byte for byte" in note for note in runs.notes)


def test_an_absent_set_says_where_it_comes_from_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYESLAW_DATA", str(tmp_path))
    with pytest.raises(FileError, match=r"Take it from https://github.com/.* \(MIT\)") as error:
        datasets.load("multipowerlaw")
    assert str(tmp_path / "multipowerlaw" / "runs.csv") in str(error.value)
    with pytest.raises(FileError, match="There are gadre-overtraining, llm360"):
        datasets.load("nothing")


def test_another_table_is_read_and_told(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYESLAW_DATA", str(tmp_path))
    (tmp_path / "lr-schedules").mkdir()
    (tmp_path / "lr-schedules" / "runs.csv").write_text("run,step,loss\na,1,4.0\na,2,3.5\n")
    runs = datasets.load("lr-schedules")
    assert len(runs) == 2
    assert runs.notes[-1].startswith("runs.csv is not byte for byte the table")


def test_without_the_variable_the_cache_is_looked_into(monkeypatch):
    monkeypatch.delenv("BAYESLAW_DATA", raising=False)
    assert datasets.folder().parts[-3:] == (".cache", "bayeslaw", "data")


def test_every_set_has_a_source_a_commit_and_a_checksum():
    for entry in datasets.DATASETS.values():
        assert re.fullmatch(r"https://github\.com/[\w-]+/[\w-]+ at [0-9a-f]{7}", entry.source)
        assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
        assert entry.licence


TABLE = b"run,n_params,tokens,loss\na,1e8,2e9,3.5\nb,2e8,4e9,3.2\n"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server on this machine with one made-up set, a home folder of its own, and what was asked of the server."""
    site = tmp_path / "site" / "tables" / "gadre-overtraining"
    site.mkdir(parents=True)
    (site / "runs.csv").write_bytes(TABLE)
    entry = replace(datasets.DATASETS["gadre-overtraining"], sha256=hashlib.sha256(TABLE).hexdigest())
    monkeypatch.setitem(datasets.DATASETS, "gadre-overtraining", entry)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}/tables"
        monkeypatch.setenv("BAYESLAW_DATA", address)
        yield site / "runs.csv", address, asked
        server.shutdown()
        thread.join()


def test_a_set_is_fetched_once_checked_and_kept(mirror, tmp_path):
    runs = datasets.load("gadre-overtraining")
    assert list(runs.frame["loss"]) == [3.5, 3.2]
    assert any("MIT" in note for note in runs.notes)
    kept = tmp_path / ".cache" / "bayeslaw" / "data" / "gadre-overtraining" / "runs.csv"
    assert kept.read_bytes() == TABLE
    datasets.load("gadre-overtraining")
    assert len(mirror[2]) == 1


def test_another_table_at_the_address_is_refused_and_not_kept(mirror, tmp_path):
    mirror[0].write_bytes(TABLE.replace(b"3.5", b"2.5"))
    with pytest.raises(FileError, match=r"its SHA-256 is another\. Nothing was kept"):
        datasets.load("gadre-overtraining")
    assert not list((tmp_path / ".cache").rglob("*.csv"))


def test_what_the_address_does_not_have_is_said(mirror):
    with pytest.raises(FileError, match=r"Cannot download http://127.0.0.1:\d+/tables/multipowerlaw/runs.csv: 404"):
        datasets.load("multipowerlaw")


def test_a_server_that_does_not_answer_is_said(mirror, monkeypatch):
    monkeypatch.setenv("BAYESLAW_DATA", "http://127.0.0.1:9")
    with pytest.raises(FileError, match=r"Cannot download .*put it at .*gadre-overtraining"):
        datasets.load("gadre-overtraining")
