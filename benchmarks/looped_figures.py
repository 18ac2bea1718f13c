"""Four figures, each by one command: a grid of total losses, step-wise losses of two depths, and one long run.

    python benchmarks/looped_figures.py total|steps-2|steps-4|long-run [-o FOLDER] [--curves looplm.parquet]

The first three are of the curves that examples/looplm trained and packed: the model is fitted to all runs but the
largest size at the greatest depth, of which it sees nothing, and predicts every run. The last fits the first half of
LLM360's K2-65B (the folder that BAYESLAW_DATA names, default ../shared/data) and predicts twice its length.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import bayeslaw as bl
from bayeslaw.plots.longrun import plot_long_run
from bayeslaw.plots.looped import plot_looped_steps, plot_looped_total

DATA = Path(os.environ.get("BAYESLAW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CURVES = Path(bl.__file__).parent / "curves" / "looplm.parquet"
#: runs of the grid that are no part of the law: too hot, corrupted, decayed
ODD = ("-hot", "-corrupt", "-decay")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws a figure of looped models, or of one long run.")
    parser.add_argument("figure", choices=("total", "steps-2", "steps-4", "long-run"))
    parser.add_argument("-o", "--out", type=Path, default=Path(), help="folder of the picture")
    parser.add_argument("--curves", type=Path, default=CURVES, help="what examples/looplm/pack.py wrote")
    parser.add_argument("--group", default="code", help="the corpus to fit and draw")
    options = parser.parse_args()
    if options.figure == "long-run":
        figure = long_run()
    else:
        figure = looped(options.figure, options.curves, options.group)
    path = options.out / f"{options.figure}.png"
    figure.savefig(path)
    print(f"wrote {path}", file=sys.stderr)


def looped(which: str, curves: Path, group: str):
    """Fit all but the largest size at the greatest depth; forecast and draw everything."""
    runs = bl.load(curves).where(f"group == '{group}'")
    runs = runs.where(~runs.frame["run"].str.endswith(ODD))
    frame = runs.frame
    runs = runs.where(frame["exit_step"].isna() if which == "total" else frame["exit_step"].notna())
    frame = runs.frame
    deepest = frame.loc[frame["n_params"] == frame["n_params"].max(), "recurrence"].max()
    unseen = (frame["n_params"] == frame["n_params"].max()) & (frame["recurrence"] == deepest)
    fitted = runs.where(~unseen)
    fit = bl.fit(fitted, "looped-total" if which == "total" else "looped-stepwise", seed=0, progress=True)
    print(fit)
    at = frame.drop(columns="loss").loc[frame["step"] % 10 == 0]
    band = bl.forecast(fit, at=at, levels=(0.9,))
    if which == "total":
        return plot_looped_total(band, runs, given=fitted)
    return plot_looped_steps(band, runs, recurrence=int(which[-1]), given=fitted)


def long_run():
    """Fit the first half of K2-65B's steps; forecast to twice its end, and at endless tokens."""
    folder = DATA / "llm360-k2-65b"
    runs = bl.load(folder / "runs.csv").where("run == 'k2-65b'")
    end, batch = runs.frame["step"].max(), float((runs.frame["tokens"] / runs.frame["step"]).median())
    half = runs.where(runs.frame["step"] <= end / 2)
    fit = bl.fit(half, "chinchilla", seed=0, progress=True)
    print(fit)
    step = np.unique(np.geomspace(1000, 2 * end, 200).round())
    at = pd.DataFrame({"run": "k2-65b", "n_params": 65e9, "step": step, "tokens": batch * step})
    endless = pd.DataFrame({"run": ["k2-65b"], "n_params": [65e9], "tokens": [1e40]})
    return plot_long_run(
        bl.forecast(fit, at=at, levels=(0.9,)),
        runs,
        given=half,
        spikes=pd.read_csv(folder / "spikes.csv"),
        asymptote=bl.forecast(fit, at=endless, levels=(0.9,)),
    )


if __name__ == "__main__":
    main()
