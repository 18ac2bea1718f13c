"""Baselines find the coefficients that made the data, and stay within what they were shown."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest

from bayeslaw.baselines import BASELINES, Ask, NotApplicable, get_baseline
from bayeslaw.baselines.annealing import loss, rows_of, slope
from bayeslaw.baselines.base import thin
from bayeslaw.errors import FitError
from bayeslaw.laws import Schedule, get_law
from bayeslaw.laws.schedule_updates import multipower_drop, tissue_s2

LINES = {
    "constant": "constant:peak=3e-4,total=20000,warmup=1000",
    "cosine": "cosine:peak=3e-4,total=20000,warmup=1000",
    "two": "two-stage:peak=3e-4,second=9e-5,at=8000,total=14000,warmup=1000",
    "wsd": "wsd:peak=3e-4,total=20000,warmup=1000,decay=0.25",
}
SCHEDULES = {name: Schedule.parse(line) for name, line in LINES.items()}
TRUTH = {"L0": 2.8, "A": 0.55, "alpha": 0.5, "B": 400.0, "C": 1.5, "beta": 0.5, "gamma": 0.5}


def curve(run: str, p: dict, law: str, noise: float, rng) -> pd.DataFrame:
    step = np.arange(1200, SCHEDULES[run].total + 1, 400, dtype=float)
    s = SCHEDULES[run]
    s1 = s.sums(step)
    loss = p["L0"] + p["A"] * s1 ** -p["alpha"]
    if law == "annealed":
        loss = loss - p["C"] * tissue_s2(s, step, 0.999)
    if law == "multi-power":
        loss = loss - p["B"] * multipower_drop(s, step, p["C"], p["beta"], p["gamma"])
    loss = loss * np.exp(noise * rng.standard_normal(len(step)))
    return pd.DataFrame({"run": run, "n_params": 1e8, "step": step, "loss": loss})


def ask(learn, given, at, **more) -> Ask:
    empty = learn.iloc[:0]
    return Ask(learn, empty if given is None else given, at, 200, np.random.default_rng(0), SCHEDULES, **more)


@pytest.mark.parametrize(("name", "law", "truth"), [
    ("Tissue", "annealed", TRUTH | {"C": 0.45}),
    ("multi-power point", "multi-power", TRUTH),
])  # fmt: skip
@pytest.mark.parametrize("prefix", [False, True])
def test_annealing_laws_foretell_an_unseen_schedule(name, law, truth, prefix):
    rng = np.random.default_rng(1)
    learn = pd.concat([curve(run, truth, law, 3e-4, rng) for run in ("constant", "cosine", "two")], ignore_index=True)
    held = curve("wsd", truth, law, 3e-4, rng)
    early = held["step"] <= 10_000
    at = held[~early] if prefix else held
    found = get_baseline(name)(
        ask(learn, held[early] if prefix else None, at.drop(columns="loss").reset_index(drop=True))
    )
    error = found.centre / at["loss"].to_numpy() - 1
    assert np.abs(error).max() < 0.004
    low, high = np.quantile(found.observed, [0.005, 0.995], axis=0)
    assert np.mean((at["loss"] > low) & (at["loss"] < high)) > 0.6


def test_power_law_continues_its_own_prefix():
    step = np.arange(100, 10_001, 100, dtype=float)
    frame = pd.DataFrame({"run": "a", "step": step, "loss": 2.0 + 30 * step**-0.6})
    frame["loss"] *= np.exp(1e-3 * np.random.default_rng(0).standard_normal(len(frame)))
    early = frame["step"] <= 3000
    other = frame.assign(run="b", loss=frame["loss"] + 0.5)
    at = frame[~early].drop(columns="loss").reset_index(drop=True)
    found = BASELINES["power law"](ask(other, frame[early], at))
    truth = 2.0 + 30 * at["step"].to_numpy() ** -0.6
    np.testing.assert_allclose(found.centre, truth, rtol=0.01)
    assert (np.quantile(found.observed, 0.02, axis=0) < truth).mean() > 0.5


def test_chinchilla_approach_3_finds_its_coefficients_and_their_doubt():
    rng = np.random.default_rng(2)
    n, d = np.exp(rng.uniform(np.log(5e7), np.log(5e9), 80)), np.exp(rng.uniform(np.log(1e9), np.log(1e11), 80))
    law = get_law("chinchilla")
    truth = {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2000.0, "beta": 0.37}
    loss = np.asarray(law.loss(truth, {"n_params": n, "tokens": d}))
    learn = pd.DataFrame({"run": [f"r{i}" for i in range(80)], "n_params": n, "tokens": d})
    learn["loss"] = loss * np.exp(0.004 * rng.standard_normal(80))
    at = pd.DataFrame({"run": ["x"], "n_params": [7e9], "tokens": [2e11]})
    found = BASELINES["Chinchilla approach 3"](ask(learn, None, at))
    exact = float(law.loss(truth, {"n_params": 7e9, "tokens": 2e11}))
    assert found.centre[0] == pytest.approx(exact, rel=0.01)
    assert 0.001 < found.curve[:, 0].std() < 0.05


def test_last_value_widens_with_the_rows_ahead():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"run": "a", "step": np.arange(1.0, 51), "loss": 3 + 0.01 * rng.standard_normal(50)})
    at = pd.DataFrame({"run": ["a", "a"], "step": [51.0, 150.0]})
    found = BASELINES["last value"](ask(frame.assign(run="b"), frame, at))
    assert (found.centre == frame["loss"].iloc[-1]).all()
    near, far = found.curve.std(axis=0)
    assert far / near == pytest.approx(10, rel=0.01)


def test_who_cannot_answer_says_so():
    frame = pd.DataFrame({"run": "a", "step": [1.0, 2.0, 3.0], "loss": [3.0, 2.9, 2.8]})
    flat = Ask(frame, frame.iloc[:0], frame.drop(columns="loss"), 10, np.random.default_rng(0))
    for name in ("Tissue", "multi-power point", "power law in lr", "Chinchilla approach 3", "power law"):
        with pytest.raises(NotApplicable):
            BASELINES[name](flat)
    with pytest.raises(FitError, match="Did you mean 'Tissue'"):
        get_baseline("tissue")


def test_thinning_keeps_the_last_row():
    frame = pd.DataFrame({"run": np.repeat(["a", "b"], [1000, 3]), "loss": np.arange(1003.0)})
    small = thin(frame, 10)
    assert small.groupby("run").size().to_dict() == {"a": 10, "b": 3}
    assert small["loss"].iloc[9] == 999


def test_published_over_training_errors_come_out(shared_data):
    """Gadre et al.'s own fits on five runs a corpus, as ``|prediction - truth| / truth`` over the rest."""
    frame = pd.read_csv(shared_data("gadre-overtraining") / "runs.csv")
    cheap = ((frame["chinchilla_mult"] == 1) & (frame["n_params"] < 5e8)) | (
        (frame["chinchilla_mult"] == 16) & (frame["n_params"] == 10569312)
    )
    at = frame[~cheap & (frame["chinchilla_mult"] >= 0.5)].reset_index(drop=True)
    learn = frame[cheap].reset_index(drop=True)
    found = BASELINES["over-training law"](ask(learn, None, at.drop(columns="loss")))
    error = (100 * (found.centre / at["loss"] - 1).abs()).groupby(at["group"]).mean()
    published = {"c4_original": 1.223, "rpj": 0.802, "rw_original": 1.030}
    assert error.round(3).to_dict() == published


