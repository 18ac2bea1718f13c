"""The shell around the commands: exit codes, what goes to which stream, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import bayeslaw
from bayeslaw.cli import cli
from bayeslaw.cli.guard import GuardedGroup
from bayeslaw.errors import DataError, DataWarning


@pytest.fixture
def broken():
    """A group like the real one, with commands that end in every way there is."""

    @click.group(cls=GuardedGroup)
    @click.option("--debug", is_flag=True)
    def group(debug: bool) -> None:
        pass

    def ending(name: str, error: BaseException) -> None:
        @group.command(name)
        def command() -> None:
            click.echo("data")
            raise error

    ending("bad-input", DataError("Run 'a' has no loss. Give one."))
    ending("defect", ZeroDivisionError("division by zero\nsecond line"))
    ending("interrupt", KeyboardInterrupt())
    ending("no-file", FileNotFoundError(2, "No such file or directory", "x.csv"))
    ending("bad-news", click.exceptions.Exit(1))
    ending("pipe", BrokenPipeError())

    @group.command()
    def warn() -> None:
        warnings.warn("Losses above 15.", DataWarning, stacklevel=2)

    return group


@pytest.mark.parametrize(
    ("command", "code", "stderr"),
    [
        ("bad-input", 2, "bayeslaw: Run 'a' has no loss. Give one.\n"),
        ("no-file", 2, "bayeslaw: x.csv: No such file or directory.\n"),
        ("bad-news", 1, ""),
        ("pipe", 0, ""),
        ("warn", 0, "bayeslaw: warning: Losses above 15.\n"),
    ],
)
def test_endings(broken, command, code, stderr):
    result = CliRunner().invoke(broken, [command])
    assert (result.exit_code, result.stderr) == (code, stderr)
    assert result.stdout == ("" if command == "warn" else "data\n")


def test_interrupt_is_130(broken):
    result = CliRunner().invoke(broken, ["interrupt"])
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert "Traceback" not in result.output


def test_a_defect_is_one_line_without_debug(broken):
    result = CliRunner().invoke(broken, ["defect"])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "unexpected ZeroDivisionError: division by zero --" in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.output


def test_a_defect_has_a_traceback_with_debug(broken):
    result = CliRunner().invoke(broken, ["--debug", "defect"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_bad_input_has_no_traceback_even_with_debug(broken):
    assert "Traceback" not in CliRunner().invoke(broken, ["--debug", "bad-input"]).output


def test_usage_errors_are_2():
    for line in (
        ["nonsense"],
        ["fit"],
        ["forecast", "fit.nc"],
        ["fit", "x.csv", "--chains", "none"],
        ["fit", "x.csv", "--seed", "-1"],
        ["--nonsense"],
    ):
        result = CliRunner().invoke(cli, line)
        assert result.exit_code == 2, line
        assert result.stdout == ""
        assert "Traceback" not in result.stderr


def shell(*args: str, **kwargs):
    env = os.environ | {"PYTHONPATH": str(Path(bayeslaw.__file__).parent.parent)}
    return [sys.executable, "-P", "-c", "from bayeslaw.cli import main; main()", *args], env | kwargs


def test_a_reader_that_leaves_is_no_error():
    command, env = shell("laws", "--json")
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    stderr = process.stderr.read().decode()
    process.stderr.close()
    assert (process.wait(), stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_a_full_disk_is_no_defect_of_ours():
    command, env = shell("laws")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, env=env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "bayeslaw: the answer could not be written: No space left on device.\n"


@pytest.mark.skipif(os.name == "nt", reason="closing a stream is the shell's")
def test_a_closed_stdout_is_no_defect_of_ours():
    command, env = shell("laws")
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], env=env, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_is_quick():
    """CPU time, not wall time: the test says nothing about what else the computer does (benchmarks/startup.py does)."""
    resource = pytest.importorskip("resource", reason="CPU time of a child process needs Unix")
    command, env = shell("--help")
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert done.returncode == 0
    assert min(seconds) < 0.5
    for name in ("load", "fit", "check", "forecast", "models", "laws", "demo"):
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_and_no_ellipsis_in_the_list(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert not cli.commands[name].get_short_help_str(limit=65).endswith("...")


def test_the_defaults_and_limits_in_the_help_of_fit_are_those_of_fit():
    from bayeslaw.errors import FitError

    fit = sys.modules[bayeslaw.fit.__module__]
    shown = " ".join(CliRunner().invoke(cli, ["fit", "--help"]).stdout.split())
    for name, default, help_text in (
        ("warmup", fit.WARMUP, "Warm-up draws per chain."),
        ("draws", "as many as the checks need", "Draws kept per chain."),
    ):
        option = next(p for p in cli.commands["fit"].params if p.name == name)
        least = option.type.min
        assert f"{help_text} [default: ({default}); x>={least}]" in shown
        frame = {"step": [1.0, 2.0, 3.0], "n_params": 1e8, "tokens": [1e9, 2e9, 3e9], "loss": [3.0, 2.9, 2.8]}
        with pytest.raises(FitError, match=f"{name} is a whole number of at least {least}, not {least - 1}"):
            bayeslaw.fit(bayeslaw.Runs.from_frame(frame), **{name: least - 1})


def test_version():
    assert CliRunner().invoke(cli, ["--version"]).stdout == f"bayeslaw, version {bayeslaw.__version__}\n"
