"""Trackers under trainers, and long resumed logs, written by the real packages where they are installed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bayeslaw.readers import load

SCRIPT = Path(__file__).parent / "make_tracked.py"
#: what each tracker needs, and where its log lies under the folder given
NEEDS = {"wandb": ("wandb",), "tensorboard": ("tensorboardX", "tensorboard"), "mlflow": ("mlflow", "sqlalchemy"),
         "trackio": ("trackio",), "loop": (), "transformers": ("transformers", "torch", "accelerate"),
         "lightning": ("lightning", "torch")}  # fmt: skip
LOOPS = {"wandb": "wandb", "tensorboard": "long", "mlflow": "mlflow.db", "trackio": "long.db"}
TRAINED = {
    ("transformers", "wandb"): "wandb",
    ("transformers", "tensorboard"): "board",
    ("transformers", "mlflow"): "mlruns",
    ("transformers", "trackio"): "huggingface.db",
    ("lightning", "wandb"): "wandb",
    ("lightning", "tensorboard"): "board",
    ("lightning", "mlflow"): "mlruns",
}


def written(source, tracker, folder):
    """Run the script; skip where a package is absent."""
    missing = [n for n in (*NEEDS[source], *NEEDS[tracker]) if importlib.util.find_spec(n) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: what {source} logs through {tracker} cannot be written here")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(SCRIPT), source, tracker, str(folder)]
    subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True, timeout=300)


@pytest.mark.parametrize("tracker", LOOPS)
def test_a_long_resumed_run(tracker, tmp_path, logged):
    written("loop", tracker, tmp_path)
    runs = load(tmp_path / LOOPS[tracker])
    assert runs.names == ("long",)
    curve = runs.curve("long")
    assert curve["step"].tolist() == [s for s in range(1, 20_001) if s not in (777, 888)]
    np.testing.assert_allclose(curve["loss"], [logged(s) for s in curve["step"]], rtol=1e-6)
    assert runs.facts.set_index("kind")["count"].to_dict() == {"nonfinite_loss": 2, "rewind": 2000}


@pytest.mark.parametrize(("trainer", "tracker"), TRAINED)
def test_a_trainer_through_a_tracker(trainer, tracker, tmp_path, logged):
    written(trainer, tracker, tmp_path)
    runs = load(tmp_path / TRAINED[trainer, tracker])
    (name,) = runs.names
    curve = runs.curve(name)
    first = 0 if trainer == "lightning" else 1  # Lightning counts batches from 0
    assert curve["step"].tolist() == list(range(first, first + 60))
    np.testing.assert_allclose(curve["loss"], [logged(s + 1 - first) for s in curve["step"]], rtol=1e-6)
    assert curve["lr"].notna().all()
    evaluated = next(c for c in ("eval/loss", "eval_loss", "val_loss") if c in runs.frame)
    assert runs.frame[evaluated].notna().sum() >= 1
    assert not set(runs.facts["kind"]) - {"sparse_rows", "before_training", "window_mean"}
