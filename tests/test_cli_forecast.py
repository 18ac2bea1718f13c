"""``bayeslaw forecast``: what is asked of the engine, which is stood in for, and what is made of its answer."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import bayeslaw
from bayeslaw.cli import cli


def run(*args: str, code: int = 0):
    result = CliRunner().invoke(cli, list(args))
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def future(tmp_path):
    path = tmp_path / "future.csv"
    pd.DataFrame({"run": "b", "n_params": 7e10, "tokens": [4e9, 1.4e12]}).to_csv(path, index=False)
    return str(path)


def test_forecast_table(engine, future):
    result = run("forecast", "fit.nc", "--at", future, "--levels", "50,90")
    header, first, last = result.stdout.splitlines()
    assert header.split("  ")[-1].strip() == "90 % band"
    assert first.split()[:4] == ["b", "70B", "4B", "3.0000"]
    assert last.split() == ["b", "70B", "1.4T", "2.5000", "2.0000", "-", "3.0000", "1.6000", "-", "3.4000"]
    assert "bayeslaw: A note.\n" in result.stderr
    assert "nats per token" in result.stderr
    assert engine.asked["levels"] == (0.5, 0.9)
    assert engine.asked["given"] is None


def test_forecast_json_and_csv_agree_with_the_band(engine, future, log, tmp_path):
    out = tmp_path / "band.csv"
    result = run("forecast", "fit.nc", "--at", future, "--given", log, "--json", "-o", str(out), "--levels", "97.5")
    answer = json.loads(result.stdout)
    assert (answer["schema"], answer["levels"]) == ("bayeslaw.forecast/1", [0.975])
    assert answer["units"]["curve_lo97.5"] == "nats per token"
    assert answer["units"]["tokens"] == "tokens"
    assert "run" not in answer["units"]
    table = pd.read_csv(out)
    pd.testing.assert_frame_equal(table, pd.DataFrame(answer["rows"]), check_dtype=False)
    assert engine.asked["given"].names == ("a", "b")


def test_forecast_csv_on_stdout_is_nothing_else(engine, future):
    table = pd.read_csv(io.StringIO(run("forecast", "fit.nc", "--at", future, "-o", "-").stdout))
    assert list(table["tokens"]) == [4e9, 1.4e12]


def test_forecast_wants_one_thing_on_stdout(engine, future):
    assert "stdout" in run("forecast", "fit.nc", "--at", future, "-o", "-", "--json", code=2).stderr


@pytest.mark.parametrize("levels", ["0.5,0.9", "100", "high", ""])
def test_levels_are_per_cent(engine, future, levels):
    assert "--levels 50,90" in run("forecast", "fit.nc", "--at", future, "--levels", levels, code=2).stderr


def test_forecast_draws(engine, future, log, tmp_path):
    picture = tmp_path / "band.png"
    run("forecast", "fit.nc", "--at", future, "--given", log, "--plot", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_picture_in_an_unknown_format_is_bad_usage_before_forecasting(engine, future, tmp_path):
    assert "png" in run("forecast", "fit.nc", "--at", future, "--plot", str(tmp_path / "band.docx"), code=2).stderr
    assert engine.asked == {}


@pytest.fixture
def export(tmp_path, monkeypatch):
    """A W&B export of one run's loss, as its charts give it; the current folder is a fresh one."""
    monkeypatch.chdir(tmp_path)
    step = np.arange(1, 41) * 100
    loss = 2 + 30 / step**0.5
    table = {"Step": step, "big - train/loss": loss, "big - train/loss__MIN": loss, "big - train/loss__MAX": loss}
    pd.DataFrame(table).to_csv("export.csv", index=False)
    return tmp_path


def test_forecast_of_an_export_chooses_fits_tells_and_draws(engine, export, monkeypatch):
    monkeypatch.setitem(bayeslaw.__dict__, "ahead", lambda fit, **how: _ahead(how))
    result = run("forecast", "export.csv", "--batch-tokens", "4M", "--to", "2T", "--save", "big.nc")
    assert engine.asked["model"] == "power-law"
    assert "model power-law: one run" in result.stderr
    assert "learning rate is not in the log" in result.stderr
    assert "big at 2T tokens: 2.5000 nats, 90 % between 1.6000 and 3.4000" in result.stdout
    assert (export / "export.csv.forecast.png").read_bytes().startswith(b"\x89PNG")
    assert (export / "big.nc").is_file()
    assert not list(export.glob(".*"))


def _ahead(how):
    rows = pd.DataFrame({"run": "big", "step": np.linspace(5e3, 5e5, 12), "tokens": np.linspace(2e10, 2e12, 12)})
    assert how["tokens"] == "2T"
    return bayeslaw.Runs.from_frame(rows, need_loss=False)


