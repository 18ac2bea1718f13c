"""Anomaly detection measured: false alarms on healthy curves, and injected anomalies found, against window rules.

    python benchmarks/anomalies.py [spikes] [alarms] [bootstrap] [inject] [kinds] > benchmarks/anomalies.md

Real healthy curves are split into calibration and test as ``anomaly_data`` says; everything below is on the test part
unless it says otherwise. Needs the data sets modded-nanogpt and llm360-k2-65b in ``BAYESLAW_DATA``.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
from anomaly_data import ALONE, BLOCK, DATA, ORDER_A, OTHER_SCHEDULE, START, TARGETS, Series, load, mask, series, starts
from anomaly_rules import RULES
from anomaly_shapes import ROOM, shape
from scipy.stats import chi2

import bayeslaw as bl
from bayeslaw.anomalies.bank import Bank, State
from bayeslaw.anomalies.classify import classify

RATE = 1e-4
COUNTS = (0, 1, 2, 5)
NANS = (0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
SEEDS, PER_SEED = 5, 14


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


def _limit(count: int, steps: int) -> float:
    """Exact 95 % upper Poisson limit (one-sided), per 10,000 steps."""
    return float(chi2.ppf(0.95, 2 * count + 2) / 2 / steps * 1e4)


def _healthy(
    curves: dict, part: str, siblings: int, among: tuple[str, ...] = ORDER_A, seed: int = 0
) -> tuple[int, int, int, int]:
    """Alarms and run-steps in order A, and the same by distinct steps (alarms within 10 steps are one)."""
    rng = np.random.default_rng(seed)
    all_series = [series(curves, t, tuple(rng.permutation([a for a in among if a != t])[:siblings])) for t in among]
    n = min(len(s.loss) for s in all_series)
    inside = mask(all_series[0].step[:n], part)
    bank = Bank(len(all_series), siblings, RATE)
    steps: list[float] = []
    for k in range(n):
        others = np.stack([s.others[k] for s in all_series])
        out = bank.step(np.array([s.loss[k] for s in all_series]), np.array([s.step[k] for s in all_series]), others)
        if inside[k]:
            steps += [all_series[0].step[k]] * int(out.alarm.sum())
    distinct = 0 if not steps else 1 + int((np.diff(np.sort(steps)) > 10).sum())
    return len(steps), int(inside.sum()) * len(all_series), distinct, int(inside.sum())


def _whole(curves: dict, name: str, siblings: tuple[str, ...]) -> tuple[int, int]:
    s = series(curves, name, siblings)
    bank = Bank(1, len(siblings), RATE)
    count = 0
    for k in range(len(s.loss)):
        out = bank.step(s.loss[k : k + 1], s.step[k : k + 1], s.others[k : k + 1])
        count += int(out.alarm[0]) if s.step[k] >= START else 0
    return count, int((s.step >= START).sum())


def alarms() -> None:
    """False alarms on real healthy steps."""
    curves = load()
    print("## False alarms on real healthy steps, asked for 1 per 10,000\n")
    print("Alarms by run and step; then by distinct step, for the runs of an order share their batches.\n")
    print("| curves | siblings | alarms / run-steps | distinct / steps | rate per 10,000 | 95 % limit |")
    print("|---|---|---|---|---|---|")
    total: dict[str, list[int]] = {"alone": [0, 0], "with siblings": [0, 0]}
    for siblings in COUNTS:
        count, runs, distinct, steps = _healthy(curves, "test", siblings)
        _alarm_row("order A, test blocks, random siblings", siblings, count, runs, distinct, steps)
        if siblings in (0, 2):
            which = total["alone" if siblings == 0 else "with siblings"]
            which[0], which[1] = which[0] + distinct, which[1] + steps
    for siblings in (1, 2, 5):
        mixed = (*ORDER_A, *OTHER_SCHEDULE)
        _alarm_row(
            "the same with SOAP and Muon, which anneal later", siblings, *_healthy(curves, "test", siblings, mixed)
        )
    for name, siblings in (("ScaleUp1B/7", ()), ("llmc/3", ()), ("ScaleUp1B/9", ()), ("ScaleUp1B/8", ("ScaleUp1B/9",))):
        count, steps = _whole(curves, name, siblings)
        _alarm_row(name, len(siblings), count, steps, count, steps)
        which = total["with siblings" if siblings else "alone"]
        which[0], which[1] = which[0] + count, which[1] + steps
    for name, (count, steps) in total.items():
        print(f"\nTogether {name}: {count} in {steps:,} distinct steps, 95 % limit {_limit(count, steps):.2f}.")
    print("\nThe window rules at their defaults, without siblings, order A's test blocks:\n")
    print("| rule | of | alarms / run-steps | per 10,000 |\n|---|---|---|---|")
    y = np.stack([curves[t].to_numpy(float)[:5100] for t in ORDER_A])
    inside = mask(np.arange(1, 5101), "test")
    for name, rule in RULES.items():
        hits = int((rule.score(y) > rule.default)[:, inside].sum())
        n = int(inside.sum()) * len(y)
        print(f"| {name} | {rule.tool} | {hits} / {n:,} | {hits / n * 1e4:.1f} |")
    print()


def _alarm_row(name: str, siblings: int, count: int, runs: int, distinct: int, steps: int) -> None:
    print(f"| {name} | {siblings} | {count} / {runs:,} | {distinct} / {steps:,} | {count / runs * 1e4:.2f} | "
          f"{_limit(distinct, steps):.2f} |", flush=True)  # fmt: skip


def bootstrap(length: int = 5500, block: int = 100) -> None:
    """Block-bootstrapped steps: residual vectors of order A's test blocks, drawn in blocks of 100 consecutive steps."""
    curves = load()
    print("## False alarms on block-bootstrapped steps (not real data)\n")
    print("Residuals of order A's test blocks against each run's centred running mean of 201 steps, drawn in blocks of "
          f"{block} steps for a run and its siblings together, on a flat curve; a stream draws from one stretch of 500 "
          "steps only, for the noise of early training is not that of late training. Places are the stretches of 20 "
          "real steps of a run in which the alarms fell: what happened there once is drawn again and again. "
          "One seed.\n")  # fmt: skip
    print("| siblings | steps | alarms | point, up, down, variance | places | rate per 10,000 |")
    print("|---|---|---|---|---|---|")
    frame = pd.DataFrame({name: curves[name] for name in ORDER_A}).loc[1:5100]
    rest = (frame - frame.rolling(201, center=True, min_periods=1).mean()).to_numpy()
    inside = mask(frame.index.to_numpy(float), "test")
    begin = np.array([i for i in range(len(inside) - block) if inside[i : i + block].all()])
    for siblings in COUNTS:
        rng = np.random.default_rng(7)
        streams, burn = 210, 500
        bank = Bank(streams, siblings, RATE)
        who = np.stack([rng.permutation(len(ORDER_A))[: siblings + 1] for _ in range(streams)])
        count, by_kind = 0, np.zeros(4, int)
        places: dict[tuple[int, int], int] = {}
        stretch = rng.choice(np.unique(begin // BLOCK), size=streams)
        for k in range(length):
            if k % block == 0:
                at = np.array([rng.choice(begin[begin // BLOCK == b]) for b in stretch])
            y = 3.4 + np.take_along_axis(rest[at + k % block], who, axis=1)
            out = bank.step(y[:, 0], np.full(streams, 2000.0 + k), y[:, 1:])
            if k >= burn:
                count += int(out.alarm.sum())
                for i in np.flatnonzero(out.alarm):
                    place = int(who[i, 0]), int(at[i] + k % block) // 20
                    places[place] = places.get(place, 0) + 1
                by_kind += np.bincount(out.kinds[out.alarm].argmax(axis=1), minlength=4)
        steps = streams * (length - burn)
        kinds_found = ", ".join(map(str, by_kind))
        print(f"| {siblings} | {steps:,} | {count} | {kinds_found} | {_places(places)} | {count / steps * 1e4:.2f} |",
              flush=True)  # fmt: skip
    print()


def _places(places: dict[tuple[int, int], int]) -> str:
    """How many stretches of 20 steps of a run the alarms come from, and how many of them make up nine tenths."""
    counts = np.sort(list(places.values()))[::-1]
    most = int(np.searchsorted(np.cumsum(counts), 0.9 * counts.sum())) + 1 if len(counts) else 0
    return f"{len(counts)} ({most} make 90 %)"


def _snapshots(s: Series, at: np.ndarray) -> State:
    bank = Bank(1, s.others.shape[1], RATE)
    found: dict[int, State] = {}
    wanted = set(at.tolist())
    for k in range(int(at.max()) + 1):
        if k in wanted:
            found[k] = bank.state.take(np.array([0]))
        bank.step(s.loss[k : k + 1], s.step[k : k + 1], s.others[k : k + 1])
    return State.stack([found[int(k)] for k in at])


def _positions(curves: dict, name: str) -> np.ndarray:
    step = curves[name].index.to_numpy(float)
    return np.concatenate([starts(step, "test", PER_SEED, 650, seed) for seed in range(SEEDS)])


def _inject(all_series: list[Series], at: list[np.ndarray], state: State, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Recall and median delay by magnitude, all magnitudes at once."""
    count, room = sum(map(len, at)), ROOM[kind]
    bank = Bank(count * len(NANS), all_series[0].others.shape[1], RATE)
    bank.state = state.take(np.tile(np.arange(count), len(NANS)))
    bank.state.active[:] = 0
    size = np.repeat(NANS, count)
    height = shape(kind, room)
    delay = np.full(len(size), np.inf)
    for k in range(room):
        rows = [np.minimum(a + k, len(s.loss) - 1) for s, a in zip(all_series, at, strict=True)]
        loss = np.concatenate([s.loss[i] for s, i in zip(all_series, rows, strict=True)])
        step = np.concatenate([s.step[i] for s, i in zip(all_series, rows, strict=True)])
        others = np.concatenate([s.others[i] for s, i in zip(all_series, rows, strict=True)])
        out = bank.step(
            np.tile(loss, len(NANS)) + size * height[k], np.tile(step, len(NANS)), np.tile(others, (len(NANS), 1))
        )
        delay = np.where(np.isinf(delay) & out.alarm, k, delay)
    table = delay.reshape(len(NANS), count)
    middle = [float(np.median(row[np.isfinite(row)])) if np.isfinite(row).any() else np.nan for row in table]
    return np.isfinite(table).mean(axis=1), np.array(middle)


def _thresholds(curves: dict) -> dict[str, float]:
    """Each rule's threshold for one alarm per 10,000 steps, on the calibration part."""
    y = np.stack([curves[t].to_numpy(float)[:5100] for t in ORDER_A])
    inside = mask(np.arange(1, 5101), "calibration")
    return {name: float(np.quantile(rule.score(y)[:, inside], 1 - RATE)) for name, rule in RULES.items()}


def _rules(curves: dict, kind: str, limits: dict[str, float]) -> dict[str, np.ndarray]:
    """Recall of every rule by magnitude, at the matched threshold."""
    room, out = ROOM[kind], {}
    base, before = [], 256
    for name in TARGETS:
        loss = curves[name].to_numpy(float)
        for p in _positions(curves, name):
            index = np.minimum(np.arange(p - before, p + room), len(loss) - 1)
            base.append(loss[np.maximum(index, 0)])
    y = np.stack(base)
    add = np.concatenate([np.zeros(before), shape(kind, room)])
    for name, rule in RULES.items():
        if name.startswith("median") and room > 400:
            continue
        out[name] = np.array([(rule.score(y + m * add)[:, before:] > limits[name]).any(axis=1).mean() for m in NANS])
    return out


def _reach(recall: np.ndarray) -> float:
    """Least magnitude found 90 % of the time, between the grid's sizes by interpolation in its logarithm."""
    ok = np.flatnonzero(recall >= 0.9)
    if not ok.size:
        return np.inf
    i = int(ok[0])
    if i == 0:
        return NANS[0]
    share = (0.9 - recall[i - 1]) / (recall[i] - recall[i - 1])
    return float(np.exp(np.log(NANS[i - 1]) + share * np.log(NANS[i] / NANS[i - 1])))


def inject() -> None:
    """Recall of injected anomalies, by kind, magnitude and number of siblings, against window rules."""
    curves = load()
    limits = _thresholds(curves)
    n = len(TARGETS) * SEEDS * PER_SEED
    print("## Injected anomalies\n")
    print(f"{n} injections a cell ({len(TARGETS)} runs of order A, {SEEDS} seeds, {PER_SEED} each) into the test "
          "blocks; asked for 1 false alarm per 10,000. Recall, and the median delay in steps in brackets; found "
          "means an alarm within the steps of the second column. The last row of a kind is the best window rule in "
          "each cell at its threshold for one alarm per 10,000 on the calibration part.\n")  # fmt: skip
    print("| kind | within | detector | " + " | ".join(f"{m:g}" for m in NANS) + " | 90 % at |")
    print("|---|---|---|" + "---|" * (len(NANS) + 1))
    states = {}
    at = [_positions(curves, name) for name in TARGETS]
    for siblings in COUNTS:
        all_series = [series(curves, name, others[:siblings]) for name, others in TARGETS.items()]
        states[siblings] = all_series, State.stack([_snapshots(s, a) for s, a in zip(all_series, at, strict=True)])
    for kind in ROOM:
        for siblings, (all_series, state) in states.items():
            recall, delay = _inject(all_series, at, state, kind)
            cells = [f"{r:.2f}" + (f" ({d:.0f})" if r >= 0.05 else "") for r, d in zip(recall, delay, strict=True)]
            cells.append(f"{_reach(recall):.3g}")
            print(f"| {kind} | {ROOM[kind]} | {siblings} siblings | " + " | ".join(cells) + " |",
                  flush=True)  # fmt: skip
        rules = _rules(curves, kind, limits)
        best = np.stack(list(rules.values())).max(axis=0)
        reach = min((_reach(r), name) for name, r in rules.items())
        name = f" ({reach[1]})" if np.isfinite(reach[0]) else ""
        print(f"| {kind} | {ROOM[kind]} | best rule | " + " | ".join(f"{r:.2f}" for r in best)
              + f" | {reach[0]:.3g}{name} |", flush=True)  # fmt: skip
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


SECTIONS = {"spikes": spikes, "alarms": alarms, "bootstrap": bootstrap, "inject": inject, "kinds": kinds}

if __name__ == "__main__":
    began = time.perf_counter()
    print("# Anomalies, measured\n\nWritten by `python benchmarks/anomalies.py`. Healthy curves: "
          f"modded-nanogpt; {', '.join(ALONE)} have no siblings.\n")  # fmt: skip
    for section in sys.argv[1:] or SECTIONS:
        SECTIONS[section]()
    print(f"{time.perf_counter() - began:.0f} s in all, on a machine that did other work.", file=sys.stderr)
