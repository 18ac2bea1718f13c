"""Logs that the real packages wrote (``make_fixtures.py``): every point is there, and right."""

import importlib.util
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bayeslaw.readers import load

SCRIPT = Path(__file__).parent / "make_fixtures.py"
ALL = list(range(1, 81))


def check(runs, logged, steps, *, rtol=1e-6, run=None):
    """The kept curve has exactly these steps and the loss that was logged."""
    curve = runs.curve(run or runs.names[0])
    assert curve["step"].tolist() == list(steps)
    np.testing.assert_allclose(curve["loss"], [logged(s) for s in steps], rtol=rtol)
    return curve


def kinds(runs):
    return runs.facts.set_index("kind")["count"].to_dict()


def check_tensorboard(folder, logged):
    runs = load(folder)
    assert runs.names == ("other", "resumed")
    check(runs, logged, range(1, 21), run="other")
    curve = check(runs, logged, ALL, run="resumed")
    np.testing.assert_allclose(curve["lr"], [1e-3 * min(1, s / 10) for s in ALL], rtol=1e-6)
    assert curve["eval/loss"].notna().sum() == 4
    assert kinds(runs) == {"rewind": 10}


def check_wandb(folder, logged):
    runs = load(folder)
    assert runs.names == ("small-run",)
    curve = check(runs, logged, [s for s in ALL if s != 7], rtol=1e-12)
    np.testing.assert_allclose(curve["lr"], [1e-3 * min(1, s / 10) for s in ALL if s != 7], rtol=1e-12)
    assert kinds(runs) == {"nonfinite_loss": 1, "sparse_rows": 5}
    assert runs.frame["eval/loss"].notna().sum() == 4
    assert "weights" not in runs.frame


def check_metrics(path, logged):
    """MLflow's and Trackio's: 30 steps, the seventh NaN."""
    runs = load(path)
    assert runs.names == ("small-run",)
    curve = check(runs, logged, [s for s in range(1, 31) if s != 7], rtol=1e-12)
    np.testing.assert_allclose(curve["lr"], [1e-3 * min(1, s / 10) for s in range(1, 31) if s != 7], rtol=1e-12)
    assert kinds(runs) == {"nonfinite_loss": 1}


def check_lightning(path, logged):
    runs = load(path)
    curve = runs.curve("metrics")
    assert curve["step"].tolist() == list(range(1, 80, 2))  # Lightning counts from 0: step 1 is the second batch
    np.testing.assert_allclose(curve["loss"], [logged(s + 1) for s in range(1, 80, 2)], rtol=1e-6)
    assert curve["lr"].notna().all(), "the learning rate stands in rows of its own and was not brought over"
    np.testing.assert_allclose(curve["lr"].iloc[[0, -1]], [1e-3, 1e-6], rtol=1e-3)
    assert kinds(runs) == {"sparse_rows": 42}


def check_trainer_state(path, logged):
    runs = load(path)
    curve = runs.curve(runs.names[0])
    assert curve["step"].tolist() == list(range(5, 81, 5))
    means = np.array([np.mean([logged(s) for s in range(end - 4, end + 1)]) for end in range(5, 81, 5)])
    whole = np.arange(5, 81, 5) != 35  # the window with the NaN, where the filter put in a number of its own
    np.testing.assert_allclose(curve["loss"][whole], means[whole], rtol=2e-3)
    assert abs(curve["loss"][6] / means[6] - 1) > 0.05
    assert kinds(runs) == {"sparse_rows": 2, "window_mean": 16}


def test_tensorboard(logs, logged):
    check_tensorboard(logs / "tensorboard", logged)
    folder = logs / "tensorboard" / "resumed"
    check(load(folder), logged, ALL)
    files = sorted(folder.iterdir())
    assert load(files).names == ("resumed",)
    check(load(files), logged, ALL)
    runs = load(files[0], run="mine")
    assert runs.names == ("mine",)
    check(runs, logged, range(1, 61))


def test_wandb(logs, logged):
    check_wandb(logs / "wandb", logged)
    (path,) = (logs / "wandb").rglob("*.wandb")
    check_wandb(path, logged)
    check_wandb(path.parent, logged)


def test_mlflow_files(logs, logged):
    check_metrics(logs / "mlflow" / "mlruns", logged)
    (run,) = [p.parent for p in (logs / "mlflow" / "mlruns").glob("*/*/meta.yaml")]
    check_metrics(run, logged)


@pytest.mark.parametrize("name", ["mlflow/mlflow.sql", "trackio/trackio.sql"])
def test_databases(database, logged, name):
    check_metrics(database(name), logged)


def test_mlflows_database_writes_the_largest_number_for_infinity(database):
    path = database("mlflow/mlflow.sql")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE metrics SET value = 1.7976931348623157e308 WHERE key = 'train/loss' AND step = 9")
    connection.close()
    runs = load(path)
    assert kinds(runs) == {"nonfinite_loss": 2}
    assert runs.curve("small-run")["loss"].max() < 10


def test_lightning(logs, logged):
    check_lightning(logs / "lightning" / "version_0" / "metrics.csv", logged)


def test_transformers(logs, logged):
    check_trainer_state(logs / "transformers" / "trainer_state.json", logged)
    check_trainer_state(logs / "transformers", logged)