def test_forecast_of_a_log_that_cannot_reach_its_target_fits_nothing(engine, export):
    assert "--batch-tokens 4M" in run("forecast", "export.csv", "--to", "2T", code=2).stderr
    assert "step 4,000" in run("forecast", "export.csv", "--to-step", "100", code=2).stderr
    assert not engine.asked
    assert not list(export.glob("*.png"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["export.csv"], "--to 2T"),
        (["export.csv", "--to", "2T", "--to-step", "5"], "in one way"),
        (["export.csv", "--to-step", "9000", "--given", "x.csv"], "is a log"),
        (["fit.nc", "--to", "2T", "--model", "chinchilla"], "is a fit already"),
        (["fit.nc", "other.nc", "--to", "2T"], "one fit, or logs"),
        (["export.csv", "--to-step", "9000", "--plot", "a.png", "--no-plot"], "exclude one another"),
    ],
)
def test_forecast_says_which_options_go_together(engine, export, args, words):
    assert words in " ".join(run("forecast", *args, code=2).stderr.split())


def test_a_saved_fit_that_failed_its_checks_is_used_with_a_warning_and_exit_code_1(engine, future):
    assert "warning" not in run("forecast", "fit.nc", "--at", future).stderr
    engine.ok = False
    for flags in ([], ["-q"]):
        result = run("forecast", "fit.nc", "--at", future, *flags, code=1)
        said = "bayeslaw: warning: Do not trust this fit. `bayeslaw check fit.nc` tells what to do.\n"
        assert said in result.stderr
        assert result.stdout
    answer = json.loads(run("forecast", "fit.nc", "--at", future, "--json", code=1).stdout)
    assert (answer["ok"], answer["verdict"]) == (False, "Do not trust this fit.")
    assert answer["notes"] == ["Do not trust this fit.", "A note."]


def test_quiet_leaves_the_warnings(engine, export, monkeypatch):
    monkeypatch.setitem(bayeslaw.__dict__, "ahead", lambda fit, **how: _ahead(how))
    said = run("forecast", "export.csv", "--batch-tokens", "4M", "--to", "2T", "-q").stderr.splitlines()
    assert said[0].startswith("bayeslaw: The learning rate is not in the log: ")
    assert said[1:] == ["bayeslaw: A note."]


def test_json_says_what_the_band_rests_on_and_counts_whole_steps(engine, export, monkeypatch):
    monkeypatch.setitem(bayeslaw.__dict__, "ahead", lambda fit, **how: _ahead(how))
    ask = ("forecast", "export.csv", "--batch-tokens", "4M", "--to", "2T", "--json", "-o", "band.csv")
    answer = json.loads(run(*ask).stdout)
    assert (answer["model"], answer["ok"], answer["verdict"]) == ("power-law", True, "All is well.")
    assert answer["why"].startswith("one run")
    assert "learning rate is not in the log" in answer["notes"][0]
    assert answer["notes"][-1] == "A note."
    assert all(isinstance(row["step"], int) for row in answer["rows"])
    assert pd.read_csv("band.csv")["step"].dtype == int
    saved = json.loads(run("forecast", "fit.nc", "--to", "2T", "--json").stdout)
    assert (saved["model"], saved["why"]) == ("chinchilla", "fit.nc is a fit of it.")


def test_reading_options_where_nothing_is_read_are_wrong_usage(engine, future):
    options = ["--n-params", "7B", "--batch-tokens", "4M", "--column", "loss=foo", "--group", "zzz"]
    error = run("forecast", "fit.nc", "--to", "2.5B", *options, code=2).stderr
    assert "--column, --n-params, --group, --batch-tokens say how a log is read, and fit.nc is a fit already" in error
    assert "--at or --given" in error
    assert engine.asked == {}
    run("forecast", "fit.nc", "--at", future, "--group", "zzz")
    assert set(engine.asked["at"].frame["group"]) == {"zzz"}


@pytest.fixture
def rated(export):
    """A log of one run with its learning rates."""
    step = np.arange(1, 41) * 100
    table = {"run": "big", "step": step, "lr": 3e-4 * (1 - step / 8000), "loss": 2 + 30 / step**0.5}
    pd.DataFrame(table).to_csv("rated.csv", index=False)
    return export


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--schedule", "foo"], "No schedule is called 'foo'"),
        (["--schedule", "wsd:decay=0.2", "--schedule", "cosine:bogus=3"], "has no 'bogus'"),
        (["--schedule", "cosine"], "lacks total"),
        (["--schedule", "cosine:total=3000"], "ends at step 3,000, and run 'big' is at step 4,000"),
        (["--schedule", "wsd", "-m", "power-law-steps"], "--model multi-power"),
        (["--schedule", "wsd", "--run", "nope"], "--run nope: there is no such run in rated.csv, which has 'big'"),
        (["--to-step", "9000", "--run", "nope"], "--run nope"),
    ],
)
def test_what_cannot_be_forecast_is_refused_before_fitting(engine, rated, args, words):
    error = run("forecast", "rated.csv", *args, code=2).stderr
    assert words in error
    assert "select(" not in error
    assert engine.asked == {}


def test_a_schedule_of_several_runs_asks_for_one_before_fitting(engine, rated):
    table = pd.read_csv("rated.csv")
    pd.concat([table, table.assign(run="other")]).to_csv("two.csv", index=False)
    assert "--run NAME, of big, other" in run("forecast", "two.csv", "--schedule", "wsd", code=2).stderr
    assert engine.asked == {}
