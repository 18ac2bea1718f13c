"""Data sets by name: those that are in the folder load as described, the others say where they come from."""

import re

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
    with pytest.raises(FileError, match=r"take it from https://github.com/.* \(MIT\)") as error:
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
