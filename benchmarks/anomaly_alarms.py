"""False alarms on healthy steps, real and block-bootstrapped, with 0, 1, 2 and 5 siblings.

All sibling counts run side by side in one bank: a stream is a run with some of the others as its siblings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from anomaly_data import ALONE, ORDER_A, OTHER_SCHEDULE, START, WARMUP, family, load, mask, true_events
from anomaly_rules import LIBRARY, RULES
from scipy.stats import chi2

from bayeslaw.anomalies.bank import Bank
from bayeslaw.anomalies.evidence import KINDS
from bayeslaw.anomalies.shocks import MOST

COUNTS = (0, 1, 2, 5)
RATE = 1e-4


def limit(count: int, steps: int) -> float:
    """Exact 95 % upper Poisson limit (one-sided), per 10,000 steps."""
    return float(chi2.ppf(0.95, 2 * count + 2) / 2 / steps * 1e4)


def siblings_of(rng: np.random.Generator, run: int, runs: int, count: int) -> list[int]:
    """``count`` of the other runs, drawn as the siblings of ``run``; -1 in the places that are left."""
    found = rng.permutation([j for j in range(runs) if j != run])[:count]
    return [*found, *[-1] * (MOST - count)]


def streams(runs: int, counts: tuple[int, ...], seeds: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(B,) which run, (B, MOST) which siblings, -1 where there is none: every run, each count, ``seeds`` draws."""
    rng = np.random.default_rng(seed)
    own, others = [], []
    for count in counts:
        for _ in range(seeds if count else 1):
            for i in range(runs):
                own.append(i)
                others.append(siblings_of(rng, i, runs, count))
    return np.array(own), np.array(others)


