"""How the multi-power card was chosen: variants scored on splits inside the fit part of MultiPowerLaw's curves.

    python benchmarks/inner_splits.py [VARIANT ...]

Each fitted schedule is left out in turn, and constant and cosine curves are continued from step 8,000 to 24,000. A row
gives RMSE of the mean curve (1e-4 nats), coverage of the 90 % band and its width (% of the loss), means over the three
sizes. Nothing of ``split == 'test'`` is read.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import bayeslaw as bl
from bayeslaw.cards import load_card

DATA = Path(os.environ.get("BAYESLAW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def exponent(sd: float, slope: float, size: float) -> dict[str, Any]:
    """alpha: how well it is known, how it may move with log N, how far sizes may stray from that."""
    slopes, sizes = f"normal(0, {slope})", f"lognormal({size}, 0.3)"
    return {"alpha": {"prior": f"lognormal(0.5, {sd})", "slope": slopes, "pool": {"size": sizes}}}


WIDE = {
    "C": {"prior": "lognormal(1.5, 1)"},
    "beta": {"prior": "lognormal(0.5, 0.4)"},
    "gamma": {"prior": "lognormal(0.6, 0.4)"},
}


def shapes(centre: float, sd: float) -> dict[str, Any]:
    """beta and gamma, around one value."""
    return {name: {"prior": f"lognormal({centre}, {sd})"} for name in ("beta", "gamma")}


FREE = {"schedule": {"clock": "normal(0.88, 0.1)"}}
FINE = {"step": 0.15, "length": {"prior": "lognormal(0.3, 0.5)"}}
LARGE = {"scale": {"prior": "lognormal(0.002, 0.3)"}, "length": {"prior": "lognormal(0.5, 0.3)"}}
VARIANTS: dict[str, dict[str, Any]] = {
    "shipped": {},
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
    print(f"| card |{head}| mean RMSE |\n|---|" + "---|" * (len(SPLITS) + 1))
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
            by_run = f.groupby("run")[["square", "inside", "width"]].mean()
            rmse = 1e4 * np.sqrt(by_run["square"]).mean()
            means.append(rmse)
            cells.append(f" {rmse:.0f}, {by_run['inside'].mean():.2f}, {by_run['width'].mean():.2f} ")
        print(f"| {name} |" + "|".join(cells) + f"| {np.mean(means):.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(VARIANTS))
