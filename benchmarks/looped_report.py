"""Writes benchmarks/looped.md from the splits that benchmarks/looped.py has scored."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw import scores
from bayeslaw.demo import CURVES, looped_curves, settled
from bayeslaw.files import written_whole

PAGE = Path(__file__).with_name("looped.md")
STORE = Path(__file__).with_name(".backtests") / "looped"
HEAD = """# Looped models: how well the laws generalise

Written by `python benchmarks/looped.py report`; the numbers are those of
`python benchmarks/looped.py total steps extras`, with `--quick` (a normal posterior at its mode in place of NUTS) where
a section says so.

The curves are those that come with the package (`bayeslaw/curves`), corpus `code`, one seed a cell, rows after the
first 204,800 tokens (warm-up and the learning of letter pairs); of the rest no row is left out. Every 15th step is
scored, raw losses of single steps as they were logged. Held out: the rows that no contestant saw. R² is pooled over
the splits of a study. Coverage is that of the 90 % band on held-out rows, pooled by run, with its 95 % interval from
drawing whole runs again. CRPS in thousandths of a nat per token on held-out rows. *published* is the law of Ouro
(arXiv 2510.25741) by least squares, its residual sd as predictive; step-wise it is one law for each T_m, as there.

Which symbols of the card have slopes in log N was chosen on forecasts among the other runs, of which the largest at its
greatest depth is none (`python benchmarks/looped_inner.py`). The form of the cost of early exits, the paths that runs
and exits share, and the priors of levels and of depth were chosen on the runs on prose, and on depths below the
greatest of the runs on code (`python benchmarks/looped_prose.py`). Seven earlier cards had been scored on all or some
of the splits of the total loss before, one of them with today's path and another prior of t3, and three on those of
the step-wise loss, the last of them without what the exits of a run share.
"""
EARLIER = """**Some numbers are of an earlier packing of the same grid, with fewer and shorter runs.** Run the commands
again for the curves as they are shipped.
"""
TITLES = {"sizes": "3 of 5 sizes", "tokens": "first 25, 50, 75 % of tokens", "depths": "2 of the depths 2, 4, 8",
          "largest": "all but the largest, deepest run"}  # fmt: skip


def r2(truth: Any, mean: Any) -> float:
    return float(1 - np.mean((truth - mean) ** 2) / np.var(truth))


def binned(table: Any) -> Any:
    """Means of eight stretches, even in log tokens, of every curve."""
    log = np.log(table["tokens"])
    cut = np.floor(7.999 * (log - log.min()) / (log.max() - log.min()))
    keys = ["run", "exit_step", "split", cut.rename("cut")]
    return table.groupby(keys, dropna=False)[["loss", "mean"]].mean()


def ceiling(kind: str) -> float:
    """R² of a perfect curve on raw rows: noise from the differences of neighbouring steps."""
    frame = settled(looped_curves("code", steps=kind == "steps")).frame
    series = frame.groupby(["run", "exit_step"], dropna=False, sort=False)["loss"]
    return float(1 - np.nanmean(series.diff() ** 2) / 2 / np.var(frame["loss"]))


def report(store: Path) -> None:
    tables = [pd.read_parquet(path) for path in sorted(store.glob("*.parquet"))]
    if not tables:
        raise SystemExit("Nothing is scored yet: run python benchmarks/looped.py total steps first.")
    every = pd.concat(tables, ignore_index=True)
    lines = [HEAD]
    now = hashlib.sha256(CURVES.read_bytes()).hexdigest()[:12]
    if "curves" not in every or (every["curves"] != now).any():
        lines += [EARLIER]
    for kind, title in (("total", "Total loss"), ("steps", "Step-wise loss")):
        part = every[every["kind"] == kind]
        if len(part):
            mine = best_of(part)
            lines += [f"## {title}", "", *how(mine), *table_of(mine), *ran_away(mine), *splits_of(mine), *pair_of(part)]
            lines += [*all_points(mine, kind), *hardest_of(mine)]
    for part in sorted(store.glob("*.json")):
        lines += [*json.loads(part.read_text()), ""]
    with written_whole(PAGE) as draft:
        draft.write_text("\n".join(lines).rstrip("\n") + "\n", encoding="utf-8")
    print("\n".join(lines))


def best_of(part: Any) -> Any:
    """Of every card the splits that NUTS was run for, and those made with ``--quick`` of cards that have no others."""
    sampled = set(part.loc[~part["quick"], "card"])
    return part[~part["quick"] | ~part["card"].isin(sampled)]


def how(mine: Any) -> list[str]:
    """Whether each card's draws are NUTS's, and how many fits passed the checks of their sampling."""
    lines = []
    for card, one in mine.groupby("card", sort=False):
        fits = one.groupby(["study", "split"])["ok"].first()
        passed = f"NUTS; {int((fits == 'yes').sum())} of {len(fits)} fits passed all checks of their sampling"
        lines.append(f"{card}: {'made with `--quick`' if one['quick'].all() else passed}.")
    return [*lines, ""]


def table_of(mine: Any) -> list[str]:
    lines = [
        "| fitted on | splits | model | R², held out | R², all rows | coverage of 90 % | CRPS, 1e-3 |",
        "|---|" + "---|" * 6,
    ]
    for study, title in {**TITLES, "": "all of these"}.items():
        part = mine[mine["study"] == study] if study else mine
        for who in dict.fromkeys(part["who"]):
            # a baseline is scored beside each card: once is enough
            one = part[part["who"] == who].drop_duplicates(["study", "split", "run", "exit_step", "step"])
            held = one[one["held"]]
            cover = scores.pooled(held["inside"].to_numpy(float), held["run"])
            splits = len(one[["study", "split"]].drop_duplicates())
            lines.append(
                f"| {title} | {splits} | {who} | {plain(r2(held['loss'], held['mean']), 4)} | "
                f"{plain(r2(one['loss'], one['mean']), 4)} | {cover} | {plain(1e3 * held['crps'].mean(), 1)} |"
            )
    return [*lines, ""]


def plain(value: float, digits: int) -> str:
    """With so many decimals; a number that has run away as a power of ten."""
    return f"{value:.{digits}f}" if abs(value) < 1e4 else f"{value:.0e}"


def ran_away(mine: Any) -> list[str]:
    """Where a contestant foretells losses that no model has: its means over splits are those splits' alone."""
    far = mine[(mine["mean"] - mine["loss"]).abs() > 100].drop_duplicates(["study", "split", "who"])
    words = "{0.who} ran away on {0.study} {0.split}: its means over splits are made of what it foretells there."
    return [*(words.format(row) for row in far.itertuples()), *([""] if len(far) else [])]


