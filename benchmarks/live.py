"""What recording costs a training: microseconds of the training thread per recorded step, and in per cent of a step.

    python benchmarks/live.py [steps]

A call of ``bayeslaw.live.Recorder`` is timed in a loop that does nothing but record, so that the writer's thread
competes for the interpreter all the time, and between waits of some milliseconds, as those of a training for its
device, after which the processor's caches are cold. Processor time of the training thread is what the recorder itself
costs; the wall clock adds the turns that other programs take, above all on a busy computer, with or without a recorder.
"Both threads" adds what the writer's thread spends on a row, mostly while the training waits for its device.
Rows hold a loss, a rate and a gradient norm; "tensors" stands for values that must be detached and copied first, here
numpy's in place of a device's. A step of 20 ms is that of a small model on one device, 100 ms and more of a large one.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bayeslaw.live import Recorder

STEPS = 20_000
#: waits between calls in the paced loop, seconds, and how many
PACE, PACED = 0.005, 2_000
#: lengths of a training step that costs are compared with, seconds
LENGTHS = (0.02, 0.1)


class Tensor:
    """What the recorder asks of a tensor: to be detached, copied and read."""

    def __init__(self, value: float):
        self.value = np.full((), value, np.float32)

    def detach(self) -> Tensor:
        """A view without a graph."""
        return self

    def clone(self) -> Tensor:
        """A copy, which keeps its value."""
        return Tensor(float(self.value))

    def __float__(self) -> float:
        return float(self.value)


KINDS: dict[str, Callable[[float], Any]] = {"numbers": float, "tensors": Tensor}


@contextmanager
def recorder() -> Iterator[Recorder]:
    """A recorder into a fresh folder, its thread started."""
    with tempfile.TemporaryDirectory() as place, Recorder(Path(place) / "run.jsonl", n_params=7e9) as record:
        record(step=0, loss=1.0)
        yield record


def crowded(make: Callable[[float], Any], steps: int) -> tuple[float, float, float]:
    """Seconds of thread time and of wall time per call in a loop that does nothing else, and of both threads' time."""
    with recorder() as record:
        both, cpu, wall = time.process_time(), time.thread_time(), time.perf_counter()
        for step in range(1, steps + 1):
            record(step=step, loss=make(4.0), lr=1e-3, grad_norm=make(0.5))
        cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
        record.flush()
        return cpu / steps, wall / steps, (time.process_time() - both) / steps


def paced(make: Callable[[float], Any], steps: int) -> tuple[float, float]:
    """Median seconds of thread time and of wall time of a call between waits, less what the clocks themselves take."""
    spent: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    with recorder() as record:
        for step in range(1, 2 * steps + 1):
            time.sleep(PACE)
            loss, norm, recorded = make(4.0), make(0.5), step % 2 == 0
            call = record if recorded else _nothing
            begun, start = time.thread_time(), time.perf_counter()
            call(step=step, loss=loss, lr=1e-3, grad_norm=norm)
            wall = time.perf_counter() - start
            spent[recorded].append((time.thread_time() - begun, wall))
    (cpu, wall), (clock, empty) = (map(statistics.median, zip(*spent[kind], strict=True)) for kind in (True, False))
    return cpu - clock, wall - empty


def _nothing(**_row: Any) -> None:
    """A call that does nothing, as long in its arguments as a recorder's."""


def main() -> None:
    """Print the table."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores{load}, {steps:,} calls each\n")
    print("| values | how | µs per step |" + "".join(f" of a step of {1e3 * each:g} ms |" for each in LENGTHS))
    print("|---|---|---|" + "---|" * len(LENGTHS))
    for name, make in KINDS.items():
        cpu, wall, both = crowded(make, steps)
        cold, waited = paced(make, min(PACED, steps))
        rows = {
            "recording only, thread time": cpu,
            "recording only, wall": wall,
            "recording only, both threads": both,
            "between waits, thread time, median": cold,
            "between waits, wall, median": waited,
        }
        for how, cost in rows.items():
            shares = "".join(f" {100 * cost / each:.4f} % |" for each in LENGTHS)
            print(f"| {name} | {how} | {1e6 * cost:.1f} |{shares}")


if __name__ == "__main__":
    main()
