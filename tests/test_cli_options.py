"""Options that mean the same everywhere: -v, -q, --seed, --version; and text that fits where it is read."""

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import bayeslaw
from bayeslaw.cli import COMMANDS, cli
from bayeslaw.cli.common import is_quiet, is_verbose, talk
from bayeslaw.cli.output import emit_table, emit_text

NAMES = [str(command.name) for command in COMMANDS]
#: commands that draw random numbers
DRAWING = {"fit", "forecast", "plan", "next-runs", "backtest", "compare", "report", "demo"}


def run(*args: str, code: int = 0):
    result = CliRunner().invoke(cli, list(args), prog_name="bayeslaw")
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


@pytest.fixture
def long_log(tmp_path):
    """A log of one run with so many rows that there is nothing to warn of."""
    step = np.arange(1, 1201)
    loss = (2 + 30 / (step + 100) ** 0.5) * np.exp(0.01 * np.random.default_rng(0).standard_normal(len(step)))
    path = tmp_path / "long.csv"
    pd.DataFrame({"step": step, "loss": loss}).to_csv(path, index=False)
    return str(path)


def test_quiet_leaves_the_warnings(log):
    assert "rows of a run only teach the noise" in run("anomalies", log, "-q").stderr


def test_anomalies_says_which_options_go_together_and_which_runs_there_are(log):
    assert "--checkpoint goes with --end" in run("anomalies", log, "--checkpoint", "3000", code=2).stderr
    error = run("anomalies", log, "--run", "nope", code=2).stderr
    assert "--run nope: there is no such run in log.csv, which has 'log'" in error
    assert "select(" not in error


def test_quiet_saves_and_draws_without_a_word(long_log, tmp_path):
    log = long_log
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


LONG = [["llama-2.8b-c4-lr2e-4", "c4", "2.8B", "20,000", "40B", "2.3786", "2.3786 - 2.3999"],
        ["llama-6.9b-c4-lr1e-4-second-attempt", "c4", "6.9B", "6,000", "40B", "2.4869", "2.3786 - 2.3999"]]  # fmt: skip
HEADER = ["run", "group", "n_params", "step", "tokens", "median", "90 % band"]


def test_what_all_rows_of_a_wide_table_share_stands_above_it(capsys):
    emit_table(HEADER, LONG, left=2)
    above, *table = capsys.readouterr().out.splitlines()
    assert above == "group c4, tokens 40B, 90 % band 2.3786 - 2.3999"
    assert table[0].split() == ["run", "n_params", "step", "median"]
    assert table[1].split() == ["llama-2.8b-c4-lr2e-4", "2.8B", "20,000", "2.3786"]


def test_an_empty_column_that_all_rows_share_is_not_said(capsys):
    emit_table([*HEADER, ""], [[*row, ""] for row in LONG], left=2)
    assert capsys.readouterr().out.startswith("group c4, tokens 40B, 90 % band 2.3786 - 2.3999\n")


@pytest.mark.parametrize("count", [1, 2])
def test_a_wide_table_fits_and_keeps_every_cell(count, capsys):
    rows = [[*row[:5], "x" * (20 + i), row[6]] for i, row in enumerate(LONG[:count])]
    emit_table(HEADER, rows, left=2)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    bare = "".join(said.split())
    for row in rows:
        assert all(cell.replace(" ", "") in bare for cell in row[2:])


def test_a_long_name_is_broken_at_its_marks(capsys):
    emit_table(["run", "what"], [["llama-2.8b-c4-lr2e-4-second-attempt", "x" * 60], ["b", "y" * 60]])
    names = [line[:18].strip() for line in capsys.readouterr().out.splitlines()]
    assert names == ["run", "llama-2.8b-c4-", "lr2e-4-second-", "attempt", "b"]


def test_a_narrow_table_is_left_as_it_is(capsys):
    emit_table(["run", "step"], [["a", "1"], ["b", "1"]])
    assert capsys.readouterr().out == "run  step\na       1\nb       1\n"


def test_sentences_are_broken_between_words_on_a_terminal_alone(capsys, monkeypatch):
    sentence = "  " + "word " * 30 + "end"
    emit_text(sentence)
    assert capsys.readouterr().out == f"{sentence}\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    emit_text(f"short  line\n\n{sentence}\n")
    first, blank, *rest, last = capsys.readouterr().out.splitlines()
    assert (first, blank, last) == ("short  line", "", "")
    assert len(rest) > 1
    assert all(len(line) <= 80 for line in rest)
    assert " ".join(rest).split() == sentence.split()


@pytest.mark.parametrize(
    ("args", "said", "teacher"),
    [
        (("fitt",), "No such command 'fitt'.", "bayeslaw"),
        (("check",), "Missing argument 'FIT'.", "bayeslaw check"),
        (("models", "--jsn"), "No such option", "bayeslaw models"),
        (("forecast", "a.csv"), "Say what to forecast, in one way", "bayeslaw forecast"),
    ],
)
def test_wrong_usage_is_one_paragraph(args, said, teacher):
    error = run(*args, code=2).stderr
    assert error.startswith(f"bayeslaw: {said}")
    assert error.endswith(f" `{teacher} --help` tells more.\n")
    assert error.count("\n") == 1
