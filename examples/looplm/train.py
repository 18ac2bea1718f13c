"""One run: from a configuration to a log, deterministic by its seed, and taken up again where it was cut off.

Everything a run needs to go on (weights, optimiser, log) is in one file, replaced whole every `SAVE_EVERY` steps;
batches are addressed by step, so a run that was killed and resumed is the run that was never killed, to the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from corpus import VOCABULARY, Corpus
from model import LoopLM
from objective import objective, token_losses

SAVE_EVERY = 50


@dataclass(frozen=True)
class Config:
    """A run. Lengths in tokens, ``batch`` in sequences, ``warmup``, ``steps`` and ``decay`` in optimizer steps."""

    name: str
    corpus: str
    width: int
    recurrence: int
    seed: int = 0
    lr: float = 3e-3
    steps: int = 900
    warmup: int = 50
    length: int = 64
    batch: int = 32
    heads: int = 2
    beta: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0
    held_out_every: int = 25
    parent: str = ""  # the run whose last step this one starts from, its learning rate then falling to 0 ...
    decay: int = 0  # ... linearly, in so many steps (counted in `steps`)
    corrupt: tuple[int, int] | None = None  # first and last step whose letters are shuffled inside each sequence

    def learning_rate(self, step: int) -> float:
        """At ``step``, counted from 1: a linear warm-up, constant, and linear to 0 if the run decays."""
        left = (self.steps + 1 - step) / (self.decay + 1) if self.decay else 1.0
        return self.lr * min(1.0, step / self.warmup, left)


def initial(config: Config) -> tuple[LoopLM, optax.OptState]:
    model = LoopLM(VOCABULARY, config.width, config.heads, config.recurrence, key=jax.random.key(config.seed))
    transform = optimiser(config.clip, config.weight_decay)
    return model, transform.init(eqx.filter(model, eqx.is_inexact_array))


def optimiser(clip: float, weight_decay: float) -> optax.GradientTransformation:
    """AdamW without its learning rate, which changes by step and is applied in `make_step`."""
    matrices = lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree)  # noqa: E731
    return optax.chain(
        optax.clip_by_global_norm(clip),
        optax.scale_by_adam(b1=0.9, b2=0.95),
        optax.add_decayed_weights(weight_decay, mask=matrices),
    )


def loss(model: LoopLM, rows: jax.Array, beta: float):
    logits, gates = model(rows[:, :-1])
    return objective(token_losses(logits, rows[:, 1:]), gates, beta)


judge = eqx.filter_jit(loss)


@cache
def make_step(beta: float, clip: float, weight_decay: float) -> Callable:
    """A compiled step: ((rows, lr), model, state) → (model, state, what to log). One for all runs of a shape."""
    transform = optimiser(clip, weight_decay)

    @eqx.filter_jit(donate="all-except-first")
    def step(rows_lr, model, state):
        rows, lr = rows_lr
        (total, parts), grads = eqx.filter_value_and_grad(loss, has_aux=True)(model, rows, beta)
        updates, state = transform.update(grads, state, eqx.filter(model, eqx.is_inexact_array))
        model = eqx.apply_updates(model, jax.tree.map(lambda u: -lr * u, updates))
        return model, state, {"total": total, **parts, "grad_norm": optax.tree.norm(grads)}

    return step


def columns(recurrence: int) -> list[str]:
    """The log's columns. ``held_*`` are the same losses on the fixed held-out rows, NaN between evaluations."""
    steps = range(1, recurrence + 1)
    return [
        *("step", "tokens", "total", *(f"loss_{t}" for t in steps), *(f"gate_{t}" for t in steps), "entropy"),
        *("lr", "grad_norm", "held_total", *(f"held_{t}" for t in steps)),
    ]


def counts(config: Config) -> dict[str, int]:
    """Parameters: ``n_params`` all but the embedding, ``n_params_recurrent`` inside the loop, and the embedding's."""
    model = eqx.filter_eval_shape(lambda: initial(config)[0])
    size = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree) if hasattr(leaf, "size"))  # noqa: E731
    inside, embedding = size(model.block), size(model.embedding)
    return {"n_params": size(model) - embedding, "n_params_recurrent": inside, "n_embedding": embedding}


