"""What a size is said to waste, and what it wastes: best sizes of budgets held back, the next one and all beyond.

    python benchmarks/planning_waste.py

Each corpus's k >= 3 smallest budgets are fitted (chinchilla without the shift that runs of one size share, importance
sampling around the mode), and a size chosen for every larger budget there is: that of least expected waste, by the law
alone and by the law with its misfit. What it wastes is read off that budget's own parabola: how far the log loss at the
chosen size lies above the bottom, over how fast bottoms fall with log compute.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from quick import PLAIN, quick_fit
from report import DATA, write

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.plan import strayed
from bayeslaw.plan.costs import cost_of
from bayeslaw.plan.isoflop import profiles
from bayeslaw.plan.limits import Limits
from bayeslaw.plan.misfit import Held, Misfit
from bayeslaw.plan.surface import Surface
from bayeslaw.plan.value import Waste, waste

DRAWS, SEEN = 600, "epochai, marin"
MISFITS = [Misfit(0.05, 4.6), Misfit(), Misfit(0.12, 4.6), Misfit(0.2, 9.2)]
AHEAD = {"to 0.6": (0.0, 0.6), "0.6-1.05": (0.6, 1.05), "1.05-1.6": (1.05, 1.6), "over 1.6": (1.6, 9.0)}


def truths(parts: list[Any]) -> np.ndarray:
    """Of each budget: half the curvature of its parabola in log N, its best log N, and how bottoms fall with log C."""
    fits = [np.polyfit(np.log(p.n_params), np.log(p.loss), 2) for p in parts]
    star = np.array([-b / (2 * a) for a, b, _ in fits])
    least = np.array([np.polyval(c, s) for c, s in zip(fits, star, strict=True)])
    fall = -np.gradient(least, np.log([p.flops for p in parts]))
    near = [np.median(fall[max(0, j - 2) : j + 2]) for j in range(len(parts))]
    return np.array([[c[0] for c in fits], star, near]).T


def cells(runs: bl.Runs) -> pd.DataFrame:
    """One row per corpus, budgets fitted, budget ahead and way: waste said and met, and the interval of N*."""
    out = []
    for group in sorted(runs.frame["group"].unique()):
        parts = profiles(runs, group)
        truth = truths(parts)
        for k in range(3, len(parts)):
            seen = (runs.frame["group"] == group) & (runs.frame["flops"] <= parts[k - 1].flops * 1.05)
            fit = quick_fit(load_card(PLAIN), runs.where(seen.to_numpy()), proposals=3000)
            held = [Held(fit, m, DRAWS) for m in MISFITS]
            alone = Surface(fit, draws=DRAWS)
            cost = cost_of(alone)
            for j in range(k, len(parts)):
                flops = parts[j].flops
                ways = {"the law alone": waste(alone, cost, Limits(), flops)}
                for m, one in zip(MISFITS, held, strict=True):
                    name = f"misfit {m.scale:g} over {m.length:g}"
                    ways[name] = strayed.waste(one, Surface(fit, z=one.z), cost, Limits(), flops)[0]
                ahead = np.log10(flops / parts[k - 1].flops)
                out += [_row(group.split("_")[0], ahead, name, found, truth[j]) for name, found in ways.items()]
            print(group, k, flush=True)
    return pd.DataFrame(out)


def _row(corpus: str, ahead: float, way: str, found: Waste, truth: np.ndarray) -> dict[str, Any]:
    bend, star, fall = truth
    at, said = found.now
    low, high = np.quantile(found.log_n, [0.05, 0.95])
    met = 1 - np.exp(-bend * (np.log(found.sizes[at]) - star) ** 2 / fall)
    return {"corpus": corpus, "ahead": ahead, "way": way, "said": said, "met": met, "in": low <= star <= high,
            "ratio": np.exp(high - low)}  # fmt: skip


def tell(found: pd.DataFrame) -> list[str]:
    """The section: by how far the budget lies ahead, and by corpus."""
    lines = [
        "Waste said / met, means; the share of 90 % intervals of N* with the budget's own best size in them; how much "
        f"the upper end is above the lower, median. Smoothness and scale were chosen on {SEEN} with llama in sight.",
        "",
    ]
    parts = {
        f"{name} decades": found["ahead"].between(low, high, inclusive="right") for name, (low, high) in AHEAD.items()
    }
    parts |= {name: found["corpus"] == name for name in found["corpus"].unique()} | {"all": found["ahead"] > 0}
    ways = list(found["way"].unique())
    lines += [f"| budgets | cells | {' | '.join(ways)} |", "|---|---|" + "---|" * len(ways)]
    for name, rows in parts.items():
        by = [found[rows & (found["way"] == way)] for way in ways]
        said = " | ".join(map(_said, by))
        lines.append(f"| {name} | {len(by[0])} | {said} |")
    return lines


def _said(rows: pd.DataFrame) -> str:
    means = rows[["said", "met", "in"]].mean()
    return f"{means['said']:.3f} / {means['met']:.3f}; {means['in']:.2f}; {rows['ratio'].median():.1f}"


if __name__ == "__main__":
    write("waste", tell(cells(bl.load(DATA / "isoflops" / "runs.csv"))))
