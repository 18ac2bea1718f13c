"""The commands. Sampling is stood in for: what is under test is what is asked of it, and what is made of its answer."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import bayeslaw
from bayeslaw.cli import cli
from bayeslaw.cli.output import emit_table
from bayeslaw.errors import FitError

LOG = pd.DataFrame(
    {
        "run": ["a"] * 4 + ["b"] * 3,
        "n_params": [1e8] * 4 + [7e10] * 3,
        "step": [100, 200, 300, 400, 100, 200, 300],
        "tokens": [1e8, 2e8, 3e8, 4e8, 1e9, 2e9, 3e9],
        "train/loss": [4.0, 3.6, 3.4, 3.3, 3.9, 3.1, 2.9],
        "split": ["fit"] * 4 + ["fit", "test", "test"],
    }
)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    LOG.to_csv(path, index=False)
    return str(path)


def run(*args: str, code: int = 0):
    result = CliRunner().invoke(cli, list(args))
    assert result.exit_code == code, result.output
    return result


@dataclass
class Engine:
    """Stands in for fit, load_fit and forecast; remembers what it was asked."""

    ok: bool = True
    width: float = 0.01  # half a band, nats per per cent of its level
    asked: dict[str, Any] = field(default_factory=dict)

    def fit(self, runs, **options):
        self.asked |= {"runs": runs, **options}
        return self

    def load_fit(self, path):
        if path == "missing.nc":
            raise FitError("missing.nc is not there. Fit first.")
        return self

    def save(self, path):
        with open(path, "w") as file:
            file.write("fit")

    def check(self):
        frame = pd.DataFrame({"parameter": ["E", "A"], "r_hat": [1.001, math.nan]})

        class Check(SimpleNamespace):
            def __str__(self):
                return "All is well." if self.ok else "Do not trust this fit."

        return Check(ok=self.ok, frame=frame)

    def __str__(self):
        return "Fit of chinchilla."

    def forecast(self, fit, at, given=None, levels=(0.5, 0.9), seed=0, backtest=None):
        self.asked |= {"at": at, "given": given, "levels": levels, "seed": seed}
        frame = at.frame[[c for c in ("run", "n_params", "recurrence", "step", "tokens") if c in at.frame]].reset_index(
            drop=True
        )
        frame["mean"] = frame["median"] = np.linspace(3, 2.5, len(frame))
        for name in (f"{100 * level:g}" for level in levels):
            for side, sign in (("lo", -1), ("hi", 1)):
                frame[side + name] = frame["median"] + sign * self.width * float(name)
                frame[f"curve_{side}{name}"] = frame["median"] + sign * 0.001 * float(name)
        return SimpleNamespace(frame=frame, notes=("A note.",))


@pytest.fixture
def engine(monkeypatch):
    engine = Engine()
    for name in ("fit", "load_fit", "forecast"):
        # a module that is imported later would put its own function back
        getattr(bayeslaw, name)
        monkeypatch.setitem(bayeslaw.__dict__, name, getattr(engine, name))
    return engine


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
    ],
)
def test_forecast_says_which_options_go_together(engine, export, args, words):
    assert words in " ".join(run("forecast", *args, code=2).stderr.split())


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
