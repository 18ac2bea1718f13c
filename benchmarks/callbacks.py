"""What the callbacks for transformers' Trainer and Lightning cost a training: microseconds of its thread per step.

    python benchmarks/callbacks.py [steps]

Needs transformers, accelerate and lightning (and torch); a trainer that is absent is said and left out. A model of one
parameter trains on the processor, every step logged, and a wait of some milliseconds stands for the device's work, so
that the processor's caches are cold when the callback is called. What is timed is the callback itself: its hooks are
wrapped in clocks, whose own time, taken from a callback that does nothing, is subtracted. Beside it, whole trainings
with and without the callback, in turns: their thread time per step differs by the callback and by chance.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bayeslaw.live import lightning_callback, transformers_callback

STEPS, WAIT, TURNS = 1000, 0.005, 3
#: a training step that costs are compared with, seconds
STEP = 0.02
HOOKS = ("on_log", "on_train_end", "on_train_start", "on_train_batch_end", "on_validation_end", "on_fit_end")


class Clocked:
    """Seconds of thread time and of wall time that each call of a callback's hooks took."""

    def __init__(self, callback: Any, *, idle: bool = False):
        self.calls: list[tuple[float, float]] = []
        for name in HOOKS:
            hook = getattr(callback, name, None)
            if hook is not None:
                setattr(callback, name, self._clocked((lambda *_, **__: None) if idle else hook))

    def _clocked(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> None:
            cpu, wall = time.thread_time(), time.perf_counter()
            hook(*args, **kwargs)
            self.calls.append((time.thread_time() - cpu, time.perf_counter() - wall))

        return wrapper


def train_transformers(steps: int, callbacks: list[Any]) -> None:
    """Train with transformers' Trainer, one log row per step."""
    import torch
    from transformers import PrinterCallback, Trainer, TrainingArguments

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, x: Any = None, labels: Any = None) -> dict[str, Any]:
            time.sleep(WAIT)
            return {"loss": (self.weight**2).sum() + 2}

    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out, max_steps=steps, logging_steps=1, report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no",
            per_device_train_batch_size=1,
        )  # fmt: skip
        data = [{"x": torch.zeros(1), "labels": torch.zeros(1)}] * 64
        trainer = Trainer(Model(), arguments, train_dataset=data, callbacks=callbacks)  # type: ignore[arg-type]
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def train_lightning(steps: int, callbacks: list[Any]) -> None:
    """Train with Lightning's Trainer."""
    import lightning
    import torch

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Model(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def training_step(self, batch: Any, _: int) -> Any:
            time.sleep(WAIT)
            return (self.weight**2).sum() + 2

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=1e-2)

    trainer = lightning.Trainer(
        max_steps=steps, logger=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
        enable_checkpointing=False, callbacks=callbacks,
    )  # fmt: skip
    trainer.fit(Model(), torch.utils.data.DataLoader(torch.zeros(64, 1)))


TRAINERS = {
    "transformers": (("transformers", "torch", "accelerate"), train_transformers, transformers_callback),
    "lightning": (("lightning", "torch"), train_lightning, lightning_callback),
}


def measure(name: str, steps: int) -> None:
    """Print a row of the table."""
    packages, train, make = TRAINERS[name]
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        print(f"| {name} | not installed: {', '.join(missing)} |")
        return
    version = __import__(name).__version__
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "run.jsonl"
        train(20, [make(path)])  # what is imported and compiled the first time
        idle, whole = make(path), {True: [], False: []}
        empty = Clocked(idle, idle=True)
        train(steps, [idle])
        clocks = [statistics.median(each) for each in zip(*empty.calls, strict=True)]
        callback = make(path, n_params=7e9)
        clocked = Clocked(callback)
        train(steps, [callback])
        cpu, wall = (
            statistics.median(each) - clock
            for each, clock in zip(zip(*clocked.calls, strict=True), clocks, strict=True)
        )
        mean = statistics.fmean(c for c, _ in clocked.calls) - clocks[0]
        for _ in range(TURNS):
            for recorded in (True, False):
                begun = time.thread_time()
                train(steps, [make(path)] if recorded else [])
                whole[recorded].append(1e6 * (time.thread_time() - begun) / steps)
    turns = ", ".join(f"{a - b:+.0f}" for a, b in zip(whole[True], whole[False], strict=True))
    print(
        f"| {name} {version} | {1e6 * cpu:.1f} | {1e6 * wall:.1f} | {1e6 * mean:.1f} | {100 * cpu / STEP:.4f} % | "
        f"{statistics.median(whole[False]):.0f} | {turns} |"
    )


def main() -> None:
    """Print the table."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    warnings.simplefilter("ignore")
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores{load}, {steps:,} steps each\n")
    print(
        f"| trainer | µs per step, thread time, median | wall, median | thread time, mean | of a step of "
        f"{1e3 * STEP:g} ms | the training's own µs per step | with less without, {TURNS} turns |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in TRAINERS:
        measure(name, steps)


if __name__ == "__main__":
    main()