def judge(rows: Iterator[np.ndarray], x: Callable[[int], float], own: np.ndarray, others: np.ndarray,
          rate: float = RATE, lr: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Alarms (B,) and their kinds (B,), row after row; a row holds the losses of the runs, (runs,) or (B, runs).

    ``lr`` (rows, runs) : their learning rates, where they are told.
    """
    bank = Bank(len(own), MOST, rate)
    at = np.arange(len(own))
    for k, row in enumerate(rows):
        wide = np.broadcast_to(row, (len(own), row.shape[-1]))
        siblings = np.where(others >= 0, np.take_along_axis(wide, np.maximum(others, 0), axis=1), np.nan)
        rates = () if lr is None else (lr[k][own], np.where(others >= 0, lr[k][others], np.nan))
        out = bank.step(wide[at, own], np.full(len(own), x(k)), siblings, *rates)
        yield out.alarm, out.kinds.argmax(axis=1)


def healthy(curves: dict, names: tuple[str, ...], part: str, seeds: int = 2) -> list[tuple[int, ...]]:
    """Per count of siblings: alarms, run-steps, distinct alarmed steps, steps, alarms in or beside true events."""
    table, step = family(curves, names)
    own, others = streams(len(names), COUNTS, seeds)
    count = (others >= 0).sum(axis=1)
    inside, events = mask(step, part), true_events(table)
    hits: list[tuple[int, int]] = []
    steps, beside = np.zeros(MOST + 1, int), np.zeros(MOST + 1, int)
    for k, (alarm, _) in enumerate(judge(iter(table), lambda k: step[k], own, others)):
        if not inside[k]:
            continue
        # with one sibling an event of either is a true alarm of one of the two
        theirs = np.where((others >= 0) & (count == 1)[:, None], events[k][np.maximum(others, 0)], False).any(axis=1)
        excused = events[k][own] | theirs
        steps += np.bincount(count[~excused], minlength=MOST + 1)
        beside += np.bincount(count[alarm & excused], minlength=MOST + 1)
        hits += [(int(count[i]), k) for i in np.flatnonzero(alarm & ~excused)]
    out = []
    for c in COUNTS:
        at = np.sort([k for n, k in hits if n == c])
        distinct = int(len(at) > 0) + int((np.diff(at) > 10).sum()) if len(at) else 0
        out.append((len(at), int(steps[c]), distinct, int(inside.sum()), int(beside[c])))
    return out


def alone(curves: dict) -> list[tuple[str, int, int, int]]:
    """Runs without siblings of their own order, and order B's pair: name, siblings, alarms, steps."""
    jobs = [(name, None) for name in (*ALONE, "ScaleUp1B/9")] + [("ScaleUp1B/8", "ScaleUp1B/9")]
    n = max(len(curves[name]) for name, _ in jobs)
    loss, step, other = (
        np.full((n, len(jobs)), np.nan),
        np.full((n, len(jobs)), np.nan),
        np.full((n, len(jobs)), np.nan),
    )
    for b, (name, sibling) in enumerate(jobs):
        m = len(curves[name])
        loss[:m, b], step[:m, b] = curves[name].to_numpy(float), curves[name].index.to_numpy(float)
        if sibling is not None:
            other[:m, b] = curves[sibling].reindex(curves[name].index).to_numpy(float)
    order = np.argsort(-np.isfinite(loss).sum(axis=0), kind="stable")
    loss, step, other, jobs = loss[:, order], step[:, order], other[:, order], [jobs[i] for i in order]
    bank, count, judged = Bank(len(jobs), 1, RATE), np.zeros(len(jobs), int), np.zeros(len(jobs), int)
    for k in range(n):
        b = int(np.isfinite(loss[k]).sum())
        if b < bank.b:
            bank.state, bank.b = bank.state.take(np.arange(b)), b
        out = bank.step(loss[k, :b], step[k, :b], other[k, :b, None])
        late = step[k, :b] >= START
        count[:b] += out.alarm & late
        judged[:b] += late
    return [(name, int(s is not None), int(c), int(t)) for (name, s), c, t in zip(jobs, count, judged, strict=True)]


def alarms(part: str = "test") -> None:
    """False alarms on real healthy steps."""
    curves = load()
    print(f"## False alarms on real healthy steps ({part} part), asked for 1 per 10,000\n")
    print("Siblings are drawn at random, twice for every run. Alarms by run and step; then by distinct step, for the "
          "runs of an order share their batches. Left out, and counted in the last column, are alarms in true events: "
          "stretches in which a run lies more than 4 of its sd off the median of all others, on one side, for at "
          "least 4 rows in a row (with one sibling also the sibling's).\n")  # fmt: skip
    print("| curves | siblings | alarms / run-steps | distinct / steps | per 10,000 | 95 % limit | in true events |")
    print("|---|---|---|---|---|---|---|")
    total: dict[str, list[int]] = {"alone": [0, 0], "with siblings": [0, 0]}
    for label, names in (("order A", ORDER_A), ("order A with SOAP and Muon, which anneal later",
                         (*ORDER_A, *OTHER_SCHEDULE)), ("order A, WindowWarmup", WARMUP)):  # fmt: skip
        for c, (count, runs, distinct, steps, beside) in zip(COUNTS, healthy(curves, names, part), strict=True):
            print(f"| {label} | {c} | {count} / {runs:,} | {distinct} / {steps:,} | {count / runs * 1e4:.2f} | "
                  f"{limit(distinct, steps):.2f} | {beside} |", flush=True)  # fmt: skip
            if names == ORDER_A and c in (0, 2):
                which = total["with siblings" if c else "alone"]
                which[0], which[1] = which[0] + distinct, which[1] + steps
    if part == "test":
        for name, siblings, count, steps in alone(curves):
            print(f"| {name} | {siblings} | {count} / {steps:,} | {count} / {steps:,} | {count / steps * 1e4:.2f} | "
                  f"{limit(count, steps):.2f} | |")  # fmt: skip
            which = total["with siblings" if siblings else "alone"]
            if name != "AdamW/0":
                which[0], which[1] = which[0] + count, which[1] + steps
        for name, (count, steps) in total.items():
            print(f"\nTogether {name}: {count} in {steps:,} distinct steps, 95 % limit {limit(count, steps):.2f}.")
    _rules(curves, part)


def _rules(curves: dict, part: str) -> None:
    print("\nRules of training tools and detectors of the library river at their defaults, order A, no siblings:\n")
    print("| rule | of | alarms / run-steps | per 10,000 |\n|---|---|---|---|")
    table, step = family(curves, ORDER_A)
    inside, y = mask(step, part), table.T
    for name, rule in RULES.items():
        hits = int((rule.score(y) > rule.default)[:, inside].sum())
        print(
            f"| {name} | {rule.tool} | {hits} / {inside.sum() * len(y):,} | {hits / inside.sum() / len(y) * 1e4:.1f} |"
        )
    for name, alarms_of in LIBRARY.items():
        hits = int(sum(alarms_of(row)[inside].sum() for row in y))
        print(f"| {name} | river | {hits} / {inside.sum() * len(y):,} | {hits / inside.sum() / len(y) * 1e4:.1f} |")
    print()


def bootstrap(part: str = "test", per: int = 250, length: int = 4600, block: int = 100, burn: int = 500) -> None:
    """Block-bootstrapped steps: residuals of a run and its siblings together, in blocks of consecutive steps."""
    table, step = family(load(), ORDER_A)
    rest = (pd.DataFrame(table) - pd.DataFrame(table).rolling(201, center=True, min_periods=1).mean()).to_numpy()
    inside, events = mask(step, part), true_events(table)
    begin = np.array([i for i in range(len(inside) - block) if inside[i : i + block].all()])
    pools = [begin[begin // 500 == s] for s in np.unique(begin // 500)]
    print(f"## False alarms on block-bootstrapped steps ({part} part; not real data)\n")
    print(
        "Residuals of order A against each run's centred running mean of 201 steps, drawn in blocks of "
        f"{block} steps for a run and its siblings together, on a flat curve; a stream draws from one stretch of 500 "
        "steps only, for the noise of early training is not that of late training. Alarms in true events, as above, "
        "apart. Places are the stretches of 20 real steps of a run in which the alarms fell. One seed.\n"
    )
    print("| siblings | steps | alarms | point, up, down, variance | places | per 10,000 | in true events |")
    print("|---|---|---|---|---|---|---|")
    rng = np.random.default_rng(7)
    count = np.repeat(COUNTS, per)
    drawn = np.stack([rng.permutation(len(ORDER_A)) for _ in count])
    own = drawn[:, 0]
    others = np.where(np.arange(MOST) < count[:, None], drawn[:, 1 : MOST + 1], -1)
    where = np.arange(len(count)) % len(pools)
    at = np.zeros(len(count), int)
    places: list[int] = []

    def rows() -> Iterator[np.ndarray]:
        for k in range(length):
            if k % block == 0:
                at[:] = [rng.choice(pools[s]) for s in where]
            places[:] = (at + k % block).tolist()
            yield 3.4 + rest[at + k % block]

    found: list[tuple[int, int, int, int, bool]] = []
    for k, (alarm, kind) in enumerate(judge(rows(), lambda k: 2000.0 + k, own, others)):
        if k >= burn:
            for i in np.flatnonzero(alarm):
                true = events[places[i], own[i]] or (count[i] == 1 and events[places[i], others[i, 0]])
                found.append((int(count[i]), int(kind[i]), int(own[i]), places[i] // 20, bool(true)))
    for c in COUNTS:
        false = [f for f in found if f[0] == c and not f[4]]
        kinds = np.bincount([f[1] for f in false], minlength=len(KINDS))
        steps = per * (length - burn)
        print(f"| {c} | {steps:,} | {len(false)} | {', '.join(map(str, kinds))} | {len({f[2:4] for f in false})} | "
              f"{len(false) / steps * 1e4:.2f} | {sum(f[0] == c and f[4] for f in found)} |", flush=True)  # fmt: skip
    print()
