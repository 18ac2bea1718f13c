"""Looped models: how well laws over size, tokens and depth generalise, on the curves that come with the package.

    python benchmarks/looped.py total steps extras report [--quick] [--only STUDY] [--card CARD]

``total`` and ``steps`` fit on 3 of 5 sizes (all ten ways), on the first 25, 50 and 75 % of the tokens, on two of the
depths 2, 4, 8, and without the largest model at its greatest depth. Each is scored on the rows held back and on all
rows, beside the law that Ouro (arXiv 2510.25741) publishes, fitted by least squares, its residual sd as predictive.
``--quick`` takes a normal posterior at its mode in place of NUTS. Finished splits are kept in benchmarks/.backtests and
not done again. ``extras``: seeds' spread, gates, iso-depth. ``report`` writes benchmarks/looped.md from what is there.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from looped_law import point_fit, predict

import bayeslaw as bl
from bayeslaw import scores
from bayeslaw.backtest_code import code_digest
from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.demo import CURVES, hardest, looped_curves, settled

STORE = Path(__file__).with_name(".backtests") / "looped"
#: every so many steps a row is scored; points of a curve that are fitted
STRIDE, BINS = 15, 12
CARDS = {"total": ("looped-total",), "steps": ("looped-stepwise", "looped-stepwise-exponential")}
DEPTHS = (2, 4, 8)
DRAWS = 300


def packing() -> str:
    """The first letters of the shipped table's SHA-256."""
    return hashlib.sha256(CURVES.read_bytes()).hexdigest()[:12]


def curves(kind: str) -> Any:
    """The corpus of code after warm-up, one seed a cell: its total losses, or those of the recurrent steps."""
    runs = settled(looped_curves("code", steps=kind == "steps"))
    return runs.where((runs.frame["seed"] == 0).to_numpy())


def splits(runs: Any) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """(study, name, rows to fit, rows to score)."""
    frame = runs.frame
    size, depth, tokens = (frame[c].to_numpy(float) for c in ("n_params", "recurrence", "tokens"))
    hard = (frame["run"] == hardest(runs)).to_numpy()
    yield "largest", hardest(runs), ~hard, hard
    for share in (0.25, 0.5, 0.75):
        early = tokens <= share * tokens.max()
        yield "tokens", f"first {share:.0%}", early, ~early
    deep = np.isin(depth, DEPTHS)
    for left in DEPTHS:
        yield "depths", f"without {left}", deep & (depth != left), depth == left
    sizes = sorted(set(size))
    for three in itertools.combinations(range(len(sizes)), 3):
        mine = np.isin(size, [sizes[i] for i in three])
        yield "sizes", "".join(str(i + 1) for i in three), mine, ~mine


def scored(kind: str, card: str, quick: bool, study: str, name: str, learn: np.ndarray, held: np.ndarray) -> Any:
    """Fit one split and score it: one row per scored row and contestant."""
    runs = curves(kind)
    frame = runs.frame
    shown = (frame["step"] % STRIDE == 0).to_numpy() & (learn | held)
    at, truth = frame[shown].reset_index(drop=True), frame.loc[shown, "loss"].to_numpy()
    start = time.perf_counter()
    fitted = runs.where(learn)
    if quick:
        fit = at_mode(load_card(card), fitted, None, DRAWS, {"seed": 0, "max_bins": BINS})
        ok = ""
    else:
        fit = bl.fit(fitted, card, seed=0, max_bins=BINS)
        ok = "yes" if fit.check().ok else "no"
    band = bl.forecast(fit, at=at.drop(columns="loss"), levels=(0.9,), draws=DRAWS, seed=0)
    contestants = {card: (band.curve.mean(axis=0), band.observed)}
    point = point_fit(kind, fitted.frame)
    mean, sd = predict(kind, point, at)
    contestants["published, least squares"] = (
        mean,
        mean + sd * np.random.default_rng(0).standard_normal((1000, len(at))),
    )
    keep = ["run", "n_params", "recurrence", "step", "tokens", "loss"]
    tables = []
    for who, (mean, draws) in contestants.items():
        table = at[keep].assign(exit_step=at["exit_step"], who=who, held=held[shown], mean=mean, sd=draws.std(axis=0))
        low, high = scores.interval(draws, 0.9)
        tables.append(table.assign(inside=(truth >= low) & (truth <= high), crps=scores.crps(draws, truth)))
    info = {"kind": kind, "card": card, "study": study, "split": name, "ok": ok}
    info["curves"] = packing()
    return pd.concat(tables, ignore_index=True).assign(**info, seconds=time.perf_counter() - start)


def study(kind: str, quick: bool, only: str | None, one: str | None) -> None:
    for card in CARDS[kind]:
        for study_name, name, learn, held in splits(curves(kind)):
            if (only and only != study_name) or (one and one != card):
                continue
            what = (kind, card, quick, study_name, name, code_digest(), packing(), load_card(card).source)
            key = hashlib.sha256(repr((*what, STRIDE, BINS)).encode()).hexdigest()[:16]
            path = STORE / f"{kind}-{study_name}-{key}.parquet"
            if path.exists():
                continue
            STORE.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # the point fit tries absurd parameters on its way
                table = scored(kind, card, quick, study_name, name, learn, held)
            part = path.with_suffix(".part")
            table.assign(quick=quick).to_parquet(part)
            part.replace(path)
            print(f"{kind} {card} {study_name} {name}: {table['seconds'].iloc[0]:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=("total", "steps", "extras", "report"))
    parser.add_argument("--quick", action="store_true", help="a normal posterior at its mode in place of NUTS")
    parser.add_argument(
        "--only", choices=("largest", "tokens", "depths", "sizes", "seeds", "gates", "iso-depth", "beyond")
    )
    parser.add_argument("--card", choices=[card for cards in CARDS.values() for card in cards])
    options = parser.parse_args()
    for part in options.parts:
        if part == "report":
            from looped_report import report

            report(STORE)
        elif part == "extras":
            from looped_extras import extras

            extras(STORE, options.quick, options.only)
        else:
            study(part, options.quick, options.only, options.card)


if __name__ == "__main__":
    main()
