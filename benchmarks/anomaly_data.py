"""Healthy curves for the anomaly benchmark: families of one data order, split into calibration and test blocks.

Order A of modded-nanogpt is split into alternating blocks of 500 steps with a gap of 50 on either side: even blocks
calibrate, odd ones test. AdamW calibrates; ScaleUp1B (order B, and the one alone) and llmc test. WindowWarmup, the same
order one step later, was not looked at while settings were chosen: it tests, on the odd blocks only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from report import DATA

BLOCK, GAP, START = 500, 50, 300
#: order A, the runs of 5,100 steps: one learning-rate schedule
ORDER_A = ("ModernArch/4", "DistributedMuon/5", "PyTorch25/6", "Optimizers/10", "Optimizers/11",
           "Optimizers/12", "Optimizers/13")  # fmt: skip
#: order A, runs of 6,000 and 6,200 steps: when the others begin to anneal, these do not
OTHER_SCHEDULE = ("SOAP/1", "Muon/2")
WARMUP = tuple(f"WindowWarmup/{i}" for i in range(30, 37))
#: a true event: so many robust sd off the median of all others, for so many rows in a row; rows around it left out
EVENT_SD, EVENT_ROWS, BEFORE, AFTER = 4.0, 4, 3, 25
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


def family(curves: dict[str, pd.Series], names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Losses (n, runs) of runs of one order from step 1 on, as far as all of them go, and the steps (n,)."""
    n = min(int(curves[name].index.max()) for name in names)
    table = np.stack([curves[name].loc[1:n].to_numpy(float) for name in names], axis=1)
    return table, np.arange(1.0, n + 1)


def true_events(table: np.ndarray) -> np.ndarray:
    """(n, runs) whether a row lies in or beside an event of that run, judged by all the others and with hindsight."""
    out = np.zeros(table.shape, bool)
    for i in range(table.shape[1]):
        rest = pd.Series(table[:, i] - np.median(np.delete(table, i, axis=1), axis=1))
        rest = rest - rest.rolling(201, center=True, min_periods=20).median()
        sd = 1.4826 * rest.abs().rolling(401, center=True, min_periods=20).median()
        z, run = (rest / sd).to_numpy(), 0
        for k in range(1, len(z)):
            far = abs(z[k]) > EVENT_SD
            run = run + 1 if far and z[k] * z[k - 1] > 0 and run else int(far)
            if run >= EVENT_ROWS:
                out[max(0, k - EVENT_ROWS + 1 - BEFORE) : k + AFTER, i] = True
    return out


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