def test_a_folder_of_checkpoints_gives_its_newest_state(logs, tmp_path):
    text = (logs / "transformers" / "trainer_state.json").read_text()
    for step, content in ((9, "{}"), (80, text)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(content)
    assert load(tmp_path).names == (tmp_path.name,)


def test_a_deleted_run_of_mlflow_is_left_out(logs, tmp_path):
    from shutil import copytree

    copytree(logs / "mlflow" / "mlruns", tmp_path / "mlruns")
    (meta,) = (tmp_path / "mlruns").glob("*/*/meta.yaml")
    meta.write_text(meta.read_text().replace("lifecycle_stage: active", "lifecycle_stage: deleted"))
    with pytest.raises(ValueError, match="holds no run with a metric"):
        load(tmp_path / "mlruns")


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_a_step_of_mlflow_that_was_cut_off_is_not_read(logs, tmp_path, cut):
    """12 may be the beginning of step 125, and a line without its step is none of step 0."""
    from shutil import copytree

    copytree(logs / "mlflow" / "mlruns", tmp_path / "mlruns")
    (metric,) = (tmp_path / "mlruns").glob("*/*/metrics/train/loss")
    before = load(tmp_path / "mlruns")
    (name,) = before.names
    metric.write_bytes(metric.read_bytes()[:-cut])
    runs = load(tmp_path / "mlruns")
    assert "torn_line" in runs.facts["kind"].tolist()
    assert runs.curve(name)["step"].tolist() == before.curve(name)["step"].tolist()[:-1]


def test_two_wandb_runs_and_a_resume(logs, tmp_path):
    """Two folders with one id are one run, in the order of their dates; a second id is a second run."""
    (path,) = (logs / "wandb").rglob("*.wandb")
    data = path.read_bytes()
    for folder, content in (
        ("offline-run-20240101_000000-abc12345", data),
        ("offline-run-20240102_000000-abc12345", data),
        ("offline-run-20240103_000000-zzz", b""),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"run-{folder[-8:]}.wandb").write_bytes(content or data[:7])
    runs = load(tmp_path)
    assert runs.names == ("small-run",)
    assert kinds(runs)["rewind"] == 79


def test_a_list_joins_parts_of_a_run_and_keeps_namesakes_apart(logs, tmp_path):
    from shutil import copytree

    (log,) = (logs / "wandb").rglob("*.wandb")
    for folder in ("offline-run-20240102_000000-abc12345", "offline-run-20240103_000000-zzz"):
        copytree(log.parent, tmp_path / folder)
    other = tmp_path / "offline-run-20240103_000000-zzz" / log.name
    other = other.rename(other.with_name("run-zzz.wandb"))
    assert load([log, tmp_path / "offline-run-20240102_000000-abc12345" / log.name]).names == ("small-run",)
    assert load([log.parent, tmp_path / "offline-run-20240102_000000-abc12345"]).names == ("small-run",)
    assert load([log, other]).names == ("small-run (run-abc12345)", "small-run (run-zzz)")
    for name in ("a", "b"):
        copytree(logs / "tensorboard" / "other", tmp_path / name / "logs")
    assert load([tmp_path / "a" / "logs", tmp_path / "b" / "logs"]).names == ("logs (a/logs)", "logs (b/logs)")
    assert load([next((tmp_path / n / "logs").iterdir()) for n in ("a", "b")]).names[0].startswith("logs (a/logs/")


def test_the_current_folder(logs, monkeypatch):
    monkeypatch.chdir(logs / "tensorboard" / "resumed")
    runs = load(".")
    assert (runs.names, runs.source) == (("resumed",), "resumed")


def test_a_folder_with_logs_of_several_kinds_says_which_it_read(logs):
    runs = load(logs)
    assert runs.names == ("small-run",)
    (note,) = [n for n in runs.notes if "which were not" in n]
    assert "logs of W&B, which were read, and of MLflow and TensorBoard and Lightning" in note


def test_a_folder_of_lightnings_versions(logs, tmp_path):
    from shutil import copytree

    copytree(logs / "lightning" / "version_0", tmp_path / "version_0")
    assert load(tmp_path).names == ("version_0",)
    copytree(logs / "lightning" / "version_0", tmp_path / "version_1")
    assert load(tmp_path).names == ("version_0", "version_1")


def test_trackios_parquet_has_names_and_ids(tmp_path):
    """The columns that trackio's export_to_parquet writes."""
    import pandas as pd

    frame = pd.DataFrame({"id": [1, 2], "run_id": "f00", "timestamp": "2024-01-01T00:00:00+00:00", "run_name": "a"})
    frame.assign(step=[1, 2], loss=[4.0, 3.0], log_id="x").to_parquet(tmp_path / "project.parquet")
    assert load(tmp_path / "project.parquet").names == ("a",)


CHECKS = {
    "tensorboard": (("torch", "tensorboard", "tensorboardX"), check_tensorboard, "."),
    "wandb": (("wandb",), check_wandb, "."),
    "mlflow": (("mlflow", "sqlalchemy"), check_metrics, "mlflow.db"),
    "trackio": (("trackio",), check_metrics, "project.db"),
    "lightning": (("lightning",), check_lightning, "version_0/metrics.csv"),
    "transformers": (("transformers", "torch", "accelerate"), check_trainer_state, "."),
}


@pytest.mark.parametrize("kind", CHECKS)
def test_what_the_installed_package_writes(kind, tmp_path, logged):
    """The same checks on a log written now, where the package is installed."""
    packages, check_log, path = CHECKS[kind]
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: the committed log of {kind} is tested instead")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    subprocess.run(
        [sys.executable, str(SCRIPT), kind, str(tmp_path / "out")], check=True, cwd=tmp_path, env=environment,
        capture_output=True, timeout=300,
    )  # fmt: skip
    check_log(tmp_path / "out" / path, logged)
