"""What every test may use: real data sets, a made-up hierarchy of runs with a fit of it, and a stand-in for fitting."""

import math
import os
import pickle
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayeslaw
from bayeslaw.errors import FitError

HOME = Path(os.environ.get("BAYESLAW_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")

#: Chinchilla in published units, about what Besiroglu et al. 2024 (arXiv 2404.10102) found
TRUTH = {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2100.0, "beta": 0.37}
#: factors on the group's E
GROUPS = {"c4": 1.0, "web": 1.06}
SIZES = (1e8, 3e8, 1e9)
BATCH = 5e5


#: where JAX finds the folder of its compiled programs
COMPILED = "JAX_COMPILATION_CACHE_DIR"
FOLDER = pytest.StashKey[str]()
PATIENCE = 300  # seconds that one worker waits for another's fit


def pytest_configure(config):
    """What one process of the session compiles, the others read: workers, and the commands that tests start.

    The folder is new in every session and gone at its end; one that the environment names already is left alone.
    """
    if COMPILED not in os.environ:
        config.stash[FOLDER] = os.environ[COMPILED] = tempfile.mkdtemp(prefix="bayeslaw-tests-")
        # smaller ones are as quickly compiled as read
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


def pytest_unconfigure(config):
    if FOLDER in config.stash:
        shutil.rmtree(config.stash[FOLDER], ignore_errors=True)


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
def once(tmp_path_factory):
    """``once(name, make)``: what ``make()`` returns, made by the worker that asks first; the others read its pickle."""

    def ask(name, make):
        if "PYTEST_XDIST_WORKER" not in os.environ:
            return make()
        folder = tmp_path_factory.getbasetemp().parent  # of all workers
        claim, kept = folder / f"{name}.claim", folder / f"{name}.pickle"
        try:
            claim.mkdir()
        except FileExistsError:
            end = time.monotonic() + PATIENCE
            while not kept.exists() and not (claim / "failed").exists() and time.monotonic() < end:
                time.sleep(0.05)
            return pickle.loads(kept.read_bytes()) if kept.exists() else make()
        try:
            made = make()
            (claim / "whole").write_bytes(pickle.dumps(made))
            (claim / "whole").replace(kept)
        except BaseException:
            (claim / "failed").touch()
            raise
        return made

    return ask


@pytest.fixture(scope="session")
def toy_fit(toy_runs, toy_settings, once):
    """A fit of the made-up runs, made once."""
    from bayeslaw import fit

    return once("toy-fit", lambda: fit(toy_runs, "chinchilla", **toy_settings))


#: a log of two runs, which the commands are given
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


@dataclass
class Engine:
    """Stands in for fit, load_fit and forecast; remembers what it was asked."""

    ok: bool = True
    width: float = 0.01  # half a band, nats per per cent of its level
    asked: dict[str, Any] = field(default_factory=dict)
    card: Any = field(default_factory=lambda: SimpleNamespace(name="chinchilla"))

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
