"""Does a plan find an optimum that is known? Simulated sweeps, their coverage, and the regret of three ways to choose.

    python benchmarks/planning_recovery.py [SIMULATIONS [STORE]]

A simulation takes a true surface and draws new losses for the runs of a sweep: all 240 of Chinchilla's own (N, D), or
36 of the cheap ones (at most 1e20 FLOP), with Student-t noise of 2.6 degrees of freedom on log loss, its scale that of
the real residuals about Epoch AI's refit. Three sources of truths:

fixed      Epoch AI's refit of Chinchilla (Besiroglu et al. 2024), the same in every simulation
bootstrap  a Huber fit of a resample of the real 240 points, another in every simulation, as Epoch AI's bootstraps are
prior      a draw from the chinchilla card's prior, another in every simulation; taken if its losses at the sweep's runs
           look like training losses: all between 1 nat and ln 50,000, what a uniform guess among 50,000 tokens costs

What a decision promises is an average over the truths that are held possible, which one truth does not test. The rule
looks at losses that the sweep shows anyway, so that it takes nothing from the posterior's claim.

The fit is the chinchilla card without the shift that runs of one size share (the truth has none), by importance
sampling around the mode (``quick.py``), which agrees with NUTS on the real data to the Monte Carlo error. The Huber fit
starts at the truth. Finished sweeps are kept in the folder STORE. Writes its section of planning.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from quick import PLAIN, quick_fit
from report import DATA, write
from scipy import stats

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.prior import prior_draws
from bayeslaw.plan.costs import SIX_N
from bayeslaw.plan.decision import choose, plug_in
from bayeslaw.plan.limits import Limits
from bayeslaw.plan.optimum import optimum
from bayeslaw.plan.parametric import Surface3, huber_fit
from bayeslaw.plan.surface import Surface

EPOCH = Surface3(1.8169, 482.0, 2085.0, 0.3478, 0.3659)
NU, TARGETS = 2.6, (1e22, 5.76e23, 1e25)
SOURCES = ("fixed", "bootstrap", "prior")
#: importance samples proposed for a fit times its runs, the most of them, and those proposed for each that is kept
WORK, MOST, KEPT = 720_000, 8000, 4
#: Pareto k beyond which an importance sample's tail is not to be relied on
MOST_K = 0.7
#: what training losses lie between, nats
LOSSES = (1.0, float(np.log(50_000)))


def real() -> pd.DataFrame:
    """Chinchilla's 240 runs."""
    frame = pd.read_csv(DATA / "epoch-chinchilla" / "runs.csv")
    return frame.drop(index=frame["loss"].nlargest(5).index).reset_index(drop=True)


def sweeps(frame: pd.DataFrame) -> tuple[dict[str, pd.DataFrame], float]:
    """The designs, and the scale of the noise: that of a Student-t through the real residuals."""
    residual = np.log(frame["loss"]) - np.log(EPOCH.loss(frame["n_params"], frame["tokens"]))
    scale = stats.t.fit(residual, fdf=NU)[2]
    cheap = frame[frame["flops"] <= 1.05e20].sort_values("flops")
    few = cheap.iloc[np.linspace(0, len(cheap) - 1, 36).astype(int)].reset_index(drop=True)
    return {"240 runs, up to 1e22 FLOP": frame, "36 runs, up to 1e20 FLOP": few}, float(scale)


def truths(source: str, frame: pd.DataFrame, whole: pd.DataFrame) -> Iterator[Surface3]:
    """True surfaces without end; ``frame`` are the sweep's runs and ``whole`` the real ones with their losses."""
    if source == "prior":
        card = load_card(PLAIN)
        problem = assemble(card, bl.Runs.from_frame(frame))
        n, d = frame["n_params"].to_numpy(), frame["tokens"].to_numpy()
        z = prior_draws(problem.layout, problem.data["prior"], 0, 20_000)
        drawn = Surface(bl.Fit(card, problem, z[None], {}, {}), draws=len(z), z=z).coefficients()
        for values in zip(*(drawn[k][:, 0] for k in ("E", "A", "B", "alpha", "beta")), strict=True):
            one = Surface3(*map(float, values))
            loss = one.loss(n, d)
            if LOSSES[0] < loss.min() and loss.max() < LOSSES[1]:
                yield one
        return
    rng = np.random.default_rng(0)
    while True:
        if source == "fixed":
            yield EPOCH
        else:
            some = whole.iloc[rng.integers(0, len(whole), len(whole))]
            yield huber_fit(*(some[c].to_numpy() for c in ("n_params", "tokens", "loss")), start=EPOCH)


