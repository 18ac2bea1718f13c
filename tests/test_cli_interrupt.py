"""Ctrl-C at a real terminal, while the chains run in their threads: exit code 130, one line, and no file."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayeslaw

pty = pytest.importorskip("pty", reason="a pseudo-terminal needs Unix")

PATIENCE = 300  # seconds, on a busy computer


def at_a_terminal(arguments: list[str], interrupt_at: bytes, env: dict[str, str]) -> tuple[int, bytes]:
    """Run the command line, press Ctrl-C once ``interrupt_at`` was written; returns the exit code and the output."""
    command = [sys.executable, "-P", "-c", "from bayeslaw.cli import main; main()", *arguments]
    # spawned, not forked: this process may have threads
    start = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    ours, theirs = os.pipe()
    back, out = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", start, *command],
        env,
        file_actions=[(os.POSIX_SPAWN_DUP2, ours, 0), (os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_CLOSE, theirs),
                      (os.POSIX_SPAWN_CLOSE, back)],
        # as at a terminal, even where this process was started to ignore them (nohup, or in the background)
        setsigdef=[signal.SIGINT, signal.SIGHUP],
    )  # fmt: skip
    os.close(ours)
    os.close(out)
    written, pressed, end = b"", False, time.monotonic() + PATIENCE
    try:
        while time.monotonic() < end:
            if not select.select([back], [], [], 1)[0]:
                continue
            piece = os.read(back, 65536)
            if not piece:
                break
            written += piece
            if not pressed and interrupt_at in written:
                pressed = True
                os.write(theirs, b"\x03")
    finally:
        os.close(theirs)
        os.close(back)
        if time.monotonic() >= end:
            os.kill(pid, 9)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), written


def test_ctrl_c_while_sampling(tmp_path):
    tokens = np.geomspace(1e8, 1e10, 12)
    losses = {n: 1.8 + 0.4 * (n / 1e8) ** -0.35 + 400 / tokens**0.3 for n in (5e7, 2e8, 1e9)}
    log = pd.concat(
        pd.DataFrame({"run": f"{n:g}", "n_params": n, "tokens": tokens, "loss": loss}) for n, loss in losses.items()
    )
    log.to_csv(tmp_path / "log.csv", index=False)
    env = os.environ | {"PYTHONPATH": str(Path(bayeslaw.__file__).parent.parent), "TERM": "xterm"}
    env["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    out = tmp_path / "fit.nc"
    arguments = ["fit", str(tmp_path / "log.csv"), "-o", str(out), "--draws", "1000000"]
    code, written = at_a_terminal(arguments, b"warming up", env)
    assert (code, written.splitlines()[-1]) == (130, b"bayeslaw: interrupted")
    assert b"Traceback" not in written
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["log.csv"]
