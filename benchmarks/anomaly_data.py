"""Healthy curves for the anomaly benchmark: families of one data order, split into calibration and test blocks.

Order A of modded-nanogpt is split into alternating blocks of 500 steps with a gap of 50 on either side: even blocks
calibrate, odd ones test. AdamW calibrates; ScaleUp1B (order B, and the one alone) and llmc test.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(os.environ.get("BAYESLAW_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
#: before START the runs' warm-up and code still move them apart faster than any noise
BLOCK, GAP, START = 500, 50, 500
#: order A, the runs of 5,100 steps: one learning-rate schedule
ORDER_A = ("ModernArch/4", "DistributedMuon/5", "PyTorch25/6", "Optimizers/10", "Optimizers/11",
           "Optimizers/12", "Optimizers/13")  # fmt: skip
#: order A, runs of 6,000 and 6,200 steps: when the others begin to anneal, these do not
OTHER_SCHEDULE = ("SOAP/1", "Muon/2")
ORDER_B = ("ScaleUp1B/8", "ScaleUp1B/9")
ALONE = ("AdamW/0", "llmc/3", "ScaleUp1B/7")
#: targets of the injections, with siblings in the order in which they are added
TARGETS = {
    "PyTorch25/6": ("DistributedMuon/5", "ModernArch/4", "Optimizers/11", "Optimizers/10", "Optimizers/13"),
    "Optimizers/11": ("PyTorch25/6", "Optimizers/10", "DistributedMuon/5", "ModernArch/4", "Optimizers/13"),
    "DistributedMuon/5": ("ModernArch/4", "PyTorch25/6", "Optimizers/13", "Optimizers/11", "Optimizers/10"),
}


@dataclass(frozen=True)
class Series:
    """A run and its siblings on one axis: ``step`` (n,), ``loss`` (n,), ``others`` (n, S)."""

    name: str
    step: np.ndarray
    loss: np.ndarray
    others: np.ndarray


def load() -> dict[str, pd.Series]:
    """Short run name -> loss by step."""
    frame = pd.read_csv(DATA / "modded-nanogpt" / "runs.csv.gz")
    frame = frame[frame["step"] > 0]
    return {str(run)[11:]: part.set_index("step")["loss"].sort_index() for run, part in frame.groupby("run")}


def series(curves: dict[str, pd.Series], name: str, siblings: tuple[str, ...]) -> Series:
    """A run with its siblings' losses at the same steps."""
    own = curves[name]
    others = [curves[s].reindex(own.index).to_numpy(float) for s in siblings]
    table = np.column_stack(others) if others else np.zeros((len(own), 0))
    return Series(name, own.index.to_numpy(float), own.to_numpy(float), table)


def mask(step: np.ndarray, part: str) -> np.ndarray:
    """Which steps of order A belong to ``part`` (calibration or test), gaps left out."""
    block, inside = np.divmod(step, BLOCK)
    wanted = 0 if part == "calibration" else 1
    return (block % 2 == wanted) & (inside >= GAP) & (inside < BLOCK - GAP) & (step >= START)


def starts(step: np.ndarray, part: str, count: int, room: int, seed: int) -> np.ndarray:
    """Positions at which to inject: drawn from the part's steps with ``room`` rows left in the run."""
    rng = np.random.default_rng(seed)
    inside = np.flatnonzero(mask(step, part) & (np.arange(len(step)) < len(step) - room))
    return np.sort(rng.choice(inside, size=count, replace=count > len(inside)))
