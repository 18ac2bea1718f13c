"""How looped-total's slopes were chosen: larger and deeper runs forecast from the rest, the hardest of all left out.

    python benchmarks/looped_inner.py [VARIANT ...]

Each run of the corpus of code with 49,409 parameters or more and four loops or more, but the largest at its greatest
depth, is forecast from the runs that are no larger and no deeper. Printed is the error of the mean loss of its last
fifth, %. Fits are normal posteriors at their mode.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from looped import BINS, DRAWS, STRIDE, curves

import bayeslaw as bl
from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.demo import hardest

SIZE, DEPTH = 49_409, 4
NO_BETA: dict[str, Any] = {"beta": {"slope": False}}
VARIANTS: dict[str, dict[str, Any]] = {
    "shipped: beta, gamma": {},
    "none": NO_BETA | {"gamma": {"slope": False}},
    "gamma": NO_BETA,
    "beta, C": {"gamma": {"slope": False}, "C": {"slope": "normal(0, 0.3)"}},
    "beta, C, gamma": {"C": {"slope": "normal(0, 0.3)"}},
}


def main(names: list[str]) -> None:
    runs = curves("total")
    frame = runs.frame
    of_run = frame.groupby("run")[["n_params", "recurrence"]].first()
    large = of_run[(of_run["n_params"] >= SIZE) & (of_run["recurrence"] >= DEPTH)].drop(hardest(runs))
    print(
        f"| slopes in log N | {' | '.join(large.index)} | mean | root mean square |\n|---|" + "---|" * (len(large) + 2)
    )
    for name in names:
        card = load_card(
            {"extends": "looped-total", "name": "tried", "law": "looped-total", "parameters": VARIANTS[name]}
        )
        errors = []
        for target, row in large.iterrows():
            no_larger = (of_run["n_params"] <= row["n_params"]) & (of_run["recurrence"] <= row["recurrence"])
            known = of_run.index[no_larger & (of_run.index != target)]
            fit = at_mode(
                card, runs.where(frame["run"].isin(known).to_numpy()), None, DRAWS, {"seed": 0, "max_bins": BINS}
            )
            mine = frame[(frame["run"] == target) & (frame["step"] % STRIDE == 0)]
            mine = mine[mine["tokens"] >= 0.8 * mine["tokens"].max()].reset_index(drop=True)
            curve = bl.forecast(fit, mine, backtest=False).frame["curve_mean"]
            errors.append(100 * (curve.mean() / mine["loss"].mean() - 1))
        cells = [
            *(f"{e:+.2f}" for e in errors),
            f"{np.mean(errors):+.2f}",
            f"{np.sqrt(np.mean(np.square(errors))):.2f}",
        ]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(VARIANTS))
