"""For each law: plausible parameters, a row, and the formula written again in numpy; a new law is a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import numpy as np
import pytest

from bayeslaw.laws import Schedule

PEAK, TOTAL, WARMUP = 3e-4, 24_000, 2_160
COSINE = Schedule.cosine(PEAK, TOTAL, WARMUP)


@dataclass(frozen=True)
class Case:
    """``values``: published where the comment says so, else typical; ``row``: covariates; ``loss``: independent."""

    values: Mapping[str, float]
    row: Mapping[str, object]
    loss: Callable[[Mapping[str, float], Mapping[str, object]], float]


def _scheduled_row(schedule: Schedule, step: float, m: int = 64) -> dict[str, object]:
    covariates = schedule.covariates([step], m)
    single = {name: covariates[name][0] for name in ("step", "S1", "warm")}
    return {**covariates, **single, "eta_peak": schedule.eta_peak}


def _walk(schedule: Schedule, step: int) -> np.ndarray:
    return np.array([float(schedule.rate(t)) for t in range(step + 1)])


def _power(p, eta) -> float:
    """A power of the summed rate whose exponent moves from alpha0 to alpha: the slope, summed up in small steps."""
    s1, s_w = eta[1:].sum(), eta[1 : WARMUP + 1].sum()
    log_s = np.linspace(np.log(s1), np.log(s_w * 1e6), 400_001)
    slope = p["alpha"] + (p["alpha0"] - p["alpha"]) * (s_w / np.exp(log_s)) ** p["kappa"]
    fallen = np.sum((slope[1:] + slope[:-1]) / 2 * np.diff(log_s))
    return p["A"] * (s_w * 1e6) ** -p["alpha"] * np.exp(fallen)


def _annealed(p, x) -> float:
    """Update by update, the momentum carried along as Tissue et al. write it."""
    eta, momentum, s2 = _walk(COSINE, int(x["step"])), 0.0, 0.0
    for k in range(1, len(eta)):
        momentum = p["lam"] * momentum + (eta[k - 1] - eta[k] if k > WARMUP else 0.0)
        s2 += momentum
    return p["L0"] + _power(p, eta) - p["C"] * s2


def _multi_power(p, x) -> float:
    eta = _walk(COSINE, int(x["step"]))
    since, gain = np.cumsum(eta[::-1])[::-1], 0.0
    for k in range(WARMUP + 1, len(eta)):
        gain += (eta[k - 1] - eta[k]) * (1 - (1 + p["C"] * eta[k] ** -p["gamma"] * since[k]) ** -p["beta"])
    return p["L0"] + _power(p, eta) - p["B"] * gain


def _chinchilla(p, x) -> float:
    return p["E"] + p["A"] / x["n_params"] ** p["alpha"] + p["B"] / x["tokens"] ** p["beta"]


def _early_exit(p, x) -> float:
    far = np.log(x["exit_step"] / x["recurrence"])
    assert far > 0
    grown = (x["tokens"] / (x["tokens"] + p["t4"])) ** p["delta"]
    return p["J"] * p["K"] * far ** p["kappa"] * grown / x["recurrence"] ** p["mu"]


def _looped(p, x) -> float:
    return (_early_exit(p, x) if "K" in p else 0.0) + (
        p["E"]
        + p["A"] / (x["n_params"] + p["t1"]) ** p["alpha"]
        + p["B"] / (x["tokens"] + p["t2"]) ** p["beta"]
        + p["C"] / (x["recurrence"] + p["t3"]) ** p["gamma"]
    )


# Besiroglu et al. 2024 (Epoch AI), arXiv 2404.10102
EPOCH = {"E": 1.8169, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
LOOPED = {
    **EPOCH,
    "E": 1.6,
    "t1": 1e7,
    "t2": 1e8,
    "C": 0.35,
    "gamma": 0.8,
    "t3": 0.5,
}

START = {"alpha0": 0.9, "kappa": 1.5}
EXIT = {"K": 0.1, "kappa": 2.0, "mu": 0.7, "t4": 1e11, "delta": 1.5, "J": 2.0}
AT_STEP = {"n_params": 1.4e9, "tokens": 2e11, "recurrence": 4.0, "exit_step": 6.0}


def _along_profiles(p):
    """Chinchilla's coefficients along profiles of equal 6 N D: what the isoflop law then has to be."""
    a, b = p["alpha"], p["beta"]
    n_opt = (a * p["A"] / (b * p["B"])) ** (1 / (a + b)) * (1e20 / 6) ** (b / (a + b))
    k = p["A"] * n_opt**-a + p["B"] * (1e20 / 6 / n_opt) ** -b
    return {"E": p["E"], "K": k, "gamma": a * b / (a + b), "n_opt": n_opt, "a": b / (a + b), "p": a, "q": b}


