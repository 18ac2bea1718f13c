"""Further checks of looped models: seeds' spread, gates, and what a recurrence is worth (iso-depth)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from report import DATA

import bayeslaw as bl
from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.demo import CURVES, looped_curves, settled

#: stretches of a curve whose means are compared between seeds
STRETCHES = 8
PUBLISHED = {"vanilla": 0.459, "trunc_bptt": 0.38}


def seeds(quick: bool) -> list[str]:
    """The spread of runs that differ in their seed alone, beside what the fitted model says runs differ by."""
    runs = settled(looped_curves("code", steps=False))
    card = load_card("looped-total")
    fit: Any = (
        at_mode(card, runs, None, 300, {"seed": 0, "max_bins": 12})
        if quick
        else bl.fit(runs, card, seed=0, max_bins=12)
    )
    level, wander, length = (
        fit.posterior[name].to_numpy().ravel()
        for name in ("effect_level_sd", "discrepancy_scale", "discrepancy_length")
    )
    frame = runs.frame
    squares, free, cells = np.zeros(2), np.zeros(2), []
    for (n, depth), cell in frame.groupby(["n_params", "recurrence"]):
        if cell["seed"].nunique() < 2:
            continue
        cell = cell[cell["step"] <= cell.groupby("seed")["step"].max().min()]
        # seeds read the same batches: what is left between them is the seed's own
        log = np.log(cell["tokens"])
        cut = np.floor(STRETCHES * (1 - 1e-9) * (log - log.min()) / (log.max() - log.min())).rename("cut")
        whole = np.log(cell.groupby("seed")["loss"].mean())
        for k, means in enumerate((whole, np.log(cell.groupby(["seed", cut])["loss"].mean()).unstack())):
            off = means - means.mean(axis=0)
            squares[k], free[k] = squares[k] + float((off**2).to_numpy().sum()), free[k] + off.size * (1 - 1 / len(off))
        cells.append(f"N = {n:,.0f}, T_m = {depth:.0f}: {len(whole)} seeds, sd {100 * whole.std():.2f} %")
    found = np.sqrt(squares / free)
    # a curve's mean is over rows, which are even in tokens: the share of the wander's variance that it keeps
    tokens = frame["tokens"].to_numpy(float)
    x = np.log(np.linspace(tokens.min(), tokens.max(), 200))
    keeps = np.array([np.exp(-np.abs(x[:, None] - x) / one).mean() for one in length])
    said = [np.median(np.sqrt(level**2 + wander**2 * keeps)), np.median(np.sqrt(level**2 + wander**2))]
    return [
        "## Repeated seeds",
        "",
        *(f"- {cell}" for cell in cells),
        "",
        "Spread between seeds beside what the fit says runs of one cell differ by, of a curve's mean and of its points "
        f"({STRETCHES} stretches of a curve, even in log tokens):",
        "",
        "| of | between seeds, % | the fit, % | ratio |",
        "|---|---|---|---|",
        f"| a curve's mean | {100 * found[0]:.2f} | {100 * said[0]:.2f} | {said[0] / found[0]:.1f} |",
        f"| its points | {100 * found[1]:.2f} | {100 * said[1]:.2f} | {said[1] / found[1]:.1f} |",
        "",
        f"The fit's run level is {100 * np.median(level):.2f} %; its discrepancy, {100 * np.median(wander):.2f} %, "
        "holds what the law gets wrong of a cell too, which its seeds have in common.",
    ]


def gates(quick: bool) -> list[str]:
    """Total loss against the gate-weighted step losses less the entropy term: what gating token by token gains."""
    runs = settled(looped_curves())
    frame = runs.frame
    total = frame[frame["exit_step"].isna()].set_index(["run", "step"])
    steps = frame[frame["exit_step"].notna()].pivot_table(index=["run", "step"], columns="exit_step", values="loss")
    weights = total[[f"gate_{int(t)}" for t in steps.columns]].fillna(0).to_numpy(float)
    sums = (weights * steps.loc[total.index].fillna(0).to_numpy()).sum(axis=1) - 0.05 * total["entropy"]
    gap = (sums - total["loss"]).rename("gap").to_frame().assign(depth=total["recurrence"])
    lines = [
        "## Gates",
        "",
        "Total loss is the mean over tokens of Σ q L - 0.05 H(q). With mean gates times mean losses in its place the",
        "sum is larger by what stopping early on easy tokens gains:",
        "",
        "| T_m | gain, nats per token | 5-95 % of rows |",
        "|---|---|---|",
    ]
    for depth, part in gap.groupby("depth"):
        low, high = part["gap"].quantile([0.05, 0.95])
        lines.append(f"| {depth:.0f} | {part['gap'].mean():.4f} | {low:.4f} to {high:.4f} |")
    return lines


def iso_depth(quick: bool) -> list[str]:
    """One hierarchical fit of the paper's three panels, vanilla's r = 1 rows standing in each."""
    frame = pd.read_csv(DATA / "looped-iso-depth" / "runs.csv")
    frame = frame[frame["quality"] == "clear"]
    plain = frame[(frame["group"] == "vanilla") & (frame["recurrence"] == 1)]
    others = [group for group in frame["group"].unique() if group != "vanilla"]
    anchors = [plain.assign(group=group, run=plain["run"] + f" in {group}") for group in others]
    every = bl.Runs.from_frame(pd.concat([frame, *anchors], ignore_index=True))
    fit = bl.fit(every, "iso-depth", seed=0)
    lines = [
        "## What a recurrence is worth",
        "",
        "Three panels of arXiv 2604.21106 in one hierarchical fit (NUTS), clear rows, vanilla's r = 1 rows in each.",
        "",
        "| panel | rows | φ | 95 % interval | published | inside |",
        "|---|---|---|---|---|---|",
    ]
    for group in fit.posterior["group"].to_numpy():
        phi = fit.posterior["phi_group"].sel(group=group).to_numpy().ravel()
        low, high = np.quantile(phi, [0.025, 0.975])
        said = PUBLISHED.get(str(group))
        inside = "-" if said is None else "yes" if low <= said <= high else "no"
        rows = int((every.frame["group"] == group).sum())
        lines.append(
            f"| {group} | {rows} | {phi.mean():.3f} | {low:.3f}-{high:.3f} | {said or '.646 (unanchored)'} | {inside} |"
        )
    lines += ["", f"Sampling: {'passes its checks' if fit.check().ok else 'does not pass its checks'}."]
    vanilla = every.where((every.frame["group"] == "vanilla").to_numpy())
    budget = vanilla.frame["flops"].to_numpy(float)
    large = budget > 0.9 * budget.max()
    band = bl.forecast(bl.fit(vanilla.where(~large), "iso-depth", seed=0), at=vanilla.where(large), levels=(0.9,))
    loss = vanilla.frame["loss"].to_numpy()[large]
    inside = (loss >= band.frame["lo90"]) & (loss <= band.frame["hi90"])
    error = np.abs(band.frame["mean"] / loss - 1)
    lines += [
        "",
        f"Vanilla's largest budget from the smaller ones: {inside.sum()} of {len(loss)} losses in their 90 % band, "
        f"mean error {100 * error.mean():.2f} %, largest {100 * error.max():.2f} %.",
    ]
    return lines


def beyond(quick: bool) -> list[str]:
    """Held-out losses of trained models run past their depth, beside forecasts of a fit that saw no such step."""
    runs = settled(looped_curves("code", steps=True))
    runs = runs.where((runs.frame["seed"] == 0).to_numpy())
    card = load_card("looped-stepwise")
    fit: Any = (
        at_mode(card, runs, None, 500, {"seed": 0, "max_bins": 12})
        if quick
        else bl.fit(runs, card, seed=0, max_bins=12)
    )
    real = pd.read_csv(CURVES.with_name("deeper.csv"))
    real = real[real["exit_step"] > real["recurrence"]].reset_index(drop=True)
    # rows of a run that was not seen at that step: a curve of its own
    band = bl.forecast(fit, at=real.drop(columns="loss"), levels=(0.5, 0.9), draws=500).frame
    lines = [
        "## Beyond the trained depth",
        "",
        "Models run on past T_m with the weights they ended with; held-out rows. The fit saw steps up to T_m.",
        "",
        "| T_m | step | loss | forecast | 90 % band |",
        "|---|---|---|---|---|",
    ]
    for depth, mine in real.groupby("recurrence"):
        for i in mine.index[[0, len(mine) // 2, -1]]:
            row = band.loc[i]
            cells = (depth, real.loc[i, "exit_step"], f"{real.loc[i, 'loss']:.3f}", f"{row['median']:.3f}")
            lines.append("| " + " | ".join(map(str, (*cells, f"{row['lo90']:.3f}-{row['hi90']:.3f}"))) + " |")
    inside = (real["loss"] >= band["lo90"]) & (real["loss"] <= band["hi90"])
    return [
        *lines,
        "",
        f"{inside.sum()} of {len(real)} losses beyond T_m lie in their 90 % band. The prior of J was set knowing three "
        "of these models, so that this shows what the term can hold and is no test of a forecast.",
    ]


def extras(store: Path, quick: bool, only: str | None = None) -> None:
    """Run them, and keep what they say for the report."""
    store.mkdir(parents=True, exist_ok=True)
    for name, make in (("seeds", seeds), ("gates", gates), ("iso-depth", iso_depth), ("beyond", beyond)):
        if only in (None, name):
            lines = make(quick)
            print("\n".join(lines), flush=True)
            (store / f"{name}.json").write_text(json.dumps(lines))
