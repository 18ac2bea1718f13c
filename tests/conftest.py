"""What every test may use: real data sets, where they are; and a made-up hierarchy of runs with a fit of it."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

HOME = Path(os.environ.get("BAYESLAW_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")

#: Chinchilla in published units, about what Besiroglu et al. 2024 (arXiv 2404.10102) found
TRUTH = {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2100.0, "beta": 0.37}
#: factors on the group's E
GROUPS = {"c4": 1.0, "web": 1.06}
SIZES = (1e8, 3e8, 1e9)
BATCH = 5e5


@pytest.fixture(scope="session")
def shared_data():
    """``shared_data(name)`` is the folder of a data set, or the test is skipped."""

    def folder(name: str) -> Path:
        path = HOME / name
        if not path.is_dir():
            pytest.skip(f"the data set {name} is not in {HOME} (set BAYESLAW_DATA to the folder of data sets)")
        return path

    return folder


def law(n_params, tokens, group="c4"):
    """The true loss, nats per token."""
    p = TRUTH
    return p["E"] * GROUPS.get(group, 1.0) + p["A"] / n_params ** p["alpha"] + p["B"] / tokens ** p["beta"]


def curve(run, group, n_params, steps, rng, level=0.003, noise=0.004) -> pd.DataFrame:
    """One run: the law, a shift of its own (``level``, relative sd) and white noise on every row (``noise``)."""
    steps = np.asarray(steps, float)
    loss = law(n_params, steps * BATCH, group)
    loss = loss * np.exp(level * rng.standard_normal() + noise * rng.standard_normal(len(steps)))
    return pd.DataFrame(
        {"run": run, "group": group, "n_params": n_params, "step": steps, "tokens": steps * BATCH, "loss": loss}
    )


@pytest.fixture(scope="session")
def truth():
    """What the made-up runs follow: ``truth.law(n_params, tokens, group)``, ``truth.values``, ``truth.curve``."""

    class Truth:
        values = TRUTH

    Truth.law, Truth.curve = staticmethod(law), staticmethod(curve)
    return Truth


@pytest.fixture(scope="session")
def toy_frame() -> pd.DataFrame:
    """Two groups, three sizes, one run each, 80 logged rows a run."""
    rng = np.random.default_rng(11)
    steps = np.linspace(250, 20_000, 80).round()
    parts = [curve(f"{g}-{n:.0e}", g, n, steps, rng) for g in GROUPS for n in SIZES]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def toy_settings() -> dict:
    """Few draws and few bins: what most tests sample with."""
    return {"seed": 3, "chains": 2, "warmup": 100, "draws": 100, "max_bins": 12}


@pytest.fixture(scope="session")
def toy_runs(toy_frame):
    """The made-up runs, read."""
    from bayeslaw import Runs

    return Runs.from_frame(toy_frame)


@pytest.fixture(scope="session")
def toy_fit(toy_runs, toy_settings):
    """A fit of the made-up runs, made once."""
    from bayeslaw import fit

    return fit(toy_runs, "chinchilla", **toy_settings)
