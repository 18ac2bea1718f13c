"""Made-up families: how soon a level forgets while learning rates go apart, and how far off the sizes of events are.

    python benchmarks/anomaly_families.py [apart] [sizes]

A family reads one data order under six schedules: constant, two cosines, two decays after a constant rate, and a drop
to a half or less. Annealing gains 0.2 to 0.3 nats, as a power of the steps since each fall of the rate.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
from anomaly_alarms import judge as alarms_of
from anomaly_alarms import siblings_of

import bayeslaw as bl
from bayeslaw.anomalies import rates

#: draws of siblings per run, rows that only teach the noise, rows in which a shift is to be found
DRAWS, LEARNED, WITHIN = 6, 200, 50
#: rows of a run, and how many families of that length
LENGTHS = ((800, 8), (3000, 3))
#: siblings, and the shift that is looked for with so many
SHIFTS = ((1, 0.05), (2, 0.03))


def schedules(n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Shares of the peak rate (n,)."""
    t = np.arange(1.0, n + 1)
    warm = np.minimum(t / 100, 1)
    begin, length = int(n * rng.uniform(0.5, 0.8)), int(n * rng.uniform(0.1, 0.25))
    drop, floor = int(n * rng.uniform(0.3, 0.7)), rng.choice([0.1, 0.3, 0.5])
    late = int(n * rng.uniform(0.3, 0.7))
    shares = [
        np.ones(n),
        0.1 + 0.45 * (1 + np.cos(np.pi * t / n)),
        0.1 + 0.45 * (1 + np.cos(np.pi * t / (1.7 * n))),
        np.clip(1 - (t - begin) / length, 0.02, 1),
        np.where(t > drop, floor, 1.0),
        np.clip(1 - (t - late) / (n - late), 0.02, 1),
    ]
    return [warm * share for share in shares]


def family(
    n: int, seed: int, alike: int = 0, own: float = 0.004, shared: float = 0.08
) -> tuple[np.ndarray, np.ndarray]:
    """Losses and learning rates (n, runs) of six schedules, or of so many runs ``alike`` at a constant rate."""
    rng = np.random.default_rng(seed)
    shock = shared * rng.standard_normal(n)
    hard = rng.random(n) < 0.003
    shock[hard] += np.abs(rng.normal(0, 0.6, hard.sum()))
    arrived = 1 - (1 + np.arange(n) / (n / 60)) ** -0.6
    loss, lr = [], []
    for share in [np.ones(n)] * alike or schedules(n, rng):
        fall = -np.diff(share, prepend=share[0])
        fall[:100] = 0
        gain = 0.25 * rng.uniform(0.8, 1.2) * np.convolve(fall, arrived)[:n]
        level = 2.5 + rng.normal(0, 0.1) + 8 * (np.cumsum(share) + 20) ** -0.35
        loss.append(level - gain + shock * rng.uniform(0.9, 1.1) + own * rng.standard_normal(n))
        lr.append(1e-3 * rng.choice([1.0, 1.0, 2.0]) * share)
    return np.stack(loss, axis=1), np.stack(lr, axis=1)


def judge(n: int, seed: int, told: bool, count: int, size: float) -> Iterator[np.ndarray]:
    """Alarms (n, B) of undisturbed runs, then whether each alarm finds a shift of ``size`` nats."""
    loss, lr = family(n, seed)
    rng, runs = np.random.default_rng(seed), loss.shape[1]
    own = np.repeat(np.arange(runs), DRAWS)
    others = np.array([siblings_of(rng, i, runs, count) for i in own])
    start, at = rng.integers(LEARNED, n - WITHIN, len(own)), np.arange(len(own))

    def rows(add: float) -> Iterator[np.ndarray]:
        for k in range(n):
            row = np.tile(loss[k], (len(own), 1))
            row[at, own] += add * (k >= start)
            yield row

    late = np.arange(n)[:, None]
    for add in (0.0, size):
        alarms = alarms_of(rows(add), lambda k: k + 1.0, own, others, lr=lr if told else None)
        found = np.array([alarm for alarm, _ in alarms])
        yield found if not add else found & (late >= start) & (late < start + WITHIN)


#: runs of one constant rate, and the shift that one of them is given
SIZES = ((1, 0.3), (2, 0.05), (3, 0.02), (3, 0.05), (6, 0.05))
FAMILIES = 40


def sizes() -> None:
    """What is said of the size of a shift that stays: its error, and whether the 90 % interval holds it."""
    print("| siblings | shift | found | error, sd of the noise | one-sided part | within the 90 % interval |")
    print("|---|---|---|---|---|---|")
    for runs, size in SIZES:
        error, inside = [], []
        for seed in range(FAMILIES):
            loss, _ = family(1200, 100 + seed, alike=runs)
            at = 500 + 12 * seed
            loss[at:, 0] += size
            parts = [pd.DataFrame({"run": f"r{i}", "step": np.arange(1.0, 1201), "loss": loss[:, i]})
                     for i in range(runs)]  # fmt: skip
            found = bl.anomalies(bl.Runs.from_frame(pd.concat(parts, ignore_index=True)))
            for e in found.frame.to_dict(orient="records"):
                if e["run"] == "r0" and e["kind"] == "level_up" and abs(e["start_step"] - at) < 60:
                    sd = float(found.rows["r0"]["scale"].median())
                    error.append((e["severity"] - size) / sd)
                    inside.append(e["severity_lo90"] <= size <= e["severity_hi90"])
        off = np.array(error)
        held, rms = np.mean(inside), np.sqrt(np.mean(off**2))
        print(f"| {runs - 1} | {size:g} | {len(off)} of {FAMILIES} | {rms:.2f} | {off.mean():+.2f} | {held:.2f} |",
              flush=True)  # fmt: skip
    print()


def apart() -> None:
    """False alarms and recall while rates go apart, by how soon the level forgets."""
    heads = [f"{n:,} rows, {count} siblings, shift {size:g}" for n, _ in LENGTHS for count, size in SHIFTS]
    print("| rates | as after, rows | " + " | ".join(heads) + " |\n|---|---|" + "---|" * len(heads))
    shipped = rates.YOUNG
    for told, young in ((False, shipped), *((True, y) for y in (30.0, 40.0, 50.0, 80.0))):
        rates.YOUNG, cells = young, []
        for n, families in LENGTHS:
            for count, size in SHIFTS:
                parts = [tuple(judge(n, seed, told, count, size)) for seed in range(families)]
                calm = np.concatenate([healthy[LEARNED:] for healthy, _ in parts])
                hits = np.concatenate([hit.any(axis=0) for _, hit in parts])
                cells.append(f"{1e4 * calm.mean():.2f}, {hits.mean():.2f}")
        print(f"| {'told' if told else 'not told'} | {f'{young:g}' if told else ''} | " + " | ".join(cells) + " |",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    for part in sys.argv[1:] or ("apart", "sizes"):
        {"apart": apart, "sizes": sizes}[part]()
