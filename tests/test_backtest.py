"""The backtest: the same numbers wherever it runs and however often it is stopped, and a summary that adds up."""

from __future__ import annotations

import importlib
import json
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest

from bayeslaw.backtest import backtest
from bayeslaw.backtest_parts import parts_of
from bayeslaw.backtest_result import Backtest
from bayeslaw.backtest_store import Store
from bayeslaw.backtest_work import Scored, Unit, run_unit, score_rows
from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError, FileError, FitError
from bayeslaw.splits import Split, make_splits

#: the attribute of the package is the verb
module = importlib.import_module("bayeslaw.backtest")
QUICK = {"model": [], "by": "origin", "origins": (0.3, 0.6), "baselines": ["last value", "power law"],
         "forecast_draws": 100, "most_rows": 20, "most_bins": 6}  # fmt: skip


@pytest.fixture(scope="module")
def few(toy_runs):
    return toy_runs.select("c4-1e+08", "c4-3e+08", "web-1e+08")


@pytest.fixture(scope="module")
def reference(few):
    return backtest(few, **QUICK)


def same(a: Backtest, b: Backtest) -> None:
    keys = ["model", "split", "level", "run", "tokens"]
    frames = [x.points.sort_values(keys, ignore_index=True) for x in (a, b)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_one_row_per_contestant_split_run_and_level(reference, few):
    frame = reference.frame
    assert len(frame) == 2 * 3 * 2 * 2
    assert not frame.duplicated(["model", "split", "level", "run"]).any()
    assert set(frame["origin"]) == {0.3, 0.6}
    raw = reference.points[reference.points["level"] == "raw"]
    assert raw.groupby(["model", "split"]).size().max() <= 20
    # the last row of each run is scored, and marked
    last = raw[raw["final"]]
    assert (last["step"] == 20_000).all()
    assert len(last) == 12
    assert (frame["cover95"] >= frame["cover50"]).all()
    assert (frame["rmse"] >= frame["mae"] - 1e-12).all()


def test_a_unit_is_a_pure_function_of_what_it_carries(few):
    parts = parts_of(few, make_splits(few, "run", only=["c4-1e+08"]), ("raw",), 10, 5)
    unit = Unit("power law", None, few.where("run != 'c4-1e+08'"), parts, settings={"seed": 1, "forecast_draws": 50})
    again = pickle.loads(pickle.dumps(unit))
    assert again.key == unit.key
    pd.testing.assert_frame_equal(run_unit(unit).points, run_unit(again).points)
    other = Unit("power law", None, unit.learn, parts, settings={"seed": 2, "forecast_draws": 50})
    assert other.key != unit.key


def test_a_stopped_backtest_goes_on_where_it_stopped(few, reference, tmp_path, monkeypatch):
    done = []

    def stopping(unit):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(unit.key)
        return run_unit(unit)

    monkeypatch.setattr(module, "run_unit", stopping)
    with pytest.raises(KeyboardInterrupt):
        backtest(few, **QUICK, folder=tmp_path)
    assert len(list(tmp_path.glob("*.parquet"))) == 5
    torn = next(tmp_path.glob("*.parquet"))
    torn.write_bytes(torn.read_bytes()[:100])
    again = []

    def counting(unit):
        again.append(unit.key)
        return run_unit(unit)

    monkeypatch.setattr(module, "run_unit", counting)
    seen = []
    result = backtest(few, **QUICK, folder=tmp_path, progress=lambda stage, k, n: seen.append((k, n)))
    assert len(again) == 12 - 5 + 1
    assert seen[0] == (4, 12)
    assert seen[-1] == (12, 12)
    same(result, reference)
    again.clear()
    same(backtest(few, **QUICK, folder=tmp_path), reference)
    assert again == []
    # other data, another answer
    backtest(few.where("step > 500"), **QUICK, folder=tmp_path)
    assert len(again) == 12


def test_two_processes_give_the_same_numbers(few, reference):
    with joblib.parallel_config(backend="loky", n_jobs=2):
        same(backtest(few, **QUICK), reference)


@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_gives_the_same_numbers(few, reference):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        same(backtest(few, **QUICK), reference)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_samples_the_same_posterior(few):
    distributed = pytest.importorskip("distributed")
    ask = {"by": "run", "only": ["c4-1e+08", "web-1e+08"], "chains": 2, "warmup": 100, "draws": 100, "max_bins": 12,
           "baselines": (), "forecast_draws": 100}  # fmt: skip
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        there = backtest(few, "chinchilla", **ask)
    same(there, backtest(few, "chinchilla", **ask))


def test_the_posterior_beside_baselines(toy_runs):
    held = toy_runs.where("n_params <= 3e8")
    result = backtest(held, "chinchilla", by="run", only=["web-3e+08"], approx="laplace", baselines=["last value"],
                      forecast_draws=200, max_bins=12, most_rows=20, most_bins=8)  # fmt: skip
    table = result.summary().set_index(["level", "model"])
    ours, theirs = table.loc[("raw", "chinchilla (laplace)")], table.loc[("raw", "last value")]
    assert ours["crps"] < theirs["crps"]
    assert ours["best_crps"] == "last value"
    assert ours["crps_skill"] == pytest.approx(1 - ours["crps"] / theirs["crps"])
    assert "better than last value" in str(result)


def test_same_rows_share_a_fit(few):
    splits = make_splits(few, "origin", origins=(0.2, 0.5), refit=False)
    assert len(module._sharing(splits)) == 3
    assert sorted(len(group) for group in module._sharing(splits)) == [2, 2, 2]


def made_up(cover=0.9, runs=40, rows=5, seed=0):
    """Points whose 90 % bands hold whole runs ``cover`` of the time."""
    rng = np.random.default_rng(seed)
    inside = np.repeat(rng.permutation(np.arange(runs) < cover * runs), rows)
    loss = np.where(inside, 3.0, 3.2)
    n = len(loss)
    points = pd.DataFrame(
        {"model": "m", "split": "s", "fold": "f", "origin": 0.5, "run": np.repeat([f"r{i}" for i in range(runs)], rows),
         "level": "raw", "final": np.tile(np.arange(rows) == rows - 1, runs), "loss": loss, "mean": 3.01, "sd": 0.05,
         "crps": 0.01, "log_score": -1.0, "pit": rng.random(n), "curve_error": 0.2}
    )  # fmt: skip
    for name, half in (("50", 0.05), ("80", 0.08), ("90", 0.1), ("95", 0.12)):
        points[f"lo{name}"], points[f"hi{name}"] = 3 - half, 3 + half
    return points


def test_the_summary_adds_up():
    result = Backtest(made_up(), ({"ok": False, "model": "m", "check": {}},), {"models": {"m": {}}})
    row = result.summary().iloc[0]
    assert row["cover90"] == pytest.approx(0.9)
    assert row["cover90_lo"] < 0.9 < row["cover90_hi"]
    assert row["interval_score"] == pytest.approx(0.2 + 0.1 * 20 * 0.1)
    assert row["relative_width"] == pytest.approx(0.9 * 0.2 / 3 + 0.1 * 0.2 / 3.2)
    assert row["rmse"] == pytest.approx(0.9 * 0.01 + 0.1 * 0.19)
    assert result.summary(final=True)["rows"].item() == 40
    assert np.isnan(row["crps_skill"])
    assert "1 of 1 fits did not pass" in str(result)


def test_contestants_are_compared_on_what_all_answered():
    ours, theirs = made_up(), made_up().assign(model="b", crps=0.02)
    theirs = theirs[theirs["run"] < "r2"]
    result = Backtest(pd.concat([ours, theirs], ignore_index=True), (), {"models": {"m": {}}})
    assert result.summary()["curves"].nunique() == 1
    assert result.summary(common=False)["curves"].nunique() == 2
    assert result.summary()["crps_skill"].iloc[0] == pytest.approx(0.5)


def test_json_comes_back_whole(reference, tmp_path):
    path = tmp_path / "fit.backtest.json"
    reference.save(path)
    back = Backtest.load(path)
    pd.testing.assert_frame_equal(back.frame, reference.frame, rtol=1e-4, atol=1e-5, check_dtype=False)
    content = json.loads(path.read_text())
    assert content["schema"] == "bayeslaw.backtest/1"
    assert {"cover90", "cover90_lo", "crps"} <= set(content["summary"][0])
    path.write_text('{"schema": "other"}')
    with pytest.raises(FileError, match="not a backtest"):
        Backtest.load(path)
    with pytest.raises(FileError, match="Cannot read"):
        Backtest.load(tmp_path / "none.json")


def test_a_smoothed_truth_is_scored_with_the_noise_that_it_has():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"run": ["a", "a"], "level": ["raw", "curve"], "loss": 3.0, "noise": [0.0, 0.01],
                         "n_eff": [1.0, 25.0], "final": True})  # fmt: skip
    curve = np.full((4000, 2), 3.0)
    observed = curve * np.exp(np.hypot(0.01, 0.003) * rng.standard_normal((4000, 2)))
    said = np.full(2, 0.01**2 / (0.01**2 + 0.003**2))
    for share in (said, None):
        scored = score_rows(rows, curve, observed, curve.mean(axis=0), share)
        np.testing.assert_allclose(scored["sd"] / 3, [np.hypot(0.01, 0.003), np.hypot(0.002, 0.003)], rtol=0.1)


