"""Packs the logs of a grid, finished or not, into one table: ``python examples/looplm/pack.py OUT FILE.parquet``.

One row per step for the total loss, and one for each recurrent step's loss (``exit_step``), in the columns that
bayeslaw reads. No row is left out; what makes the file small is rounding: losses to 0.0001 nats (a step's noise is some
hundred times that), gate weights and gradient norms to three digits. ``held_out`` is the same loss on the corpus' fixed
held-out rows, where the run stopped to take it.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from train import Config, columns, counts

SHOWN = ("lr", "grad_norm", "entropy")


def read_run(path: Path) -> tuple[Config, pd.DataFrame]:
    """A run's configuration and its log as it was written, one row per step."""
    with np.load(path, allow_pickle=False) as saved:
        config = Config(**json.loads(str(saved["config"])))
        return config, pd.DataFrame(saved["log"], columns=columns(config.recurrence))


def long_rows(config: Config, log: pd.DataFrame) -> pd.DataFrame:
    """One row per step and loss: the total loss first, then that of each recurrent step."""
    model = counts(config)
    gates = [f"gate_{t}" for t in range(1, config.recurrence + 1)]
    parts = []
    for t in (0, *range(1, config.recurrence + 1)):
        part = log[["step", "tokens"]].copy()
        part["loss"] = log[f"loss_{t}" if t else "total"]
        part["held_out"] = log[f"held_{t}" if t else "held_total"]
        part["exit_step"] = t or np.nan
        if not t:
            part[[*SHOWN, *gates]] = log[[*SHOWN, *gates]]
        parts.append(part)
    rows = pd.concat(parts, ignore_index=True)
    rows["run"], rows["group"] = config.name, config.corpus
    rows["data_order"] = f"{config.corpus}, corrupted" if config.corrupt else config.corpus
    rows["n_params"], rows["n_params_recurrent"] = model["n_params"], model["n_params_recurrent"]
    rows["n_params_once"] = model["n_params"] - model["n_params_recurrent"] + model["n_embedding"]
    rows["recurrence"], rows["seed"] = config.recurrence, config.seed
    return rows


def table(out: Path) -> pa.Table:
    """All runs of a folder, by name. Raises FileNotFoundError where there are none."""
    paths = sorted(
        out.glob("*.npz"), key=lambda path: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", path.stem)]
    )
    if not paths:
        raise FileNotFoundError(f"no runs (*.npz) in {out}; train some with grid.py first")
    frame = pd.concat([long_rows(*read_run(path)) for path in paths], ignore_index=True)
    gates = [name for name in frame if name.startswith("gate_")]
    frame[["loss", "held_out", "entropy"]] = frame[["loss", "held_out", "entropy"]].round(4)
    frame[gates] = frame[gates].round(3)
    frame["grad_norm"] = frame["grad_norm"].map(lambda x: float(f"{x:.3g}"))
    whole = ["step", "tokens", "n_params", "n_params_recurrent", "n_params_once", "recurrence", "seed"]
    frame[whole] = frame[whole].astype("int64")
    first = [
        "run",
        "group",
        "step",
        "tokens",
        "n_params",
        "n_params_once",
        "n_params_recurrent",
        "recurrence",
        "exit_step",
    ]
    first += ["loss", "held_out", "lr", "grad_norm", "entropy", *sorted(gates), "data_order", "seed"]
    facts = json.loads((out / "made.json").read_text()) if (out / "made.json").exists() else {}
    result = pa.Table.from_pandas(frame[first], preserve_index=False)
    return result.replace_schema_metadata({**(result.schema.metadata or {}), b"made": json.dumps(facts).encode()})


def main() -> None:
    parser = argparse.ArgumentParser(description="Packs the logs of a grid into one Parquet file.")
    parser.add_argument("out", type=Path, help="the folder given to grid.py")
    parser.add_argument("file", type=Path, help="the table to write")
    options = parser.parse_args()
    rows, part = table(options.out), options.file.with_suffix(".part")
    try:
        pq.write_table(rows, part, compression="zstd", compression_level=19)
        part.replace(options.file)
    finally:
        part.unlink(missing_ok=True)
    write_list(rows, options.file.with_suffix(".md"))
    runs = rows.column("run").unique()
    print(f"{len(runs)} runs, {rows.num_rows} rows, {options.file.stat().st_size / 1e6:.2f} MB")


def write_list(rows: pa.Table, path: Path) -> None:
    """Beside the table, what it was made of and which runs it holds, as Markdown."""
    made = json.loads(rows.schema.metadata[b"made"])
    lines = [f"# {path.stem}: what is in it", "", "Written by `examples/looplm/pack.py`.", ""]
    lines += [
        f"- {name}: {fact['source']}, SHA-256 {fact['sha256']}" for name, fact in made.items() if "sha256" in fact
    ]
    if "versions" in made:
        used = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
        lines += [f"- trained with {used}, on {made['device']}"]
    lines += [
        "",
        "| run | N | T_m | steps | tokens | lr | total loss, last 25 steps | held out |",
        "|---|" + "---|" * 7,
    ]
    frame = rows.to_pandas()
    for run, total in frame.loc[frame["exit_step"].isna()].groupby("run", sort=False):
        last = total.iloc[-1]
        facts = [str(run), *(f"{int(last[name]):,}" for name in ("n_params", "recurrence", "step", "tokens"))]
        held_out = total["held_out"].dropna().tail(1).to_list()
        facts += [f"{total['lr'].max():.3g}", f"{total['loss'].tail(25).mean():.3f}", *(f"{x:.3f}" for x in held_out)]
        lines.append("| " + " | ".join(facts) + " |")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
