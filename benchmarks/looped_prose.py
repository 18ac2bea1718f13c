"""How looped-total's levels, exponent of depth and shared path were chosen: forecasts among the runs on prose.

    python benchmarks/looped_prose.py [VARIANT ...]

The eight runs on prose, of which no part is scored elsewhere, are forecast from their first 25, 50 and 75 % of tokens,
from two of three depths and from two of three sizes. Printed per study, on the rows held back: CRPS in thousandths of a
nat, and how many lie in their 90 % band. Fits are normal posteriors at their mode.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from looped import BINS, DRAWS, STRIDE

import bayeslaw as bl
from bayeslaw import scores
from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.demo import looped_curves, settled

SHARED: dict[str, Any] = {
    "scale": {"prior": "lognormal(0.004, 0.8)"},
    "length": {"prior": "lognormal(0.2, 0.5)"},
    "step": 0.25,
}
ALONE: dict[str, Any] = {"shared": False}


def pooled(spread: str, gamma: str = "lognormal(0.7, 0.6)", t3: str = "lognormal(0.3, 1)") -> dict[str, Any]:
    """A and B pooled over recurrence with that spread; priors of the exponent of depth and of its offset."""
    pool = {"pool": {"recurrence": spread}}
    return {"parameters": {"A": pool, "B": pool, "gamma": {"prior": gamma}, "t3": {"prior": t3}}}


WIDE, NARROW = "lognormal(0.05, 0.7)", "lognormal(0.02, 0.7)"
VARIANTS: dict[str, dict[str, Any]] = {
    "no path; A, B within 0.05": ALONE | pooled(WIDE),
    "no path; A, B within 0.02": ALONE | pooled(NARROW),
    "path; A, B within 0.05": {"shared": SHARED} | pooled(WIDE),
    "path; A, B within 0.02": {"shared": SHARED} | pooled(NARROW),
    "path; A, B within 0.02, gamma .5, t3 .6": {"shared": SHARED}
    | pooled(NARROW, "lognormal(0.5, 0.6)", "lognormal(0.6, 0.8)"),
}


def studies(frame: Any) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Study → (rows to fit, rows to score) of its splits."""
    tokens, depth, size = (frame[c].to_numpy(float) for c in ("tokens", "recurrence", "n_params"))
    early = [tokens <= share * tokens.max() for share in (0.25, 0.5, 0.75)]
    return {
        "tokens": [(e, ~e) for e in early],
        "depths": [(depth != d, depth == d) for d in np.unique(depth)],
        "sizes": [(size != n, size == n) for n in np.unique(size)],
    }


def main(names: list[str]) -> None:
    runs = settled(looped_curves("prose", steps=False))
    frame = runs.frame
    print("| variant | " + " | ".join(f"{s}: CRPS, inside" for s in studies(frame)) + " |\n|---|---|---|---|")
    for name in names:
        card = load_card({"extends": "looped-total", "name": "tried", "law": "looped-total"} | VARIANTS[name])
        cells = []
        for splits in studies(frame).values():
            crps, inside = [], []
            for learn, held in splits:
                at = frame[held & (frame["step"] % STRIDE == 0).to_numpy()].reset_index(drop=True)
                fit = at_mode(card, runs.where(learn), None, DRAWS, {"seed": 0, "max_bins": BINS})
                band = bl.forecast(fit, at.drop(columns="loss"), levels=(0.9,), draws=DRAWS, seed=0, backtest=False)
                crps.append(scores.crps(band.observed, at["loss"].to_numpy()).mean())
                inside.append(at["loss"].between(band.frame["lo90"], band.frame["hi90"]).mean())
            cells.append(f"{1e3 * np.mean(crps):.1f}, {np.mean(inside):.2f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(VARIANTS))