@pytest.mark.parametrize("count", [60, 400])
def test_bands_of_a_perfect_forecast_cover_smoothed_curves_as_often_as_they_say(count):
    rng = np.random.default_rng(1)
    frame = pd.concat([
        pd.DataFrame({"run": f"r{i}", "step": 50.0 * np.arange(1, count + 1),
                      "loss": 3 * np.exp(0.03 * rng.standard_normal(count))})
        for i in range(81)
    ])  # fmt: skip
    runs = Runs.from_frame(frame)
    first = (runs.frame["run"] == "r0").to_numpy()
    (part,) = parts_of(runs, [Split("one", "one", 0.0, first, ~first)], ["curve"], 100, 20)
    curve = np.full((600, len(part.rows)), 3.0)
    observed = curve * np.exp(0.03 * rng.standard_normal(curve.shape))
    for share in (np.ones(len(part.rows)), None):
        scored = score_rows(part.rows, curve, observed, curve[0], share)
        inside = scored["loss"].between(scored["lo90"], scored["hi90"]).mean()
        # a contestant who does not say how its scatter averages away is granted too much rather than too little
        assert 0.87 < inside < (0.925 if share is not None else 0.96)


def test_few_runs_are_told_of():
    few, many = (Backtest(made_up(runs=n), (), {"models": {"m": {}}}) for n in (6, 40))
    assert "An interval over 6 runs is too narrow" in str(few)
    assert "too narrow" not in str(many)


def test_wrong_questions_are_refused(few, tmp_path):
    with pytest.raises(FitError, match="takes Runs"):
        backtest(few.frame)  # pyright: ignore[reportArgumentType]
    with pytest.raises(FitError, match="'laplace'"):
        backtest(few, approx="vi")
    with pytest.raises(FitError, match="No baseline is called 'mean'"):
        backtest(few, baselines=["mean"])
    with pytest.raises(FitError, match="levels are among raw, curve"):
        backtest(few, levels=["smooth"])
    with pytest.raises(FitError, match="No contestant"):
        backtest(few, [], by="run", baselines=["Tissue"])
    with pytest.raises(DataError, match="no losses"):
        backtest(Runs.from_frame(few.frame.drop(columns="loss"), need_loss=False), by="run")
    points = few.where("step == 20000")
    with pytest.raises(DataError, match="no curve to smooth"):
        backtest(points, [], by="run", levels=["curve"])
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="Cannot make the folder"):
        Store(tmp_path / "file" / "x")
    assert Store(None).get("k") is None
    Store(None).put(Scored(pd.DataFrame(), {"key": "k"}))
