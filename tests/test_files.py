"""Files are written whole or not at all."""

import os
import threading

import pytest

from bayeslaw.files import written_whole


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def break_off():
        with written_whole(path) as draft:
            draft.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "old"
    with written_whole(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "new"


def test_two_threads_that_write_one_file_leave_one_of_the_two(tmp_path):
    """With drafts named by the process alone, the two wrote into one draft, and one found it gone."""
    path, failed = tmp_path / "a.txt", []
    both = threading.Barrier(2)

    def write(letter):
        try:
            with written_whole(path) as draft:
                both.wait(10)
                draft.write_text(letter * 100_000)
                both.wait(10)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert path.read_text() in ("a" * 100_000, "b" * 100_000)
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "a.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    with written_whole(link) as draft:
        draft.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    """As with /dev/stdout; and who may write to /dev must not turn /dev/null into a file."""
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    with written_whole(pipe) as draft:
        draft.write_text("new")
    reader.join(10)
    assert read == ["new"]
    assert pipe.is_fifo()