@pytest.mark.parametrize("name", ["tissue", "multi_power"])
def test_the_gains_derivatives_are_right(name):
    module = importlib.import_module(f"bayeslaw.baselines.{name}")
    held = pd.concat([curve(run, TRUTH, "plain", 0.0, np.random.default_rng(0)) for run in LINES], ignore_index=True)
    rows = rows_of(held, SCHEDULES, 0.999)
    p = np.array([1.0, -0.5, -0.7, *module.GAIN.starts[-1]])
    exact = slope(p, module.GAIN, rows)
    for k in range(len(p)):
        step = 1e-5 * np.eye(len(p))[k]
        by_hand = (loss(p + step, module.GAIN, rows) - loss(p - step, module.GAIN, rows)) / 2e-5
        np.testing.assert_allclose(exact[:, k], by_hand, rtol=1e-5, atol=1e-8)
    if name == "multi_power":
        gain = module.GAIN.terms(p[3:], rows)[0]
        b, c, beta, gamma = np.exp(p[3:])
        for run in LINES:
            mine = (held["run"] == run).to_numpy()
            whole = b * multipower_drop(SCHEDULES[run], held["step"][mine], c, beta, gamma)
            np.testing.assert_allclose(gain[mine], whole, rtol=0.02, atol=2e-3)
