"""Options that mean the same everywhere: -v, -q, --seed, --version; and what is printed where nobody sees a colour."""

import click
import pandas as pd
import pytest
from click.testing import CliRunner

import bayeslaw
from bayeslaw.cli import COMMANDS, cli
from bayeslaw.cli.common import is_quiet, is_verbose, talk

NAMES = [str(command.name) for command in COMMANDS]
#: commands that draw random numbers
DRAWING = {"fit", "forecast", "plan", "next-runs", "backtest", "compare", "report", "demo"}


def run(*args: str, code: int = 0):
    result = CliRunner().invoke(cli, list(args))
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def log(tmp_path):
    """A log with an oddity: a step that stands there twice."""
    path = tmp_path / "log.csv"
    pd.DataFrame({"step": [1, 2, 2, 3], "tokens": [1e6, 2e6, 2e6, 3e6], "loss": [4.0, 3.5, 3.5, 3.2]}).to_csv(path)
    return str(path)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_takes_the_flags(name):
    said = run(name, "--help").output
    assert "-q, --quiet" in said
    assert "-v, --verbose" in said


def test_the_flags_are_not_those_of_one_command_shared_by_mistake():
    options = [p for command in (cli, *COMMANDS) for p in command.params if p.name in ("quiet", "verbose")]
    assert len(options) == 2 * (len(COMMANDS) + 1)
    assert len(set(map(id, options))) == len(options)


def test_a_seed_is_the_same_option_wherever_something_is_drawn():
    seeds = {c.name: p for c in COMMANDS for p in c.params if p.name == "seed"}
    assert set(seeds) == DRAWING
    assert len({(p.help, p.default, str(p.type)) for p in seeds.values() if isinstance(p, click.Option)}) == 1


@pytest.mark.parametrize("args", [("-q", "load"), ("load", "-q"), ("--quiet", "load"), ("load", "--quiet")])
def test_quiet_before_or_after_the_name(args, log):
    assert "--explain tells" in run("load", log).stderr
    quiet = run(*args, log)
    assert quiet.stderr == ""
    assert quiet.stdout == run("load", log).stdout


@pytest.mark.parametrize("args", [("-v", "load"), ("load", "-v"), ("load", "--verbose")])
def test_verbose_before_or_after_the_name(args, log):
    explained = bayeslaw.load(log).explain()
    assert explained not in run("load", log).stderr
    assert explained in run(*args, log).stderr


def test_quiet_leaves_errors_alone(tmp_path):
    assert "nowhere.csv" in run("load", str(tmp_path / "nowhere.csv"), "--quiet", code=2).stderr


def test_one_command_does_not_hush_the_next(log, capsys):
    run("-q", "-v", "load", log)
    assert not is_quiet()
    assert not is_verbose()
    talk("heard")
    assert capsys.readouterr().err == "bayeslaw: heard\n"


def test_quiet_saves_and_draws_without_a_word(log, tmp_path):
    picture = tmp_path / "events.png"
    assert "drew" in run("anomalies", log, "--plot", str(picture)).stderr
    picture.unlink()
    assert run("anomalies", log, "--plot", str(picture), "-q").stderr == ""
    assert picture.is_file()


def test_version_is_one_line():
    assert run("--version").output == f"bayeslaw, version {bayeslaw.__version__}\n"


@pytest.mark.parametrize("args", [(), ("models",), ("models", "chinchilla"), ("laws",), ("laws", "annealed")])
def test_no_colour_and_no_line_above_80_columns_where_piped(args):
    said = run(*args, "--help").output if not args else run(*args).output
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= 80
