"""Injected anomalies: how many are found, how soon, by kind, magnitude and number of siblings, against window rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from anomaly_data import TARGETS, family, load, mask, series, starts
from anomaly_rules import RULES
from anomaly_shapes import ROOM, shape

from bayeslaw.anomalies.bank import Bank, State
from bayeslaw.anomalies.shocks import MOST

COUNTS = (0, 1, 2, 5)
#: magnitude 0 is an undisturbed curve: what is "found" there is chance
NANS = (0.0, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
SEEDS, PER_SEED = 5, 14


class Places:
    """Where anomalies are injected: for every count of siblings, run and position, the bank's state just before.

    ``targets`` : run → its siblings, in the order in which they are added.
    """

    def __init__(self, curves: dict[str, Any], part: str, rate: float, counts: tuple[int, ...] = COUNTS,
                 targets: Mapping[str, tuple[str, ...]] = TARGETS) -> None:  # fmt: skip
        self.rate = rate
        jobs = [(series(curves, name, others[:c]), c) for c in counts for name, others in targets.items()]
        n = min(len(s.loss) for s, _ in jobs)
        self.step = jobs[0][0].step[:n]
        self.loss = np.stack([s.loss[:n] for s, _ in jobs], axis=1)
        self.others = np.full((n, len(jobs), MOST), np.nan)
        for b, (s, c) in enumerate(jobs):
            self.others[:, b, :c] = s.others[:n]
        at = {name: positions(curves, name, part) for name in targets}
        where = [(b, int(k)) for b, (s, _) in enumerate(jobs) for k in np.sort(at[s.name])]
        self.job, self.row = np.array([b for b, _ in where]), np.array([k for _, k in where])
        self.count = np.array([jobs[b][1] for b in self.job])
        bank, states = Bank(len(jobs), MOST, rate), {}
        wanted = set(where)
        for k in range(int(self.row.max()) + 1):
            for b in range(len(jobs)):
                if (b, k) in wanted:
                    states[b, k] = bank.state.take(np.array([b]))
            bank.step(self.loss[k], np.full(len(jobs), self.step[k]), self.others[k])
        self.state = State.stack([states[w] for w in where])
        # an event that was open anyway is not counted as found
        self.state.active[:] = 0

    def delays(self, kind: str, nans: tuple[float, ...]) -> np.ndarray:
        """(magnitudes, places) rows from the injection to the alarm, infinite where there was none in time."""
        out = np.full((len(nans), len(self.row)), np.inf)
        rng = np.random.default_rng(1)
        height = shape(kind, ROOM[kind])
        grown = rng.standard_normal((ROOM[kind], len(self.row))) if kind == "variance" else None
        for m, size in enumerate(nans):
            bank = Bank(len(self.row), MOST, self.rate)
            left = np.arange(len(self.row))
            bank.state = self.state.take(left)
            for k in range(ROOM[kind]):
                at, job = np.minimum(self.row[left] + k, len(self.step) - 1), self.job[left]
                add = size * (height[k] if grown is None else grown[k, left])
                step = bank.step(self.loss[at, job] + add, self.step[at], self.others[at, job])
                out[m, left] = np.where(np.isinf(out[m, left]) & step.alarm, k, out[m, left])
                # places that were found need not go on
                stay = np.isinf(out[m, left])
                if not stay.any():
                    break
                if stay.mean() < 0.8:
                    left, bank.b = left[stay], int(stay.sum())
                    bank.state = bank.state.take(np.flatnonzero(stay))
        return out


def positions(curves: dict[str, Any], name: str, part: str) -> np.ndarray:
    """(SEEDS * PER_SEED,) rows of a run at which anomalies begin."""
    step = curves[name].index.to_numpy(float)
    return np.concatenate([starts(step, part, PER_SEED, 650, seed) for seed in range(SEEDS)])


def thresholds(curves: dict[str, Any], rate: float) -> dict[str, float]:
    """Each rule's threshold for a rate of alarmed steps on the calibration part."""
    from anomaly_data import ORDER_A

    table, step = family(curves, ORDER_A)
    inside = mask(step, "calibration")
    return {name: float(np.quantile(rule.score(table.T)[:, inside], 1 - rate)) for name, rule in RULES.items()}


def rule_recall(curves: dict[str, Any], kind: str, part: str, limits: dict[str, float]) -> dict[str, np.ndarray]:
    """Recall of every rule by magnitude: events found that are not found in the undisturbed curve too."""
    room, before, base = ROOM[kind], 256, []
    for name in TARGETS:
        loss = curves[name].to_numpy(float)
        for p in positions(curves, name, part):
            base.append(loss[np.clip(np.arange(p - before, p + room), 0, len(loss) - 1)])
    y, out = np.stack(base), {}
    noise = np.random.default_rng(1).standard_normal((len(y), room))
    add = np.concatenate([np.zeros((len(y), before)), noise if kind == "variance" else
                          np.broadcast_to(shape(kind, room), (len(y), room))], axis=1)  # fmt: skip
    for name, rule in RULES.items():
        if name.startswith("median") and room > 400:
            continue
        out[name] = np.array([(rule.score(y + m * add)[:, before:] > limits[name]).any(axis=1).mean() for m in NANS])
    return out


