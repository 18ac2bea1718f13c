"""The commands. Sampling is stood in for: what is under test is what is asked of it, and what is made of its answer."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from click.testing import CliRunner

import bayeslaw
from bayeslaw.cli import cli
from bayeslaw.cli.output import emit_table


def run(*args: str, code: int = 0):
    result = CliRunner().invoke(cli, list(args))
    assert result.exit_code == code, result.output
    return result


def test_load_shows_one_line_per_run(log):
    lines = run("load", log).stdout.splitlines()
    assert lines[0].split("  ")[0] == "run"
    assert lines[1].split() == ["a", "100M", "4", "400", "400M", "4.0000", "3.3000"]
    assert lines[2].split() == ["b", "70B", "3", "300", "3B", "3.9000", "2.9000"]


def test_load_json_has_schema_units_and_mapping(log):
    answer = json.loads(run("load", log, "--json").stdout)
    assert answer["schema"] == "bayeslaw.load/1"
    assert answer["mapping"]["loss"] == "train/loss"
    assert answer["units"]["last_loss"] == "nats per token"
    assert answer["runs"][1]["n_params"] == 7e10
    assert answer["fingerprint"] == bayeslaw.load(log).fingerprint


def test_load_explains(log):
    assert run("load", log, "--explain").stdout.strip() == bayeslaw.load(log).explain()


def test_reading_options_reach_the_table(tmp_path):
    path = tmp_path / "bare.csv"
    pd.DataFrame({"step": [1, 2], "my=loss": [3.0, 2.9]}).to_csv(path, index=False)
    options = ["--column", "loss=my=loss", "--n-params", "1.5B", "--group", "c4", "--batch-tokens", "0.5M", "--json"]
    row = json.loads(run("load", str(path), *options).stdout)["runs"][0]
    assert (row["n_params"], row["group"], row["tokens"], row["last_loss"]) == (1.5e9, "c4", 1e6, 2.9)


def test_a_column_option_without_equals_says_what_to_write(log):
    assert "--column loss=train/loss" in run("load", log, "--column", "loss", code=2).stderr


def test_missing_file_is_bad_input():
    result = run("load", "nowhere.csv", code=2)
    assert result.stdout == ""
    assert "nowhere.csv" in result.stderr


def test_fit_passes_its_options_on_and_saves(engine, log, tmp_path):
    out = tmp_path / "fit.nc"
    options = ["-m", "looped-total", "--seed", "3", "--chains", "2", "--warmup", "50", "--draws", "60", "--quiet"]
    options += ["--data-order", "x"]
    result = run("fit", log, "-o", str(out), *options, "--where", "split == 'fit'")
    assert result.stdout == "Fit of chinchilla.\n"
    assert result.stderr == ""
    assert out.read_text() == "fit"
    asked = engine.asked
    expected = {"model": "looped-total", "seed": 3, "chains": 2, "warmup": 50, "draws": 60, "progress": None}
    assert {name: asked[name] for name in expected} == expected
    assert len(asked["runs"].frame) == 5
    assert set(asked["runs"].frame["data_order"]) == {"x"}


def test_fit_talks_on_stderr_only(engine, log, tmp_path):
    result = run("fit", log, "-o", str(tmp_path / "fit.nc"))
    assert "saved to" in result.stderr
    assert result.stdout == "Fit of chinchilla.\n"


def test_a_fit_not_to_be_trusted_is_saved_and_exits_1(engine, log, tmp_path):
    engine.ok = False
    out = tmp_path / "fit.nc"
    answer = json.loads(run("fit", log, "-o", str(out), "--quiet", "--json", code=1).stdout)
    assert (answer["schema"], answer["ok"], answer["verdict"]) == ("bayeslaw.fit/1", False, "Do not trust this fit.")
    assert out.exists()


@pytest.mark.parametrize("out", ["nowhere/fit.nc", "."])
def test_an_output_that_cannot_be_written_fails_before_sampling(engine, log, out):
    run("fit", log, "-o", out, code=2)
    assert engine.asked == {}


def test_a_bad_query_is_bad_input(engine, log, tmp_path):
    result = run("fit", log, "-o", str(tmp_path / "f.nc"), "--where", "nonsense ==", code=2)
    assert "nonsense ==" in result.stderr
    assert engine.asked == {}


def test_check(engine):
    assert run("check", "fit.nc").stdout == "All is well.\n"
    engine.ok = False
    assert run("check", "fit.nc", code=1).stdout == "Do not trust this fit.\n"
    answer = json.loads(run("check", "fit.nc", "--json", code=1).stdout)
    assert answer["checks"] == [{"parameter": "E", "r_hat": 1.001}, {"parameter": "A", "r_hat": None}]


def test_check_of_a_missing_fit(engine):
    assert run("check", "missing.nc", code=2).stderr == "bayeslaw: missing.nc is not there. Fit first.\n"


def test_laws():
    lines = run("laws").stdout.splitlines()
    assert lines[0].split() == ["law", "formula"]
    # what does not fit into 80 characters goes on, indented, below
    assert [line.split()[0] for line in lines[1:] if line[0] != " "] == list(bayeslaw.LAWS)
    shown = run("laws", "chinchilla").stdout
    assert "Hoffmann et al. 2022, arXiv 2203.15556" in shown
    assert "L = E + A / N^alpha + B / D^beta" in shown
    assert "nats * tokens^beta" in shown
    answer = json.loads(run("laws", "chinchilla", "--json").stdout)
    assert [symbol["name"] for symbol in answer["laws"][0]["symbols"]] == ["E", "A", "alpha", "B", "beta"]


@pytest.mark.parametrize("name", list(bayeslaw.LAWS))
def test_lists_and_cards_fit_into_80_columns(name):
    for line in (["laws"], ["models"], ["laws", name]):
        assert max(map(len, run(*line).stdout.splitlines())) <= 80, line


def test_a_wrapped_table_keeps_every_word(capsys):
    emit_table(["name", "what", "unit"], [["a", "word " * 40, "nats"], ["b", "", "1"]], left=3, wrap=1)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).split().count("word") == 40
    assert lines[1].split()[0] == "a"
    assert lines[1].split()[-1] == "nats"
    assert lines[-1].split() == ["b", "1"]


def test_an_unknown_law_is_bad_input():
    assert "chinchilla" in run("laws", "chincilla", code=2).stderr


def test_models():
    names = [line.split()[0] for line in run("models").stdout.splitlines()[1:] if line[0] != " "]
    assert {"chinchilla", "multi-power"} <= set(names)
    assert str(bayeslaw.load_card("chinchilla")).strip() == run("models", "chinchilla").stdout.strip()
    assert "chinchilla" in run("models", "chincilla", code=2).stderr
    assert [model["name"] for model in json.loads(run("models", "--json").stdout)["models"]] == names


def test_demo_fits_forecasts_and_draws_into_the_current_folder(engine, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    engine.ok = False  # whatever the verdict, the demo itself has done its work
    result = run("demo", "--quiet")
    assert result.stderr == ""
    assert engine.asked["model"] == "looped-total"
    assert "test" not in set(engine.asked["runs"].frame["split"])
    assert result.stdout.startswith("Fit of chinchilla.\n\nrun ")
    verdict = result.stdout.splitlines()[-1]
    assert verdict.startswith("Verdict: the sampling cannot be trusted yet, and ")
    assert " of the 12 losses held back lie in their 90 % band (11 expected" in verdict
    assert (tmp_path / "bayeslaw_demo.png").read_bytes().startswith(b"\x89PNG")
    assert run("demo").stderr.startswith("bayeslaw: Demo data: ")