def batch_rows(config: Config, corpus: Corpus, step: int) -> np.ndarray:
    """The rows of ``step``, counted from 1: the same for every run of a corpus, but in a corrupted stretch."""
    if step * config.batch > len(corpus.train):
        raise ValueError(f"{corpus.name} holds {len(corpus.train) // config.batch} batches; step {step} wants one more")
    rows = corpus.train[(step - 1) * config.batch : step * config.batch].astype(np.int32)
    if config.corrupt and config.corrupt[0] <= step <= config.corrupt[1]:
        rows = np.random.default_rng(step).permuted(rows, axis=1)
    return rows


def save(path: Path, config: Config, step: int, trees: tuple, log: np.ndarray) -> None:
    """One npz, written whole or not at all."""
    leaves = {
        f"leaf_{i:03d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(eqx.filter(trees, eqx.is_array)))
    }
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, config=json.dumps(asdict(config)), step=step, log=log, **leaves)
    part.replace(path)


def restore(path: Path, trees: tuple) -> tuple[int, tuple, np.ndarray]:
    """Step, trees filled with the saved leaves, log."""
    with np.load(path, allow_pickle=False) as saved:
        arrays, rest = eqx.partition(trees, eqx.is_array)
        leaves = [jnp.asarray(saved[f"leaf_{i:03d}"]) for i in range(len(jax.tree.leaves(arrays)))]
        filled = jax.tree.unflatten(jax.tree.structure(arrays), leaves)
        return int(saved["step"]), eqx.combine(filled, rest), saved["log"]


def steps_done(config: Config, out: Path) -> int:
    """The last step saved so far; the parent's last one where a branch has not begun."""
    path = out / f"{config.name}.npz"
    if not path.exists():
        return config.steps - config.decay if config.parent else 0
    with np.load(path, allow_pickle=False) as saved:
        return int(saved["step"])


def run(
    config: Config,
    corpus: Corpus,
    out: Path,
    until: int | None = None,
    report: Callable[[int, float], None] = lambda step, total: None,
) -> Path:
    """Trains ``config`` to step ``until`` (else its last), from wherever it stands; returns its file.

    The file's ``log`` has one row per step, under `columns`. ``report(step, total)`` is called after each step. Raises
    FileNotFoundError where a parent has not been trained, ValueError where the corpus has too few batches.
    """
    path, trees = out / f"{config.name}.npz", initial(config)
    step, log = 0, np.empty((0, len(columns(config.recurrence))))
    if path.exists():
        step, trees, log = restore(path, trees)
    elif config.parent:
        step, trees, _ = restore(out / f"{config.parent}.npz", trees)
    until = min(until or config.steps, config.steps)
    if step >= until:
        return path
    advance = make_step(config.beta, config.clip, config.weight_decay)
    held_out = jnp.asarray(corpus.held_out.astype(np.int32))
    rows = list(log)
    while step < until:
        step += 1
        lr = config.learning_rate(step)
        model, state, seen = advance((jnp.asarray(batch_rows(config, corpus, step)), jnp.float32(lr)), *trees)
        trees = (model, state)
        held = np.full(config.recurrence + 1, np.nan)
        if step % config.held_out_every == 0:
            total, parts = judge(model, held_out, config.beta)
            held = np.array([total, *parts["losses"]])
        parts = [seen["total"], *seen["losses"], *seen["weights"], seen["entropy"], lr, seen["grad_norm"]]
        rows.append(np.array([step, step * config.batch * config.length, *map(float, parts), *held]))
        report(step, float(seen["total"]))
        if step % SAVE_EVERY == 0 or step == until:
            save(path, config, step, trees, np.array(rows))
    return path


def branch(parent: Config, decay: int) -> Config:
    """A run that starts where ``parent`` ends and lowers the learning rate to 0 in ``decay`` steps."""
    return replace(parent, name=f"{parent.name}-decay", parent=parent.name, decay=decay, steps=parent.steps + decay)