def reach(recall: np.ndarray) -> float:
    """Least magnitude found 90 % of the time, between the grid's sizes by interpolation in its logarithm."""
    ok = np.flatnonzero((recall >= 0.9) & (np.array(NANS) > 0))
    if not ok.size:
        return np.inf
    i = int(ok[0])
    if i <= 1:
        return NANS[1]
    share = (0.9 - recall[i - 1]) / (recall[i] - recall[i - 1])
    return float(np.exp(np.log(NANS[i - 1]) + share * np.log(NANS[i] / NANS[i - 1])))


def inject(part: str = "test") -> None:
    """The table: recall and delay by kind and magnitude."""
    curves = load()
    limits = thresholds(curves, 1e-4)
    places = Places(curves, part, 1e-4)
    n = len(TARGETS) * SEEDS * PER_SEED
    print(f"## Injected anomalies ({part} part)\n")
    print(
        f"{n} injections a cell ({len(TARGETS)} runs of order A, {SEEDS} seeds, {PER_SEED} each); asked for 1 false "
        "alarm per 10,000. Recall, and median and 90 % delay in steps in brackets; found means an alarm within the "
        "steps of the second column. Column 0 is the undisturbed curve: chance. The last row of a kind is the best "
        "window rule in each cell, at its threshold for one alarm per 10,000 steps on the calibration part.\n"
    )
    print("| kind | within | detector | " + " | ".join(f"{m:g}" for m in NANS) + " | 90 % at |")
    print("|---|---|---|" + "---|" * (len(NANS) + 1))
    for kind in ROOM:
        delays = places.delays(kind, NANS)
        for c in COUNTS:
            part_of = delays[:, places.count == c]
            recall = np.isfinite(part_of).mean(axis=1)
            cells = [_cell(r, d) for r, d in zip(recall, part_of, strict=True)]
            print(f"| {kind} | {ROOM[kind]} | {c} siblings | " + " | ".join(cells) + f" | {reach(recall):.3g} |",
                  flush=True)  # fmt: skip
        rules = rule_recall(curves, kind, part, limits)
        best = np.stack(list(rules.values())).max(axis=0)
        least = min((reach(r), name) for name, r in rules.items())
        name = f" ({least[1]})" if np.isfinite(least[0]) else ""
        print(f"| {kind} | {ROOM[kind]} | best rule | " + " | ".join(f"{r:.2f}" for r in best)
              + f" | {least[0]:.3g}{name} |", flush=True)  # fmt: skip
    print()


def _cell(recall: float, delay: np.ndarray) -> str:
    seen = delay[np.isfinite(delay)]
    return f"{recall:.2f}" + (f" ({np.median(seen):.0f}, {np.quantile(seen, 0.9):.0f})" if recall >= 0.05 else "")


def rates(part: str = "test") -> None:
    """Recall of small anomalies with two siblings at other rates asked for, and the alarms those cost."""
    from anomaly_alarms import judge, streams
    from anomaly_data import ORDER_A, true_events

    curves = load()
    print(f"## Other rates, two siblings ({part} part)\n")
    print("| asked, per 10,000 | false alarms per 10,000 real run-steps | point .02 | point .03 | point .05 | "
          "shift up .01 | drift .01 over 300 |\n|---|---|---|---|---|---|---|")  # fmt: skip
    table, step = family(curves, ORDER_A)
    inside, events = mask(step, part), true_events(table)
    own, others = streams(len(ORDER_A), (2,), 2)
    for asked in (1e-5, 1e-4, 1e-3):
        places = Places(curves, part, asked, (2,))
        cells = [np.isfinite(places.delays("point", (s,))).mean() for s in (0.02, 0.03, 0.05)]
        cells += [np.isfinite(places.delays(kind, (0.01,))).mean() for kind in ("shift up", "drift 300")]
        hits = total = 0
        for k, (alarm, _) in enumerate(judge(iter(table), lambda k: step[k], own, others, asked)):
            fair = inside[k] & ~events[k][own]
            hits, total = hits + int((alarm & fair).sum()), total + int(fair.sum())
        print(f"| {asked * 1e4:g} | {hits / total * 1e4:.2f} ({hits} / {total:,}) | "
              + " | ".join(f"{c:.2f}" for c in cells) + " |", flush=True)  # fmt: skip
    print()