def splits_of(mine: Any) -> list[str]:
    held = mine[mine["held"]]
    lines = []
    for card, part in held.groupby("card", sort=False):
        mean = part.groupby(["study", "split", "who"])["crps"].mean().unstack()
        other = next(c for c in mean if c != card)
        worse = mean[mean[card] >= mean[other]]
        exceptions = "; not on " + ", ".join(f"{s} {n}" for s, n in worse.index) if len(worse) else ""
        won = len(mean) - len(worse)
        lines.append(f"{card}: CRPS below the published law's on {won} of {len(mean)} splits{exceptions}.")
    return [*lines, ""]


def pair_of(part: Any) -> list[str]:
    """Two cards by the same splits and the same way of drawing."""
    own = part[part["held"] & (part["who"] == part["card"])]
    for quick in (False, True):
        pair = own[own["quick"] == quick].groupby(["study", "split", "card"])["crps"].mean().unstack().dropna()
        if pair.shape[1] == 2:
            first, second = sorted(pair)
            better = int((pair[second] < pair[first]).sum())
            return [
                f"Power or exponential{', both with `--quick`' if quick else ''}: {second} has the lower CRPS on "
                f"{better} of {len(pair)} splits, mean {1e3 * pair[second].mean():.1f} against "
                f"{1e3 * pair[first].mean():.1f}.",
                "",
            ]
    return []


def all_points(mine: Any, kind: str) -> list[str]:
    part = mine[(mine["study"] == "largest") & (mine["who"] == mine["card"])]
    lines = []
    for card, one in part.groupby("card", sort=False):
        means = binned(one)
        lines.append(
            f"All rows, from the fit without the largest, deepest run, {card}: R² "
            f"{r2(means['loss'], means['mean']):.4f} of curves in eight stretches, "
            f"{r2(one['loss'], one['mean']):.4f} of raw rows, where a perfect curve has "
            f"{ceiling(kind):.4f} (noise from the differences of neighbouring steps)."
        )
    return [*lines, ""]


def hardest_of(mine: Any) -> list[str]:
    part = mine[(mine["study"] == "largest") & mine["held"] & (mine["who"] == mine["card"])]
    lines = []
    for card, one in part.groupby("card", sort=False):
        # the last fifth of the steps: one row is mostly noise
        last = one[one["step"] > 0.8 * one["step"].max()]
        last = last[last["exit_step"].isna() | (last["exit_step"] == last["recurrence"])]
        error = last["mean"].mean() / last["loss"].mean() - 1
        off = abs(last["mean"].mean() - last["loss"].mean()) / last["sd"].mean()
        lines.append(
            f"{card}, {one['run'].iloc[0]}, of which nothing was seen: mean loss of its last fifth forecast with an "
            f"error of {100 * error:+.2f} %, {off:.1f} predictive sd of a row."
        )
    return [*lines, ""]
