"""Anomaly detection measured: false alarms on healthy curves, and injected anomalies found, against window rules.

    python benchmarks/anomalies.py [SECTION ...] > benchmarks/anomalies.md

Sections: spikes, kinds, alarms, bootstrap, rates, ceiling, elsewhere, inject.

Real healthy curves are split into calibration and test as ``anomaly_data`` says; everything below is on the test part
unless it says otherwise. Needs the data sets modded-nanogpt and llm360-k2-65b in ``BAYESLAW_DATA``.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
from anomaly_alarms import alarms, bootstrap
from anomaly_data import DATA, TARGETS, load, series, starts
from anomaly_more import ceiling, elsewhere
from anomaly_recall import inject, rates

import bayeslaw as bl
from bayeslaw.anomalies.bank import Bank
from bayeslaw.anomalies.classify import classify

RATE = 1e-4


def spikes() -> None:
    """K2-65B's eight spikes."""
    runs = bl.load(DATA / "llm360-k2-65b" / "runs.csv").select("k2-65b")
    found = bl.anomalies(runs).frame
    known = pd.read_csv(DATA / "llm360-k2-65b" / "spikes.csv")
    steps = runs.curve("k2-65b")["step"].to_numpy(float)
    print(
        "## The eight spikes of K2-65B\n\n| step | rise | found as | start, rows off | end - recovery, steps | nats |"
    )
    print("|---|---|---|---|---|---|")
    used: set[int] = set()
    for spike in known.itertuples():
        hit = found[(found["start_step"] <= spike.peak_step) & (found["end_step"] >= spike.start_step)]
        for i, e in hit.iterrows():
            used.add(int(str(i)))
            rows = np.searchsorted(steps, e["start_step"]) - np.searchsorted(steps, spike.start_step)
            print(
                f"| {spike.start_step:,.0f} | {spike.rise:.3f} | {e['kind']} | {rows:+d} | "
                f"{e['end_step'] - spike.recovered_step:+,.0f} | {e['magnitude']:.3f} |"
            )
        if hit.empty:
            print(f"| {spike.start_step:,.0f} | {spike.rise:.3f} | not found | | | |")
    others = found.drop(index=list(used))
    print(f"\nOther events: {len(others)}.")
    for e in others.itertuples():
        print(f"- {e.message}")
    print()


def kinds(count: int = 200) -> None:
    """What injected events are called, 100 steps after their start."""
    curves = load()
    name, others = next(iter(TARGETS.items()))
    s = series(curves, name, others[:2])
    at = starts(s.step, "test", count, 150, 11)
    bank = Bank(1, 2, RATE)
    rest, scale = np.zeros(len(s.loss)), np.zeros(len(s.loss))
    for k in range(len(s.loss)):
        out = bank.step(s.loss[k : k + 1], s.step[k : k + 1], s.others[k : k + 1])
        rest[k], scale[k] = s.loss[k] - out.expected[0], out.scale[0]
    k = np.arange(100.0)
    shapes = {
        "point": (k == 0) * 1.0, "spike": np.exp(-k / 20), "malignant_spike": 0.75 * np.exp(-k / 20) + 0.25,
        "level": np.ones(100), "drift": np.minimum((k + 1) / 80, 1),
        "divergence": np.expm1(k / 30) / np.expm1(100 / 30),
        "variance": np.zeros(100),
    }  # fmt: skip
    print(
        "## What the kinds are taken for\n\nPyTorch25/6 with two siblings, 100 steps from the onset; rows: injected.\n"
    )
    columns = list(shapes)
    for size in (8.0, 15.0, 40.0):
        print(f"Height {size:g} local sd (noise grown to {1 + size / 8:g} times):\n")
        print("| | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
        right = {}
        for kind, form in shapes.items():
            calls = dict.fromkeys(columns, 0)
            for p in at:
                r, sd = rest[p : p + 100], scale[p : p + 100]
                r = r * (1 + size / 8) if kind == "variance" else r + size * np.median(sd) * form
                calls[classify(r, sd, 0, 0.15).kind] += 1
            right[kind] = calls
            print(f"| {kind} | " + " | ".join(f"{calls[c] / count:.2f}" for c in columns) + " |")
        benign, malignant = right["spike"], right["malignant_spike"]
        told = (count - benign["malignant_spike"] - benign["level"] - benign["drift"] - benign["divergence"]
                + malignant["malignant_spike"] + malignant["level"]) / (2 * count)  # fmt: skip
        print(f"\nBenign told from malignant (stays at a quarter of its height) 100 steps on: {told:.2f}.\n")


SECTIONS = {
    "spikes": spikes, "kinds": kinds, "alarms": alarms, "bootstrap": bootstrap, "rates": rates, "inject": inject,
    "ceiling": ceiling, "elsewhere": elsewhere,
}  # fmt: skip

if __name__ == "__main__":
    began = time.perf_counter()
    for section in sys.argv[1:] or SECTIONS:
        SECTIONS[section]()
    print(f"{time.perf_counter() - began:.0f} s in all, on a machine that did other work.", file=sys.stderr)
