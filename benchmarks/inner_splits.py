"""How the multi-power card was chosen: variants scored on splits inside the fit part of MultiPowerLaw's curves.

    python benchmarks/inner_splits.py [VARIANT ...]

Each fitted schedule is left out in turn, and constant and cosine curves are continued from step 8,000 to 24,000. A row
gives RMSE of the mean curve (1e-4 nats), coverage of the 90 % band and its width (% of the loss), means over the three
sizes, and at its end the means of RMSE and interval score (1e-4 nats) over the splits. Nothing of ``split == 'test'``
is read.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from report import DATA

import bayeslaw as bl
from bayeslaw import scores
from bayeslaw.cards import load_card


def exponent(sd: float, slope: float, size: float) -> dict[str, Any]:
    """alpha: how well it is known, how it may move with log N, how far sizes may stray from that."""
    slopes, sizes = f"normal(0, {slope})", f"lognormal({size}, 0.3)"
    return {"alpha": {"prior": f"lognormal(0.45, {sd})", "slope": slopes, "pool": {"size": sizes}}}


WIDE = {
    "C": {"prior": "lognormal(1.5, 1)"},
    "beta": {"prior": "lognormal(0.5, 0.4)"},
    "gamma": {"prior": "lognormal(0.6, 0.4)"},
}


def shapes(centre: float, sd: float) -> dict[str, Any]:
    """beta and gamma, around one value."""
    return {name: {"prior": f"lognormal({centre}, {sd})"} for name in ("beta", "gamma")}


PLAIN = {
    "parameters": {"alpha0": {"prior": "lognormal(alpha, 0.001)", "slope": False, "pool": False}},
    "run": {"alpha0": False},
}


def runs_stray(**sds: float) -> dict[str, Any]:
    """How far single runs stray in their level, gain or start."""
    return {"run": {name: {"prior": f"lognormal({sd}, 0.6)"} for name, sd in sds.items()}}


FREE = {"schedule": {"clock": "normal(0.88, 0.1)"}}
FINE = {"step": 0.15, "length": {"prior": "lognormal(0.3, 0.5)"}}
LARGE = {"scale": {"prior": "lognormal(0.002, 0.3)"}, "length": {"prior": "lognormal(0.5, 0.3)"}}
VARIANTS: dict[str, dict[str, Any]] = {
    "shipped": {},
    "one exponent": PLAIN,
    "starts shared by all seeds": {"run": {"alpha0": False}},
    "B within 0.04": runs_stray(B=0.04),
    "B within 0.09": runs_stray(B=0.09),
    "B within 0.03, level within 0.0007": runs_stray(B=0.03, level=0.0007),
    "C as published": {"parameters": {"C": {"prior": "lognormal(2.07, 0.1)"}}},
    "clock at 1": {"schedule": {"clock": 1.0}},
    "clock at 0.8": {"schedule": {"clock": 0.8}},
    "clock known to 0.1": FREE,
    "shapes at 0.5": {"parameters": shapes(0.5, 0.15)},
    "shapes at 0.5, clock known to 0.1 (once shipped)": {"parameters": shapes(0.5, 0.15), **FREE},
    "shapes at 0.7": {"parameters": shapes(0.7, 0.05)},
    "exponent free by size": {"parameters": exponent(0.3, 0.1, 0.03)},
    "exponent freer": {"parameters": exponent(0.1, 0.02, 0.02)},
    "exponent stricter": {"parameters": exponent(0.1, 0.005, 0.005)},
    "white misfit": {"discrepancy": False},
    "wide shapes": {"parameters": WIDE},
    "knots 0.15": {"discrepancy": FINE},
    "misfit large": {"discrepancy": LARGE},
}
SPLITS = {
    "cosine out": ("~run.str.endswith('cosine_24000')", "run.str.endswith('cosine_24000')"),
    "two-stage out": ("~run.str.endswith('wsdcon_9')", "run.str.endswith('wsdcon_9')"),
    "constant out": ("~run.str.endswith('constant_24000')", "run.str.endswith('constant_24000')"),
    "constant x 3": ("step <= 8000", "run.str.endswith('constant_24000') & step > 8000"),
    "cosine x 3": ("step <= 8000 | run.str.endswith('wsdcon_9')", "run.str.endswith('cosine_24000') & step > 8000"),
}


def main(names: list[str]) -> None:
    runs = bl.load(DATA / "multipowerlaw" / "runs.csv").where("split == 'fit'")
    head = "|".join(f" {s}: RMSE, coverage, width " for s in SPLITS)
    print(f"| card |{head}| mean RMSE | mean interval score |\n|---|" + "---|" * (len(SPLITS) + 2))
    for name in names:
        card = load_card({"extends": "multi-power", "name": name, "law": "multi-power", **VARIANTS[name]})
        cells, means = [], []
        for learn, score in SPLITS.values():
            held = runs.where(score)
            f = bl.forecast(bl.fit(runs.where(learn), card, draws=200), at=held, levels=(0.9,)).frame
            loss = held.frame["loss"].to_numpy()
            f["square"] = (f["curve_mean"] - loss) ** 2
            f["inside"] = (loss >= f["lo90"]) & (loss <= f["hi90"])
            f["width"] = 100 * (f["hi90"] - f["lo90"]) / loss
            f["score"] = scores.interval_score(f["lo90"].to_numpy(), f["hi90"].to_numpy(), loss, 0.9)
            by_run = f.groupby("run")[["square", "inside", "width", "score"]].mean()
            rmse = 1e4 * np.sqrt(by_run["square"]).mean()
            means.append((rmse, 1e4 * by_run["score"].mean()))
            cells.append(f" {rmse:.0f}, {by_run['inside'].mean():.2f}, {by_run['width'].mean():.2f} ")
        total = np.mean(means, axis=0)
        print(f"| {name} |" + "|".join(cells) + f"| {total[0]:.1f} | {total[1]:.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(VARIANTS))
