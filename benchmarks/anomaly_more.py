"""What no detector could do better, and healthy runs that no setting was chosen on."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from anomaly_alarms import RATE, limit
from anomaly_data import ORDER_A, OTHER_SCHEDULE, family, load, mask, true_events
from anomaly_recall import Places
from anomaly_schedules import WITHIN, schedules

from bayeslaw.anomalies.bank import Bank
from bayeslaw.anomalies.shocks import MOST

#: runs of order A that no setting was tried on as targets, with two siblings each
FRESH = {
    "ModernArch/4": ("Optimizers/13", "PyTorch25/6"),
    "Optimizers/10": ("DistributedMuon/5", "Optimizers/13"),
    "Optimizers/13": ("ModernArch/4", "Optimizers/10"),
}
SMALL = (0.02, 0.03, 0.05)


def _local(a: np.ndarray, window: int = 101) -> np.ndarray:
    """(n,) less its centred running median."""
    return a - pd.Series(a).rolling(window, center=True, min_periods=10).median().to_numpy()


def _scale(a: np.ndarray) -> np.ndarray:
    return 1.4826 * pd.Series(np.abs(a)).rolling(401, center=True, min_periods=20).median().to_numpy()


def contrasts(part: str) -> pd.DataFrame:
    """Every run of order A against the mean of every two others, healthy rows of ``part``, with hindsight."""
    table, step = family(load(), ORDER_A)
    inside, events = mask(step, part), true_events(table)
    out = []
    for i in range(table.shape[1]):
        for j, k in combinations([m for m in range(table.shape[1]) if m != i], 2):
            d, apart = _local(table[:, i] - 0.5 * (table[:, j] + table[:, k])), _local(table[:, j] - table[:, k])
            shock = _local(0.5 * (table[:, j] + table[:, k]))
            ok = inside & ~events[:, [i, j, k]].any(axis=1)
            frame = pd.DataFrame({"step": step, "d": d, "sd": _scale(d), "apart": np.abs(apart) / _scale(apart),
                                  "shock": np.abs(shock) / _scale(shock)})  # fmt: skip
            out.append(frame[ok])
    return pd.concat(out, ignore_index=True)


def oracle(c: pd.DataFrame, rate: float, size: float) -> float:
    """Most points of ``size`` found at ``rate``, were the distribution in each class of steps known exactly.

    Classes are the local sd in thirds, how far the siblings lie apart and how large their shock is. Within a class the
    ratio of the histograms with and without the point decides, at one threshold for all: no test of the contrast and
    the class finds more at that rate of these steps. It is generous, for it has seen the very steps that it judges.
    """
    d, sd = c["d"].to_numpy(), c["sd"].to_numpy()
    group = np.digitize(c["apart"], [1, 2, 3, 5]) * 10 + np.digitize(c["shock"], [2, 4])
    group = group + 100 * np.digitize(sd, np.quantile(sd, [1 / 3, 2 / 3]))
    edges = np.concatenate([[-np.inf], np.arange(-0.1, 0.25, 0.002), [np.inf]])
    healthy, hit = np.empty(len(d)), np.empty(len(d))
    for g in np.unique(group):
        at = group == g
        ratio = (np.histogram(d[at] + size, edges)[0] + 1e-9) / (np.histogram(d[at], edges)[0] + 1e-9)
        healthy[at] = ratio[np.searchsorted(edges, d[at], side="right") - 1]
        hit[at] = ratio[np.searchsorted(edges, d[at] + size, side="right") - 1]
    return float(np.mean(hit > np.sort(healthy)[-1 - int(rate * len(d))]))


def ceiling(part: str = "test") -> None:
    """Points with two siblings: what the scatter of healthy runs leaves to be found."""
    c = contrasts(part)
    print(f"## Single losses with two siblings: what the data allow ({part} part)\n")
    print(f"{len(c):,} healthy rows: every run of order A against the mean of every two others, with hindsight. Rows "
          "more than 5 local sd above it: "
          f"{(c['d'] > 5 * c['sd']).mean() * 1e4:.1f} in 10,000, on {c['step'][c['d'] > 5 * c['sd']].nunique()} of "
          f"{c['step'].nunique():,} steps; more than 0.02 nats above it: {(c['d'] > 0.02).mean() * 1e4:.1f} in 10,000. "
          "Usually it is one run that leaves the others.\n")  # fmt: skip
    print("| false alarms per 10,000 | by | point .02 | point .03 | point .05 |\n|---|---|---|---|---|")
    for rate in (0.5e-4, 1e-4, 1.5e-4, 1e-3):
        fixed = float(np.quantile(c["d"] / c["sd"], 1 - rate))
        plain = [((c["d"] + s) / c["sd"] > fixed).mean() for s in SMALL]
        best = [oracle(c, rate, s) for s in SMALL]
        print(f"| {rate * 1e4:g} | the best threshold in local sd, {fixed:.1f} | "
              + " | ".join(f"{v:.2f}" for v in plain) + " |")  # fmt: skip
        print(f"| {rate * 1e4:g} | the distribution in each class of steps, known | "
              + " | ".join(f"{v:.2f}" for v in best) + " |", flush=True)  # fmt: skip
    print()


def elsewhere() -> None:
    """False alarms and recall where no setting was tried: other sizes and schedules, later steps, other targets."""
    print("## Where no setting was tried\n")
    print("lr-schedules: 60M, 93M and 166M, cosine and WSD, every 50th step, siblings of any size and schedule. Shifts "
          f"upwards, in nats, are found if an alarm follows within {WITHIN} rows.\n")  # fmt: skip
    schedules()
    print("| healthy runs | siblings | alarms / run-steps | 95 % limit |\n|---|---|---|---|")
    alarms, steps = _late()
    print(f"| SOAP and Muon against each other, steps after 5,100 | 1 | {alarms} / {steps:,} | "
          f"{limit(alarms, steps):.2f} |\n")  # fmt: skip
    print(f"Recall with two siblings on the test part, targets {', '.join(FRESH)}:\n")
    print("| point .02 | point .03 | point .05 | point .1 | shift up .01 | shift down .01 | drift .01 over 300 |")
    print("|---|---|---|---|---|---|---|")
    places = Places(load(), "test", RATE, (2,), FRESH)
    cells = [np.isfinite(places.delays("point", (s,))).mean() for s in (*SMALL, 0.1)]
    cells += [np.isfinite(places.delays(k, (0.01,))).mean() for k in ("shift up", "shift down", "drift 300")]
    print("| " + " | ".join(f"{v:.2f}" for v in cells) + " |\n")


def _late() -> tuple[int, int]:
    """Alarms and run-steps of SOAP and Muon on steps that the other runs of order A do not have."""
    table, step = family(load(), OTHER_SCHEDULE)
    bank, alarms, steps = Bank(2, MOST, RATE), 0, 0
    for k, row in enumerate(table):
        others = np.full((2, MOST), np.nan)
        others[:, 0] = row[::-1]
        told = bank.step(row, np.full(2, step[k]), others)
        if step[k] > 5100:
            alarms, steps = alarms + int(told.alarm.sum()), steps + 2
    return alarms, steps
