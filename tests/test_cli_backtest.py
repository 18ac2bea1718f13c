"""``backtest``, ``compare`` and ``forecast --schedule``: what is asked of Python, and what is made of its answer."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import bayeslaw
from bayeslaw.backtest_result import Backtest
from bayeslaw.cli import cli
from bayeslaw.whatif import WhatIf


@pytest.fixture
def log(tmp_path):
    step = np.arange(1, 31) * 100
    parts = [
        pd.DataFrame(
            {"run": name, "step": step, "loss": 2.5 + shift + 20 / step, "split": np.where(step < 2000, "fit", "test")}
        )
        for name, shift in (("a", 0.0), ("b", 0.1))
    ]
    path = tmp_path / "log.csv"
    pd.concat(parts).to_csv(path, index=False)
    return str(path)


def run(*args: str, code: int = 0):
    result = CliRunner().invoke(cli, list(args))
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def without_models(monkeypatch):
    """The real backtest, asked for no posterior: baselines are enough to see what comes out."""
    real, asked = bayeslaw.backtest, {}

    def backtest(runs, models, **options):
        asked.update(models=models, **options)
        return real(runs, [], **options)

    monkeypatch.setattr(bayeslaw, "backtest", backtest)
    return asked


def test_backtest_prints_saves_and_draws(log, tmp_path, without_models):
    out, picture = tmp_path / "fit.backtest.json", tmp_path / "calibration.png"
    result = run("backtest", log, "-m", "multi-power", "--by", "origin", "--origins", "20,50", "--run", "a",
                 "--baseline", "power law", "-o", str(out), "--plot", str(picture), "--quiet")  # fmt: skip
    assert "observed losses: 2 curves of 1 runs" in result.stdout
    assert "power law" in result.stdout
    assert picture.stat().st_size > 10_000
    saved = Backtest.load(out)
    assert set(saved.points["origin"]) == {0.2, 0.5}
    assert without_models["models"] == ("multi-power",)
    assert without_models["only"] == ("a",)
    answer = json.loads(run("backtest", log, "--by", "split", "--baseline", "last value", "--json", "--quiet").stdout)
    assert answer["schema"] == "bayeslaw.backtest/1"
    assert answer["summary"][0]["model"] == "last value"


def test_backtest_usage(log):
    assert "--origins goes with" in run("backtest", log, "--by", "run", "--origins", "20", code=2).output
    assert "write per cent" in run("backtest", log, "--origins", "x", code=2).output
    assert "--run goes with" in run("backtest", log, "--by", "size", "--run", "a", code=2).output
    assert (
        "--run nope: there is no such run in log.csv, which has 'a', 'b'"
        in run("backtest", log, "--run", "nope", code=2).output
    )
    assert "needs the column n_params" in run("backtest", log, "--by", "size", code=2).output


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--approx", "laplace", "--draws", "10", "--chains", "1"], "--chains, --draws: options of NUTS"),
        (["--no-baselines", "--baseline", "nonsense"], "--no-baselines and --baseline exclude one another"),
        (["--split-column", "part"], "--split-column goes with --by split"),
    ],
)
def test_options_that_would_change_nothing_are_wrong_usage(log, args, words):
    assert words in run("backtest", log, *args, code=2).stderr


def test_compare_has_a_dash_for_an_error_that_one_run_cannot_give(log, monkeypatch):
    names = ["future_score", "future_diff", "future_se", "cover90", "elpd_loo", "loo_diff", "loo_se"]
    frame = pd.DataFrame({"model": ["a", "b"], **dict.fromkeys(names, 1.0)}).assign(future_se=np.nan, loo_se=np.nan)
    found = SimpleNamespace(frame=frame, sentence="Use a.", notes=())
    monkeypatch.setattr(bayeslaw, "compare", lambda runs, models, **options: found)
    _, first, *_ = run("compare", log, "-q").stdout.splitlines()
    assert first.split() == ["a", "1.00", "1.00", "-", "1.00", "1.0", "1.0", "-"]


def test_compare_prints_the_sentence(log, monkeypatch):
    names = ["future_score", "future_diff", "future_se", "cover90", "elpd_loo", "loo_diff", "loo_se"]
    frame = pd.DataFrame({"model": ["a", "b"], **dict.fromkeys(names, 1.0)})
    asked = {}

    def compare(runs, models, **options):
        asked.update(models=models, **options)
        return SimpleNamespace(frame=frame, sentence="Use a.", notes=("b: slow",))

    monkeypatch.setattr(bayeslaw, "compare", compare)
    result = run("compare", log, "-m", "chinchilla", "-m", "annealed", "--share", "60", "--quiet")
    assert "Use a." in result.stdout
    assert "b: slow" in result.stderr
    assert asked["models"] == ["chinchilla", "annealed"]
    assert asked["share"] == 0.6
    assert json.loads(run("compare", log, "--json", "--quiet").stdout)["sentence"] == "Use a."


def test_forecast_under_schedules(engine, tmp_path, monkeypatch):
    band = pd.DataFrame({"run": "a", "step": [100.0, 200.0], "tokens": [1e9, 2e9], "lr": [3e-4, 0.0], "median": 3.0})
    for name in ("lo50", "hi50", "lo90", "hi90", "curve_lo90", "curve_hi90"):
        band[name] = 3.0 + 0.1 * (name[-4:-2] == "hi")
    frame = pd.DataFrame([band.iloc[-1].to_dict() | {"schedule": s, "gain": 0.1, "gain_lo90": 0.0, "gain_hi90": 0.2}
                          for s in ("wsd:decay=0.2", "constant:total=200")])  # fmt: skip
    found = WhatIf(frame, {s: SimpleNamespace(frame=band) for s in frame["schedule"]}, ("a note",))  # pyright: ignore[reportArgumentType]
    asked = {}

    def what_if(fit, run, **options):
        asked.update(run=run, **options)
        return found

    monkeypatch.setattr(bayeslaw, "what_if", what_if)
    lines = ["--schedule", "wsd:decay=0.2", "--schedule", "constant:total=200"]
    result = run("forecast", "fit.nc", "--run", "a", *lines, "--plot", str(tmp_path / "w.png"))
    assert "a note" in result.stderr
    assert result.stdout.splitlines()[0] == "run a"
    assert "0.1000 (0.0000 - 0.2000)" in result.stdout
    assert asked["schedules"] == ("wsd:decay=0.2", "constant:total=200")
    assert (tmp_path / "w.png").stat().st_size > 10_000
    answer = json.loads(run("forecast", "fit.nc", *lines, "--json").stdout)
    assert answer["schema"] == "bayeslaw.what-if/1"
    assert answer["rows"][0]["schedule"] == "wsd:decay=0.2"
    assert (answer["model"], answer["ok"], answer["notes"]) == ("chinchilla", True, ["a note"])
    bands = pd.read_csv(pd.io.common.StringIO(run("forecast", "fit.nc", *lines, "-o", "-").stdout))
    assert len(bands) == 4
    assert "--at FILE" in run("forecast", "fit.nc", code=2).output
    assert "--run goes with" in run("forecast", "fit.nc", "--at", "x.csv", "--run", "a", code=2).output


def test_a_backtest_beside_the_fit_is_found(tmp_path, monkeypatch):
    from bayeslaw.cli.forecasting import stored_backtest

    assert stored_backtest(str(tmp_path / "fit.nc"), None) is None
    mine = Backtest(pd.DataFrame({"model": []}), (), {})
    monkeypatch.setattr(Backtest, "load", classmethod(lambda cls, path: (mine, str(path))))
    (tmp_path / "fit.backtest.json").write_text("{}")
    assert stored_backtest(str(tmp_path / "fit.nc"), None) == (mine, str(tmp_path / "fit.backtest.json"))
    assert stored_backtest(str(tmp_path / "fit.nc"), "b.json") == (mine, "b.json")
