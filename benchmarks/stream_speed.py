"""What a row of a live run costs: one run, one run with siblings, a thousand runs, and the bank that it replaced.

    python benchmarks/stream_speed.py

Rows are made up (a power law with noise, and a learning rate; siblings share the noise), fed one round at a time, as
they would come. The bank of arrays judges many recorded runs at once; asked for one row of one run it pays numpy's
price per call, which is what a monitor did before it judged live runs in plain numbers. Processor time, not time on the
clock, so that other work on the machine weighs little; each figure is the least of several repeats.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bayeslaw.anomalies import Monitor
from bayeslaw.anomalies.bank import Bank
from bayeslaw.anomalies.live import Live
from bayeslaw.anomalies.shocks import MOST

REPEATS, ROWS = 3, 450


def curves(runs: int, rows: int, shared: bool) -> np.ndarray:
    """(rows, runs) losses; with ``shared`` batches the runs differ by a twentieth of the noise."""
    rng = np.random.default_rng(0)
    base = 2.5 + 8.0 * (np.arange(1, rows + 1) + 20.0) ** -0.35
    noise = 0.08 * rng.standard_normal((rows, 1 if shared else runs))
    return base[:, None] + noise + 0.004 * rng.standard_normal((rows, runs))


def least(work: Callable[[], float]) -> float:
    """Least of several repeats, in microseconds."""
    return min(work() for _ in range(REPEATS)) * 1e6


def monitor(runs: int, siblings: int, rows: int, warm: int) -> float:
    """Seconds a row of a monitor's run costs, after ``warm`` rounds."""
    table = curves(runs + siblings, rows, siblings > 0)
    watch, spent = Monitor(), 0.0
    names = [f"r{k:04d}" for k in range(runs + siblings)]
    for k, losses in enumerate(table.tolist()):
        told = zip(names, losses, strict=True)
        rounds = [{"run": name, "step": k + 1, "loss": loss, "lr": 1e-3} for name, loss in told]
        watch.feed(rounds[runs:])
        began = time.thread_time()
        watch.feed(rounds[:runs])
        spent += time.thread_time() - began if k >= warm else 0.0
    return spent / ((rows - warm) * runs)


def judge(siblings: int, bank: bool) -> float:
    """Seconds a row costs in the bank, or in plain numbers, without what a monitor does around it."""
    table = curves(1 + siblings, ROWS, True)
    others = np.full((ROWS, MOST), np.nan)
    others[:, :siblings] = table[:, 1:]
    arrays, live = Bank(1, MOST), Live(MOST)
    x, spent, plain = np.arange(1.0, ROWS + 1), 0.0, others.tolist()
    for k in range(ROWS):
        began = time.thread_time()
        if bank:
            arrays.step(table[k, :1], x[k : k + 1], others[k : k + 1] if siblings else None)
        else:
            live.step(float(table[k, 0]), float(x[k]), plain[k] if siblings else None)
        spent += time.thread_time() - began if k >= 100 else 0.0
    return spent / (ROWS - 100)


def main() -> None:
    """The table, in Markdown."""
    print("| judging one row of one run | bank of arrays, µs | plain numbers, µs | ratio |\n|---|---|---|---|")
    for siblings in (0, 1, 2, 5):
        old, new = least(lambda s=siblings: judge(s, True)), least(lambda s=siblings: judge(s, False))
        print(f"| {siblings} siblings | {old:.0f} | {new:.0f} | {old / new:.1f} |", flush=True)
    print("\n| a monitor, everything included | µs a row and run |\n|---|---|")
    for runs, siblings, rows, warm in ((1, 0, 1500, 250), (1, 2, 1500, 250), (1, 5, 1500, 250), (1000, 0, 180, 120)):
        least_of = (
            least(lambda a=(runs, siblings, rows, warm): monitor(*a))
            if runs == 1
            else 1e6 * monitor(runs, siblings, rows, warm)
        )
        label = "1 run" if runs == 1 else f"{runs:,} runs"
        print(f"| {label}, {siblings} siblings | {least_of:.0f} |", flush=True)


if __name__ == "__main__":
    main()
