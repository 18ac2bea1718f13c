"""The five figures, each by one command, into docs/figures:

    python benchmarks/figures.py total | steps-2 | steps-4 | long-run | isoflop [--quick] [-o FOLDER]

The first three are of the looped curves that come with the package: the model is fitted to all runs of the corpus of
code but the largest at its greatest depth, of which it sees nothing, and predicts every run. ``long-run`` fits the
first half of LLM360's K2-65B and predicts twice its length; ``isoflop`` fits the sweeps of three corpora. Those two
read the folder that BAYESLAW_DATA names (default ../shared/data). ``--quick`` takes a normal posterior at its mode in
place of NUTS, and the picture says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from report import DATA

import bayeslaw as bl
from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.demo import hardest, looped_curves, settled
from bayeslaw.plan.frontier import frontier
from bayeslaw.plan.isoflop import profiles
from bayeslaw.plots.isoflop import Sweep, plot_isoflop_corpora
from bayeslaw.plots.longrun import plot_long_run
from bayeslaw.plots.looped import plot_looped_steps, plot_looped_total

ROOT = Path(__file__).resolve().parents[1]
CORPORA = {
    "epochai_chinchilla__massivetext__chinchilla": "Chinchilla, MassiveText",
    "llama_3__exp_loss": "Llama 3",
    "marin_202603__comma__llama_2": "Marin, Comma",
}
STRIDE = 20  # steps between the rows that a forecast is drawn through


def fitted(runs: bl.Runs, card: str, quick: bool, bins: int) -> bl.Fit:
    """A fit, by NUTS or at the mode."""
    if quick:
        return at_mode(load_card(card), runs, None, 500, {"seed": 0, "max_bins": bins})
    fit = bl.fit(runs, card, seed=0, max_bins=bins, progress=True)
    print(fit, file=sys.stderr)
    return fit


def total(quick: bool) -> Any:
    """(a) Total loss: maximum depth by size."""
    every = looped_curves("code", steps=False)
    runs = settled(every)
    known = runs.where((runs.frame["run"] != hardest(runs)).to_numpy())
    fit = fitted(known, "looped-total", quick, 20)
    band = bl.forecast(fit, at=runs.where((runs.frame["step"] % STRIDE == 0).to_numpy()), levels=(0.9,))
    return plot_looped_total(band, every, given=known)


@cache
def steps_fit(quick: bool) -> tuple[Any, Any, Any]:
    every = looped_curves("code", steps=True)
    runs = settled(every)
    known = runs.where((runs.frame["run"] != hardest(runs)).to_numpy())
    return every, known, fitted(known, "looped-stepwise", quick, 12)


def steps(depth: int, quick: bool) -> Any:
    """(b), (c) Loss of each recurrent step of models of one depth, from one law of all depths."""
    every, known, fit = steps_fit(quick)
    runs = settled(every)
    mine = ((runs.frame["step"] % STRIDE == 0) & (runs.frame["recurrence"] == depth)).to_numpy()
    band = bl.forecast(fit, at=runs.where(mine), levels=(0.9,))
    return plot_looped_steps(band, every, recurrence=depth, given=known)


def long_run(quick: bool) -> Any:
    """(d) The first half of K2-65B's steps; forecast to twice its end, and at endless tokens."""
    folder = DATA / "llm360-k2-65b"
    runs = bl.load(folder / "runs.csv").where("run == 'k2-65b'")
    end, batch = runs.frame["step"].max(), float((runs.frame["tokens"] / runs.frame["step"]).median())
    half = runs.where(runs.frame["step"] <= end / 2)
    fit = fitted(half, "chinchilla", quick, 40)
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


def isoflop(quick: bool) -> Any:
    """(e) IsoFLOP sweeps of three corpora, one hierarchical fit that lets every budget stray, as these do."""
    runs = bl.load(DATA / "isoflops" / "runs.csv")
    fit = fitted(runs, "isoflop", quick, 40)
    sweeps = {}
    for group in dict.fromkeys(runs.frame["group"]):
        parts, curves = profiles(runs, group), []
        for part in parts:
            size = np.geomspace(part.n_params.min(), part.n_params.max(), 40)
            tokens = np.exp(np.interp(np.log(size), np.log(part.n_params), np.log(part.tokens)))
            at = pd.DataFrame({"run": [f"{group} {i}" for i in range(len(size))], "group": group})
            # its budget by name: between the sizes that were trained, 6 N D is not quite what they took
            at = at.assign(n_params=size, tokens=tokens, flops=part.flops)
            band = bl.forecast(fit, at=at, levels=(0.9,), draws=500)
            low, middle, high = np.quantile(band.curve, [0.05, 0.5, 0.95], axis=0)
            curves.append(pd.DataFrame({"n_params": size, "median": middle, "lo90": low, "hi90": high}))
        ends = parts[0].flops, 10 * parts[-1].flops
        sweeps[CORPORA.get(str(group), str(group))] = Sweep(parts, curves, frontier(fit, *ends, group=group, draws=500))
    return plot_isoflop_corpora(sweeps)


FIGURES: dict[str, Callable[[bool], Any]] = {
    "total": total,
    "steps-2": lambda quick: steps(2, quick),
    "steps-4": lambda quick: steps(4, quick),
    "long-run": long_run,
    "isoflop": isoflop,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the five figures.")
    parser.add_argument("figures", nargs="+", choices=tuple(FIGURES))
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "docs" / "figures", help="folder of the pictures")
    parser.add_argument("--quick", action="store_true", help="a normal posterior at its mode in place of NUTS")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.figures:
        figure = FIGURES[name](options.quick)
        if options.quick:
            note = figure.text(0.995, 0.004, "a quick fit: normal posterior at its mode", fontsize=8, color="#6a6a6a")
            note.set_horizontalalignment("right")
            figure.get_layout_engine().set(rect=(0, 0.02, 1, 0.98))  # the labels keep above the note
        figure.savefig(options.out / f"{name}.png")
        print(f"wrote {options.out / name}.png", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
