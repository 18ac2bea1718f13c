"""Does a plan find an optimum that is known? Simulated sweeps, their coverage, and the regret of three ways to choose.

    python benchmarks/planning_recovery.py [SIMULATIONS]

Truth: Epoch AI's refit of Chinchilla (Besiroglu et al. 2024). Each simulation draws new losses for the runs of a sweep:
all 240 of Chinchilla's own (N, D), or 36 of the cheap ones (at most 1e20 FLOP), with Student-t noise of 2.6 degrees of
freedom on log loss, its scale that of the real residuals about that truth. The fit is the chinchilla card without the
shift that runs of one size share (the truth has none), by importance sampling around the mode (``quick.py``), which
agrees with NUTS on the real data to the Monte Carlo error. The Huber fit starts at the truth. Writes its section of
planning.md.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from quick import PLAIN, quick_fit
from report import DATA, write
from scipy import stats

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.plan.costs import SIX_N
from bayeslaw.plan.decision import choose, plug_in
from bayeslaw.plan.optimum import Limits, optimum
from bayeslaw.plan.parametric import Surface3, huber_fit
from bayeslaw.plan.surface import Surface

TRUTH = Surface3(1.8169, 482.0, 2085.0, 0.3478, 0.3659)
NU, TARGETS = 2.6, (1e22, 5.76e23, 1e25)


def sweeps() -> tuple[dict[str, pd.DataFrame], float]:
    """The designs, and the scale of the noise: that of a Student-t through the real residuals."""
    frame = pd.read_csv(DATA / "epoch-chinchilla" / "runs.csv")
    frame = frame.drop(index=frame["loss"].nlargest(5).index).reset_index(drop=True)
    residual = np.log(frame["loss"]) - np.log(TRUTH.loss(frame["n_params"], frame["tokens"]))
    scale = stats.t.fit(residual, fdf=NU)[2]
    cheap = frame[frame["flops"] <= 1.05e20].sort_values("flops")
    few = cheap.iloc[np.linspace(0, len(cheap) - 1, 36).astype(int)].reset_index(drop=True)
    return {"240 runs, up to 1e22 FLOP": frame, "36 runs, up to 1e20 FLOP": few}, float(scale)


def study(frame: pd.DataFrame, scale: float, times: int) -> tuple[pd.DataFrame, list[float]]:
    """One row per simulation and target: whether N* and D* are covered, and the regret of each choice."""
    card, limits, rows, ks = load_card(PLAIN), Limits(), [], []
    exact = TRUTH.loss(frame["n_params"].to_numpy(), frame["tokens"].to_numpy())
    for i in range(times):
        rng = np.random.default_rng(1000 + i)
        loss = exact * np.exp(scale * rng.standard_t(NU, len(frame)))
        fit = quick_fit(card, bl.Runs.from_frame(frame.assign(loss=loss)), seed=i, proposals=3000)
        ks.append(fit.meta["k"])
        point = huber_fit(frame["n_params"].to_numpy(), frame["tokens"].to_numpy(), loss, start=TRUTH)
        surface = Surface(fit)
        for flops in TARGETS:
            best = optimum(surface, SIX_N, flops)
            star = TRUTH.n_star(flops)
            row = {"flops": flops}
            for name, draws, true in (("N", best.n_params, star), ("D", best.tokens, flops / 6 / star)):
                lo, hi = np.quantile(draws, [0.05, 0.95])
                row[name] = lo <= true <= hi
            lowest = TRUTH.loss(np.array(star), np.array(flops / 6 / star))
            chosen = {
                "expected": choose(surface, SIX_N, limits, flops, best).n_params,
                "centre": plug_in(surface, SIX_N, limits, flops, best).n_params,
                "huber": point.n_star(flops),
            }
            for name, n in chosen.items():
                row[name] = float(TRUTH.loss(np.array(n), np.array(flops / 6 / n)) - lowest)
            rows.append(row)
    return pd.DataFrame(rows), ks


def main(times: int) -> None:
    designs, scale = sweeps()
    lines = [
        f"{times} simulations a design; noise: Student-t, {NU} degrees of freedom, scale {scale:.5f} of log loss.",
        "Regret in 1e-6 nats on the true surface: of the size of least expected loss, of the optimum at the "
        "posterior's centre, and of the optimum of a Huber point fit; the last difference with its standard error.",
        "",
        "| sweep | budget | N* covered | D* covered | expected loss | centre | Huber | Huber - expected |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, frame in designs.items():
        table, ks = study(frame, scale, times)
        for flops, part in table.groupby("flops"):
            gap = part["huber"] - part["expected"]
            cells = [f"{1e6 * part[c].mean():.1f}" for c in ("expected", "centre", "huber")]
            lines.append(
                f"| {name} | {flops:.3g} | {part['N'].mean():.3f} | {part['D'].mean():.3f} | {' | '.join(cells)} | "
                f"{1e6 * gap.mean():.1f} ({1e6 * gap.std() / np.sqrt(len(gap)):.1f}) |"
            )
        lines.append(f"| | Pareto k: median {np.median(ks):.2f}, largest {max(ks):.2f} | | | | | | |")
        write("recovery", lines)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
