"""Files that were cut off while being written, and lines that are damaged: what is left out, told and refused."""

import pytest

from bayeslaw.errors import FileError
from bayeslaw.readers import load


def test_torn_last_line_of_a_live_file_is_a_fact(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"step":1,"loss":4.0}\n{"step":2,"loss":3.0}\n{"step":3,"lo')
    runs = load(path)
    assert len(runs.frame) == 2
    assert runs.facts["message"].tolist() == [
        "The last line of x.jsonl was cut off: left out. A live run writes it again."
    ]
    path = tmp_path / "x.csv"
    path.write_text("step,loss,lr\n1,4.0,1\n2,3.0,1\n3,2")
    runs = load(path)
    assert len(runs.frame) == 2
    assert runs.facts["kind"].tolist() == ["torn_line"]


@pytest.mark.parametrize(("cut", "rows"), [(0, 12), (1, 12), (2, 12), (3, 11), (4, 11), (5, 11), (6, 11)])
def test_a_last_number_that_was_cut_off_is_not_read(tmp_path, cut, rows):
    """A line without its break may end in the first digits of a number: 3 is no loss where 3.0833 was being written."""
    path = tmp_path / "x.csv"
    text = "step,loss\n" + "".join(f"{i},{3 + 1 / i:.4f}\n" for i in range(1, 13))
    path.write_text(text[: len(text) - cut])
    runs = load(path)
    assert len(runs) == rows
    assert runs.frame["loss"].tolist() == pytest.approx([3 + 1 / i for i in range(1, rows + 1)], abs=1e-3)
    assert (runs.facts["kind"].tolist() == ["torn_line"]) == (rows == 11)


@pytest.mark.parametrize("last", ["9,3.2", "9,3.25", "9,3.1875\r", "9,"])
def test_a_last_row_written_by_hand_stays(tmp_path, last):
    path = tmp_path / "x.csv"
    path.write_text("step,loss\n" + "".join(f"{i},{3 + i / 100:.2f}\n" for i in range(1, 9)) + last)
    assert len(load(path)) == 9
    path.write_text("step,loss,note\n" + "".join(f"{i},{3 + i / 100:.2f},longer\n" for i in range(1, 10)) + "10,2,c4")
    assert len(load(path)) == 10


def test_junk_in_the_middle_names_the_line(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"step":1,"loss":4.0}\n\noops\n{"step":2,"loss":3.0}\n')
    with pytest.raises(FileError, match=r"Line 3 of x.jsonl is not a JSON object .*'oops'"):
        load(path)
    path.write_text('{"step":1,"loss":4.0}\n[1]\n{"step":2,"loss":3.0}\n')
    with pytest.raises(FileError, match=r"Line 2 of x.jsonl is not a JSON object \(it holds list"):
        load(path)
    path = tmp_path / "x.csv"
    path.write_text("step,loss\n1,4.0\n2,3.0,5\n3,2.0\n")
    with pytest.raises(FileError, match=r"Line 3 of x.csv has 3 cells, but the header has 2: '2,3.0,5'"):
        load(path)