CASES: dict[str, Case] = {
    "chinchilla": Case(EPOCH, {"n_params": 7e10, "tokens": 1.4e12}, _chinchilla),
    "chinchilla-interaction": Case(
        {**EPOCH, "kappa": 0.05},
        {"n_params": 7e10, "tokens": 1.4e12},
        lambda p, x: _chinchilla({**p, "B": p["B"] * np.exp(p["kappa"] * np.log(x["n_params"] / 1e9))}, x),
    ),
    # Chinchilla itself, in the other law's coordinates
    "isoflop": Case(_along_profiles(EPOCH), {"n_params": 7e10, "tokens": 1.4e12}, lambda p, x: _chinchilla(EPOCH, x)),
    "power-law": Case(
        {"E": 1.5, "B": 2085.43, "beta": 0.3658},
        {"tokens": 1.4e12},
        lambda p, x: p["E"] + p["B"] / x["tokens"] ** p["beta"],
    ),
    "power-law-steps": Case(
        {"E": 2.5, "B": 10.0, "beta": 0.4}, {"step": 5e4}, lambda p, x: p["E"] + p["B"] / x["step"] ** p["beta"]
    ),
    "looped-total": Case(LOOPED, {"n_params": 1.4e9, "tokens": 2e11, "recurrence": 4.0}, _looped),
    "looped-stepwise": Case({**LOOPED, **EXIT}, AT_STEP, _looped),
    "looped-stepwise-exponential": Case(
        {**{k: v for k, v in LOOPED.items() if k not in ("C", "gamma", "t3")}, "Z": 0.9, "z": 0.6, **EXIT},
        AT_STEP,
        lambda p, x: _looped({**p, "C": 0, "t3": 1, "gamma": 1}, x) + p["Z"] * np.exp(-p["z"] * 4),
    ),
    "looped-depth": Case(
        {**EPOCH, "Z": 0.9, "z": 0.6},
        {"n_params": 1.4e8, "tokens": 1e10, "recurrence": 8.0, "exit_step": 3.0},
        lambda p, x: _chinchilla(p, x) + p["Z"] * np.exp(-p["z"] * x["exit_step"]),
    ),
    # arXiv 2604.21106: E, alpha, beta and phi are published, A and B are not
    "iso-depth": Case(
        {"E": 1.57, "A": 35.0, "alpha": 0.199, "phi": 0.459, "B": 900.0, "beta": 0.369},
        {"n_params_once": 1.26e7, "n_params_recurrent": 6.8e6, "recurrence": 8.0, "tokens": 6e8},
        lambda p, x: (
            p["E"]
            + p["A"] / (x["n_params_once"] + x["recurrence"] ** p["phi"] * x["n_params_recurrent"]) ** p["alpha"]
            + p["B"] / x["tokens"] ** p["beta"]
        ),
    ),
    "annealed": Case(
        {"L0": 3.15, "A": 0.52, "alpha": 0.51, "C": 0.5, "lam": 0.999, **START},
        _scheduled_row(COSINE, 20_000.0),
        _annealed,
    ),
    # the authors' coefficients of their 25M model, L0 moved to a sum without the warm-up
    "multi-power": Case(
        {"L0": 3.149, "A": 0.525, "alpha": 0.508, "B": 363.788, "C": 2.066, "beta": 0.583, "gamma": 0.641, **START},
        _scheduled_row(COSINE, 20_000.0),
        _multi_power,
    ),
}


@pytest.fixture(scope="session")
def cases() -> dict[str, Case]:
    return CASES


@pytest.fixture(autouse=True)
def float64():
    """The laws are checked in float64, as the engine evaluates them."""
    with jax.enable_x64(True):
        yield
