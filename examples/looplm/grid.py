"""The whole grid, one command: ``python examples/looplm/grid.py OUT``. Killed and started again, it goes on.

Runs come in an order in which every prefix is of use: sizes and depths from coarse to fine, and the repeated seeds, to
half their length; the same to full length; a run whose learning rate is too high, one with a corrupted stretch, the
second corpus, the deepest models of the largest sizes; and decays that branch off the ends of some.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_gpu_deterministic_ops=true")  # the same curve again, on a GPU too

import jax
from corpus import Corpus, load_corpus
from train import Config, branch, run, steps_done

# About 12 width^2 parameters in the block: 7k, 19k, 49k, 102k, 185k, spaced nearly like 53M, 134M, 374M, 778M, 1.36B.
WIDTHS = (24, 40, 64, 92, 124)
HALF, FULL, DECAY = 450, 900, 150
LR = 0.045  # times width^-1/2: 0.009 for the narrowest, 0.004 for the widest
HOT = 56  # times that


def cell(corpus: str, width: int, depth: int, seed: int = 0, tag: str = "", hot: float = 1, **settings) -> Config:
    name, lr = f"{corpus}-d{width}-T{depth}-s{seed}{tag}", round(hot * LR * width**-0.5, 5)
    return Config(name, corpus, width, depth, seed, lr, steps=FULL, **settings)


def grid() -> Iterator[tuple[Config, int]]:
    """(run, the step to train it to), in order."""
    coarse = [(w, t) for t in (1, 2, 4) for w in WIDTHS[::2]]
    between = [(w, t) for t in (1, 2, 4) for w in WIDTHS[1::2]]
    code = [cell("code", w, t) for w, t in [*coarse, *between]]
    repeats = [cell("code", w, t, seed) for w, t in ((40, 4), (64, 2)) for seed in (1, 2)]
    deep = [cell("code", w, 8) for w in WIDTHS]
    odd = [
        cell("code", 40, 4, tag="-hot", hot=HOT),
        cell("code", 64, 2, tag="-corrupt", corrupt=(300, 310)),
    ]
    prose = [cell("prose", w, t) for w, t in coarse]
    decays = [branch(cell("code", w, t), DECAY) for w, t in ((24, 1), (40, 4), (64, 2), (92, 1))]
    yield from ((config, HALF) for config in [*code, *repeats, *deep[:3]])
    yield from ((config, FULL) for config in [*code, *repeats, *deep[:3], *odd, *prose, *deep[3:]])
    yield from ((config, config.steps) for config in decays)


def price(config: Config) -> float:
    """What a step costs, in no particular unit: in models so small, attention costs as much as wide layers do."""
    return config.recurrence * (8 + 0.0011 * config.width**2)


class Progress:
    """How far the grid has got, and how long the rest will take at the pace so far."""

    def __init__(self, left: float, every: float = 1.0 if sys.stderr.isatty() else 30.0):
        self.total = self.left = left
        self.began = self.shown = time.monotonic()
        self.every = every

    def step(self, config: Config, step: int, loss: float, until: int) -> None:
        self.left -= price(config)
        now = time.monotonic()
        if now - self.shown < self.every and step < until:
            return
        self.shown = now
        done = self.total - self.left
        seconds = round((now - self.began) * self.left / done)
        line = f"{config.name}: step {step}/{until}, total loss {loss:.3f}; all {done / self.total:.1%}, "
        line += f"{seconds // 3600} h {seconds // 60 % 60:02d} min left"
        end = "\r" if sys.stderr.isatty() and step < until else "\n"
        print(f"{line:<100}" if end == "\r" else line, end=end, file=sys.stderr, flush=True)


def note(out: Path, corpus: Corpus) -> None:
    """Writes to ``made.json`` what the runs were made of. Raises ValueError where earlier runs read another text."""
    path = out / "made.json"
    made = json.loads(path.read_text()) if path.exists() else {}
    before = made.get(corpus.name, {}).get("sha256", corpus.sha256)
    if before != corpus.sha256:
        raise ValueError(f"{corpus.name} is not the text that the runs in {out} have read; start in another folder")
    made[corpus.name] = {"source": corpus.source, "sha256": corpus.sha256}
    made["versions"] = {name: version(name) for name in ("jax", "equinox", "optax", "numpy")}
    made["device"] = jax.devices()[0].device_kind
    part = path.with_suffix(".part")
    part.write_text(json.dumps(made, indent=1))
    part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains the grid of looped language models, or goes on with it.")
    parser.add_argument("out", type=Path, help="folder of the checkpoints and logs, one file per run")
    parser.add_argument(
        "--only", default="", help="only runs whose name matches this regular expression: shares the work"
    )
    parser.add_argument("--list", action="store_true", help="say what would be trained, in which order, and stop")
    options = parser.parse_args()
    todo = [(config, until) for config, until in grid() if re.search(options.only, config.name)]
    if options.list:
        for config, until in todo:
            print(f"{config.name}\tto step {until}")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(options.out / "compiled"))
    print(f"on {jax.devices()[0].device_kind}", file=sys.stderr, flush=True)
    reached: dict[str, int] = {}
    left = 0.0
    for config, until in todo:
        start = max(reached.get(config.name, 0), steps_done(config, options.out))
        left += price(config) * max(until - start, 0)
        reached[config.name] = max(until, start)
    progress, corpora = Progress(left), {}
    for config, until in todo:
        if config.corpus not in corpora:
            corpora[config.corpus] = load_corpus(config.corpus, config.length, config.batch)
            note(options.out, corpora[config.corpus])
        run(config, corpora[config.corpus], options.out, until, partial(progress.step, config, until=until))


if __name__ == "__main__":
    main()
