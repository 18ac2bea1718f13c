"""Compiled programs are kept between commands, by the command line alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bayeslaw
from bayeslaw.cli.cache import keep_compiled, processor

DIR = "JAX_COMPILATION_CACHE_DIR"


def python(code: str, **env: str) -> str:
    """Run code in a fresh interpreter whose JAX has no settings but ``env``; returns its stdout."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    clean |= {"PYTHONPATH": str(Path(bayeslaw.__file__).parent.parent), **env}
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_folder_is_in_the_users_cache(tmp_path):
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    keep_compiled(environ)
    folder = tmp_path / "bayeslaw" / "jax" / processor()
    assert list(tmp_path.iterdir()) == []  # JAX makes it, when it has something to keep
    assert environ == {
        "XDG_CACHE_HOME": str(tmp_path),
        DIR: str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def test_without_xdg_it_is_in_the_home(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    environ = {"XDG_CACHE_HOME": ""}
    keep_compiled(environ)
    assert environ[DIR] == str(tmp_path / ".cache" / "bayeslaw" / "jax" / processor())


@pytest.mark.parametrize("folder", ["", "mine"])
def test_what_the_user_says_stays(tmp_path, folder):
    environ = {"XDG_CACHE_HOME": str(tmp_path), DIR: folder}
    before = dict(environ)
    keep_compiled(environ)
    assert environ == before
    assert list(tmp_path.iterdir()) == []
    keep_compiled(mine := {"XDG_CACHE_HOME": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "9"})
    assert mine["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "9"


def test_a_place_that_cannot_be_written_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "file").chmod(0o700)
    environ = {"XDG_CACHE_HOME": str(tmp_path / "file")}
    keep_compiled(environ)
    assert DIR not in environ
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    keep_compiled(environ := {"XDG_CACHE_HOME": str(tmp_path / "sealed")})
    assert DIR not in environ


def test_no_home_is_passed_over(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    keep_compiled(environ := {})
    assert environ == {}


ONE_PROGRAM = "import jax; jax.jit(lambda x: x * 2 + 1)(3.0).block_until_ready()"
A_COMMAND = "import sys, contextlib; from bayeslaw.cli import main; sys.argv = ['bayeslaw', '--version']"


def test_a_command_keeps_what_jax_compiles(tmp_path):
    code = f"{A_COMMAND}\nwith contextlib.suppress(SystemExit):\n    main()\nassert 'jax' not in sys.modules\n"
    python(code + ONE_PROGRAM, XDG_CACHE_HOME=str(tmp_path))
    assert [path for path in (tmp_path / "bayeslaw" / "jax" / processor()).iterdir() if path.name.startswith("jit")]


def test_importing_the_package_or_the_commands_keeps_nothing(tmp_path):
    python(f"import bayeslaw, bayeslaw.cli; bayeslaw.fit\n{ONE_PROGRAM}", XDG_CACHE_HOME=str(tmp_path))
    assert list(tmp_path.iterdir()) == []
