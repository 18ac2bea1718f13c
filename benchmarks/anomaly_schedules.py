"""Runs of one data order under different learning-rate schedules (lr-schedules), their rates told or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anomaly_alarms import COUNTS, RATE, limit
from anomaly_data import DATA

from bayeslaw.anomalies.bank import Bank
from bayeslaw.anomalies.shocks import MOST

#: rows of a run before it can be judged against siblings with its noise known
LEARNED = 110
#: draws of siblings per run; injections per draw, and the rows in which one is to be found
DRAWS, PLACES, WITHIN = 4, 6, 50
SHIFTS = (0.02, 0.05, 0.1)


@dataclass(frozen=True)
class Case:
    """A run ``x``, ``loss``, ``lr`` (n,) and draws of its siblings, ``others`` and ``others_lr`` (n, draws, MOST)."""

    x: np.ndarray
    loss: np.ndarray
    lr: np.ndarray
    others: np.ndarray
    others_lr: np.ndarray


def cases(count: int) -> Iterator[Case]:
    """Every run with ``count`` siblings, drawn from those that share its steps."""
    frame = pd.read_csv(DATA / "lr-schedules" / "runs.csv")
    wide, rates = (frame.pivot_table(index="step", columns="run", values=v).sort_index() for v in ("loss", "lr"))
    rng = np.random.default_rng(3)
    for run in wide.columns:
        own = wide[run].dropna()
        rest = wide.loc[own.index].drop(columns=run)
        near = rest.columns[rest.notna().mean() > 0.9].to_numpy()
        if len(near) < count or len(own) <= LEARNED or own.index[0] <= 0:
            continue
        draws = DRAWS if count else 1
        others, others_lr = np.full((2, len(own), draws, MOST), np.nan)
        for k in range(draws):
            drawn = list(rng.permutation(near)[:count])
            others[:, k, :count] = rest[drawn].to_numpy()
            others_lr[:, k, :count] = rates.loc[own.index, drawn].to_numpy()
        lr = rates.loc[own.index, run].to_numpy(float)
        yield Case(own.index.to_numpy(float), own.to_numpy(float), lr, others, others_lr)


def judge(case: Case, told: bool, add: np.ndarray) -> np.ndarray:
    """Alarms (n, B): streams are the draws, over and over; ``add`` (n, B) is added to the run's losses."""
    n, b = add.shape
    bank, at, out = Bank(b, MOST, RATE), np.arange(b) % case.others.shape[1], np.zeros((n, b), bool)
    for k in range(n):
        known = (np.full(b, case.lr[k]), case.others_lr[k, at]) if told else ()
        out[k] = bank.step(case.loss[k] + add[k], np.full(b, case.x[k]), case.others[k, at], *known).alarm
    return out


def false_alarms(count: int, told: bool) -> tuple[int, int]:
    """Alarms and judged run-steps."""
    found = [judge(c, told, np.zeros((len(c.x), c.others.shape[1])))[LEARNED:] for c in cases(count)]
    return int(sum(f.sum() for f in found)), sum(f.size for f in found)


def recall(count: int, told: bool, size: float) -> float:
    """Share of shifts upwards by ``size`` nats found within ``WITHIN`` rows."""
    hits: list[bool] = []
    rng = np.random.default_rng(5)
    for case in cases(count):
        n, draws = case.others.shape[:2]
        if n < LEARNED + 2 * WITHIN:
            continue
        start = rng.integers(LEARNED, n - WITHIN, PLACES * draws)
        rows = np.arange(n)[:, None]
        found = judge(case, told, size * (rows >= start))
        hits += (found & (rows >= start) & (rows < start + WITHIN)).any(axis=0).tolist()
    return float(np.mean(hits))


def schedules() -> None:
    """The table: false alarms, and shifts found, by siblings and by whether rates are told."""
    print("| siblings | rates | false alarms / run-steps | 95 % limit | " +
          " | ".join(f"shift {s:g}" for s in SHIFTS) + " |\n|---|---|---|---|" + "---|" * len(SHIFTS))  # fmt: skip
    for count in COUNTS:
        for told in (False, True):
            alarms, steps = false_alarms(count, told)
            cells = " | ".join(f"{recall(count, told, s):.2f}" for s in SHIFTS)
            print(f"| {count} | {'told' if told else 'not told'} | {alarms} / {steps:,} | {limit(alarms, steps):.2f} | "
                  f"{cells} |", flush=True)  # fmt: skip
    print()