def study(source: str, frame: pd.DataFrame, whole: pd.DataFrame, scale: float, times: int) -> pd.DataFrame:
    """One row per simulation and target: whether N* is covered, the size and the regret of each choice."""
    card, limits, rows = load_card(PLAIN), Limits(), []
    n, d, proposals = frame["n_params"].to_numpy(), frame["tokens"].to_numpy(), min(MOST, WORK // len(frame))
    for i, truth in zip(range(times), truths(source, frame, whole), strict=False):
        rng = np.random.default_rng(1000 + i)
        loss = truth.loss(n, d) * np.exp(scale * rng.standard_t(NU, len(frame)))
        runs = bl.Runs.from_frame(frame.assign(loss=loss))
        fit = quick_fit(card, runs, seed=i, draws=proposals // KEPT, proposals=proposals)
        point = huber_fit(n, d, loss, start=truth)
        surface = Surface(fit)
        for flops in TARGETS:
            best, star = optimum(surface, SIX_N, flops), truth.n_star(flops)
            lo, hi = np.quantile(best.n_params, [0.05, 0.95])
            chosen = {
                "expected": choose(surface, SIX_N, limits, flops, best).n_params,
                "centre": plug_in(surface, SIX_N, limits, flops, best).n_params,
                "huber": point.n_star(flops),
            }
            row = {"flops": flops, "k": fit.meta["k"], "covered": lo <= star <= hi, "star": star}
            lowest = truth.loss(np.array(star), np.array(flops / 6 / star))
            for name, size in chosen.items():
                regret = truth.loss(np.array(size), np.array(flops / 6 / size)) - lowest
                row |= {f"n_{name}": size, name: 1e6 * float(regret)}
            rows.append(row)
    return pd.DataFrame(rows)


def paired(gap: pd.Series) -> str:
    """Mean of differences with its standard error."""
    return f"{gap.mean():.1f} ({gap.std() / np.sqrt(len(gap)):.1f})"


def tell(found: dict[tuple[str, str], pd.DataFrame], scale: float) -> None:
    """The section of the page."""
    times = len(next(iter(found.values()))) // len(TARGETS)
    lines = [
        f"{times} simulations a row; noise: Student-t, {NU} degrees of freedom, scale {scale:.5f} of log loss. "
        "Covered: N* by its 90 % interval, and with it D* = C / 6 N*. Regret in 1e-6 nats on the true surface, means: "
        "of the size of least expected loss, of the optimum at the posterior's centre, and of the optimum of a Huber "
        "point fit; differences of the same simulations with their standard errors, above zero where expected loss is "
        "better, and how often it is better than Huber. Apart: by how much expected loss and centre differ in N, "
        "median.",
        "",
        "| truth | sweep | budget | covered | expected loss | centre | Huber | Huber - expected | better | "
        "centre - expected | apart |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (source, name), table in found.items():
        for flops, part in table.groupby("flops"):
            apart = np.abs(np.log(part["n_expected"] / part["n_centre"])).median()
            lines.append(f"| {source} | {name} | {flops:.3g} | {row(part)} | {100 * apart:.1f} % |")
    lines += [
        "",
        f"Pareto k of the importance sampling, and the same of the fits whose k is at most {MOST_K} alone, all budgets "
        "together.",
        "",
        f"| truth | sweep | k: median, largest | at most {MOST_K} | covered | expected loss | centre | Huber | "
        "Huber - expected | better | centre - expected |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (source, name), table in found.items():
        sure = table[table["k"] <= MOST_K]
        # one row per simulation: budgets of one simulation are not independent
        columns = ["covered", "expected", "centre", "huber"]
        mean = sure[columns].astype(float).groupby(sure.index // len(TARGETS)).mean()
        lines.append(
            f"| {source} | {name} | {table['k'].median():.2f}, {table['k'].max():.2f} | {len(mean)} of {times} | "
            f"{row(mean)} |"
        )
    write("recovery", lines)


def row(part: pd.DataFrame) -> str:
    """Cells from "covered" to "centre - expected"."""
    cells = [f"{part[c].mean():.1f}" for c in ("expected", "centre", "huber")]
    return (
        f"{part['covered'].mean():.3f} | {' | '.join(cells)} | {paired(part['huber'] - part['expected'])} | "
        f"{(part['huber'] > part['expected']).mean():.0%} | {paired(part['centre'] - part['expected'])}"
    )


def main(times: int, store: Path) -> None:
    store.mkdir(parents=True, exist_ok=True)
    whole = real()
    designs, scale = sweeps(whole)
    found = {}
    for source in SOURCES:
        for name, frame in designs.items():
            path = store / f"{source}-{len(frame)}-{times}.csv"
            if not path.exists():
                study(source, frame, whole, scale, times).to_csv(path, index=False)
            found[source, name] = pd.read_csv(path)
    tell(found, scale)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 200, Path(given[1]) if len(given) > 1 else Path(tempfile.mkdtemp()))
