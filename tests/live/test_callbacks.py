"""The callbacks in trainings by the real trainers, where they are installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bayeslaw.live import lightning_callback, transformers_callback
from bayeslaw.readers import load

SCRIPT = Path(__file__).parent / "trainings.py"
STEPS = np.arange(1, 21)


def trained(kind, folder):
    """What a training said on stderr; skip where its trainer is absent."""
    package = "transformers" if "transformers" in kind else "lightning"
    if any(importlib.util.find_spec(name) is None for name in (package, "torch")):
        pytest.skip(f"{package} is not installed: its callback cannot be run here")
    command = [sys.executable, "-W", "ignore", str(SCRIPT), kind]
    done = subprocess.run(command, check=True, cwd=folder, timeout=300, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "20 steps"
    return done.stderr


def weights():
    """The weight before each step: AdamW moves one parameter by its rate and the decay."""
    return (1 - 1e-2 * (STEPS - 1)) * np.ones(20)


def test_transformers(tmp_path):
    trained("transformers", tmp_path)
    curve = load(tmp_path / "x.jsonl").curve("x")
    assert curve["step"].tolist() == STEPS[1::2].tolist()
    assert curve["loss"].iloc[0] == pytest.approx(2.99, abs=0.01), "the mean of the first two steps"
    assert curve["loss"].is_monotonic_decreasing
    assert curve["lr"].notna().all()


def test_lightning_with_accumulation(tmp_path):
    """The losses that training_step returned: Lightning hands callbacks half of them."""
    trained("lightning", tmp_path)
    runs = load(tmp_path / "x.jsonl")
    curve = runs.curve("x")
    assert curve["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(curve["loss"], weights() ** 2 + 2, atol=0.005)
    assert curve["lr"].tolist() == [0.01] * 20
    assert runs.frame["val_loss"].notna().sum() == 1


def test_lightning_by_hand(tmp_path):
    trained("manual", tmp_path)
    curve = load(tmp_path / "x.jsonl").curve("x")
    assert curve["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(curve["loss"], weights() ** 2 + 2, atol=0.005)


@pytest.mark.parametrize("kind", ["broken-transformers", "broken-lightning"])
def test_a_mistake_in_the_recorder_stops_no_training(kind, tmp_path):
    said = trained(kind, tmp_path)
    assert said.count("Training goes on.") == (2 if "transformers" in kind else 3), said
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.parametrize(("make", "name"), [(transformers_callback, "transformers"), (lightning_callback, "lightning")])
def test_a_trainer_that_is_not_there_is_named(make, name, tmp_path, monkeypatch):
    for module in ("transformers", "lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=f"(?i){name} is not installed here"):
        make(tmp_path / "x.jsonl")
