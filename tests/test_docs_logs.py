"""The page on logs: its code runs, and what it claims of the readers is so."""

import re
from pathlib import Path

import pytest

from bayeslaw.readers import load
from bayeslaw.readers.stdout import SHOW

PAGE = Path(__file__).resolve().parent.parent / "docs" / "logs.md"


@pytest.fixture
def page():
    if not PAGE.is_file():
        pytest.skip("docs/ is not beside the tests: this is not a checkout")
    return PAGE.read_text(encoding="utf-8")


def test_the_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"```python\n(.*?)```", page, flags=re.S):
        exec(compile(code, str(PAGE), "exec"), {})
    assert load("7b.jsonl").curve("7b")["tokens"].iloc[-1] == 4e8


def test_the_printed_logs_are_those_of_the_reader(page):
    for name in re.split(r", | and ", SHOW):
        assert name in page, name


def test_the_window_with_a_nan_is_as_low_as_the_page_says(page):
    path = Path(__file__).parent / "readers" / "data" / "transformers" / "trainer_state.json"
    curve = load(path).curve("trainer_state").set_index("step")["loss"]
    (said,) = re.findall(r"in the test's log, (\d+) % too low", page)
    true = sum(2 + 4 * (s + 1) ** -0.35 for s in range(31, 36)) / 5
    assert round(100 * (1 - curve[35] / true)) == int(said)
