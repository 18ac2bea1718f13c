"""Runs trained models past the depth that they were trained to: ``python examples/looplm/deeper.py OUT FILE.csv``.

One row per run and recurrent step up to ``--steps``: the loss on the corpus' held-out rows after so many steps of the
weights that the run ended with. What the loss does beyond T_m is what forecasts of inference-time depth are about.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from corpus import load_corpus
from objective import token_losses
from pack import read_run
from train import counts, initial, restore


def losses_by_step(path: Path, steps: int, rows: np.ndarray) -> pd.DataFrame:
    """Mean loss of ``rows`` after each of ``steps`` recurrent steps, nats per token."""
    config, _ = read_run(path)
    step, (model, _), _ = restore(path, initial(config))
    deep = eqx.tree_at(lambda m: m.block, initial(replace(config, recurrence=steps))[0], model.block)
    for where in (lambda m: m.embedding, lambda m: m.norm, lambda m: m.gate):
        deep = eqx.tree_at(where, deep, where(model))
    judge = eqx.filter_jit(lambda m, x: token_losses(m(x[:, :-1])[0], x[:, 1:]).reshape(steps, -1).mean(axis=1))
    loss = judge(deep, jnp.asarray(rows.astype(np.int32)))
    frame = pd.DataFrame({"exit_step": range(1, steps + 1), "loss": np.round(np.asarray(loss, float), 4)})
    return frame.assign(
        run=config.name, group=config.corpus, n_params=counts(config)["n_params"], recurrence=config.recurrence,
        tokens=step * config.batch * config.length,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Losses of trained looped models at more steps than they know.")
    parser.add_argument("out", type=Path, help="the folder given to grid.py")
    parser.add_argument("file", type=Path, help="the table to write")
    parser.add_argument("--steps", type=int, default=16)
    options = parser.parse_args()
    tables = []
    for path in sorted(options.out.glob("*.npz")):
        config, _ = read_run(path)
        if config.recurrence > 1 and not config.corrupt and "-hot" not in config.name:
            rows = load_corpus(config.corpus, config.length, config.batch).held_out
            tables.append(losses_by_step(path, options.steps, rows))
            jax.clear_caches()
    first = ["run", "group", "n_params", "recurrence", "tokens", "exit_step", "loss"]
    part = options.file.with_suffix(".part")
    pd.concat(tables, ignore_index=True)[first].to_csv(part, index=False)
    part.replace(options.file)


if __name__ == "__main__":
    main()
