"""Progress of long work: who is told, and what stands on the bar."""

from __future__ import annotations

import io

import pytest

from bayeslaw.progress import reporting


def test_a_callback_is_told_itself():
    seen = []
    with reporting(lambda *told: seen.append(told)) as report:
        report("sampling", 1, 2)
    assert seen == [("sampling", 1, 2)]


@pytest.mark.parametrize("nothing", [None, False])
def test_nobody_is_told(nothing, capfd):
    with reporting(nothing) as report:
        report("sampling", 1, 2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("counted", "told"), [("", "40%"), ("units", "2/5 units,")])
def test_the_bar_tells_stage_and_share_on_stderr(monkeypatch, capfd, counted, told):
    import rich.console

    drawn = io.StringIO()
    console = rich.console.Console(file=drawn, force_terminal=True, width=80)
    monkeypatch.setattr(rich.console, "Console", lambda **given: console if given == {"stderr": True} else None)
    with reporting(True, counted) as report:
        report("compiling", 0, 0)
        report("sampling", 2, 5)
    told_all = drawn.getvalue()
    assert "sampling" in told_all
    assert told in told_all.replace("\x1b[0m", "")
    assert capfd.readouterr().out == ""
