"""How the looped cards' paths and priors were chosen: forecasts among the runs on prose, and below the greatest depth.

    python benchmarks/looped_prose.py [total] [steps]

The eight runs on prose, of which no part is scored elsewhere, are forecast from their first 25, 50 and 75 % of tokens,
from two of three depths and from two of three sizes; for the total loss also each of the depths 1, 2, 4 of the runs on
code from the other two. Printed per study, on the rows held back: CRPS in thousandths of a nat, and how many lie in
their 90 % band. Fits are normal posteriors at their mode.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from looped import BINS, CARDS, DRAWS, STRIDE, curves

import bayeslaw as bl
from bayeslaw import scores
from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.demo import looped_curves, settled


def prior(**of: str) -> dict[str, Any]:
    """Priors in place of the card's."""
    return {"parameters": {name: {"prior": text} for name, text in of.items()}}


def pooled(spread: str) -> dict[str, Any]:
    """A and B pooled over recurrence with that spread."""
    return {"parameters": {name: {"pool": {"recurrence": spread}} for name in ("A", "B")}}


def path(name: str, scale: str, length: str) -> dict[str, Any]:
    return {name: {"scale": {"prior": scale}, "length": {"prior": length}}}


VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "total": {
        "shipped": {},
        "no path": {"shared": False},
        "path: scale 0.012, length 0.5": path("shared", "lognormal(0.012, 0.3)", "lognormal(0.5, 0.3)"),
        "path: scale 0.012, length 1.5": path("shared", "lognormal(0.012, 0.3)", "lognormal(1.5, 0.3)"),
        "A, B within 0.05": pooled("lognormal(0.05, 0.7)"),
        "t3 0.3": prior(t3="lognormal(0.3, 1)"),
        "t3 0.6": prior(t3="lognormal(0.6, 0.8)"),
        "t3 1": prior(t3="lognormal(1, 0.8)"),
        "gamma 0.7, t3 0.3": prior(gamma="lognormal(0.7, 0.6)", t3="lognormal(0.3, 1)"),
        "E 1.2": prior(E="lognormal(1.2, 0.5)"),
    },
    "steps": {
        "shipped": {},
        "no path of exits": {"exits": False},
        "no path of runs": {"shared": False},
        "no paths": {"exits": False, "shared": False},
        "K within 0.2": {"parameters": {"K": {"pool": {"recurrence": "lognormal(0.2, 0.7)"}}}},
        "C within 0.1": {"parameters": {"C": {"pool": {"recurrence": "lognormal(0.1, 0.7)"}}}},
        "A, B within 0.05": pooled("lognormal(0.05, 0.7)"),
        "mu 1.5": prior(mu="lognormal(1.5, 0.5)"),
        "t4 2": prior(t4="lognormal(2, 0.8)"),
    },
}


def studies(kind: str) -> Iterator[tuple[str, Any, list[tuple[np.ndarray, np.ndarray]]]]:
    """(study, runs, (rows to fit, rows to score) of its splits)."""
    runs = settled(looped_curves("prose", steps=kind == "steps"))
    tokens, depth, size = (runs.frame[c].to_numpy(float) for c in ("tokens", "recurrence", "n_params"))
    early = [tokens <= share * tokens.max() for share in (0.25, 0.5, 0.75)]
    yield "tokens", runs, [(e, ~e) for e in early]
    yield "depths", runs, [(depth != d, depth == d) for d in np.unique(depth)]
    yield "sizes", runs, [(size != n, size == n) for n in np.unique(size)]
    if kind == "total":
        runs = curves(kind)
        runs = runs.where((runs.frame["recurrence"] < runs.frame["recurrence"].max()).to_numpy())
        depth = runs.frame["recurrence"].to_numpy(float)
        yield "depths of code", runs, [(depth != d, depth == d) for d in np.unique(depth)]


def scored(card: Any, runs: Any, learn: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """Mean CRPS, nats, and share inside the 90 % band."""
    at = runs.frame[held & (runs.frame["step"] % STRIDE == 0).to_numpy()].reset_index(drop=True)
    fit = at_mode(card, runs.where(learn), None, DRAWS, {"seed": 0, "max_bins": BINS})
    band = bl.forecast(fit, at.drop(columns="loss"), levels=(0.9,), draws=DRAWS, seed=0, backtest=False)
    inside = at["loss"].between(band.frame["lo90"], band.frame["hi90"])
    return float(scores.crps(band.observed, at["loss"].to_numpy()).mean()), float(inside.mean())


def main(kinds: list[str]) -> None:
    for kind in kinds:
        base = CARDS[kind][0]
        names = [name for name, *_ in studies(kind)]
        print(f"\n| {base} | " + " | ".join(f"{n}: CRPS, inside" for n in names) + " | mean |")
        print("|---|" + "---|" * (len(names) + 1))
        for title, change in VARIANTS[kind].items():
            card = load_card({"extends": base, "name": "tried", "law": base} | change)
            found = [np.mean([scored(card, r, *split) for split in parts], axis=0) for _, r, parts in studies(kind)]
            cells = [f"{1e3 * crps:.1f}, {inside:.2f}" for crps, inside in found]
            print(f"| {title} | " + " | ".join(cells) + f" | {1e3 * np.mean(found, axis=0)[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(VARIANTS))
