"""Choosing the next runs within a budget, replayed on runs that others made: compute spent against error at the target.

    python benchmarks/planning_replay.py [ORDERS [STORE [CORPUS | tell]]]

IsoFLOP corpora and over-trained ones (Gadre et al. 2024), each on its own. Target: the dearest run and those that cost
two thirds of it or more; the mean absolute relative error of their forecast. Pool: every other run; its five cheapest
are there from the start. For a budget, a share of the pool's compute:

value      the set within the budget that leaves the targets' log loss the least variance, the law's misfit in it
           (``Joint.within``, as ``next_runs(by="variance")``); its cheapest runs are bought, an eighth of those there
           at a time, the fit is made anew, and a set within the rest is chosen
D-optimal  the same with the set of most information about the runs' losses
random     50 orders; of each the purchases before the budget is exceeded

All are forecast alike: the posterior mean of law and misfit (``plan/misfit.py``), refitted by importance sampling. One
more chooses and forecasts by value with a law that holds everywhere. Budgets rise by √2 from a thirty-second of the
pool to all of it. An error is reached by the first budget from which on errors stay at or below it. Finished corpora
are kept in the folder STORE. The misfit's scale and length, and this way of buying, were chosen on three of the corpora
(``planning_misfit.py``); the other three are what counts.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from quick import PLAIN, quick_fit
from report import DATA, write

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.plan.candidates import candidates
from bayeslaw.plan.design import Joint
from bayeslaw.plan.misfit import Held, Misfit, Places
from bayeslaw.plan.next_runs import strayed
from bayeslaw.plan.surface import Surface

LADDER = 2 ** np.arange(-5, 0.1, 0.5)
FIRST, NEAR, DRAWS, PROPOSALS = 5, 2 / 3, 400, 2000
#: positions in the ladder at which errors are shown and compared
LEVELS = (2, 4, 6, 8)
#: corpora on which the misfit's scale and length were chosen, and those that were not looked at for it
CHOSEN_ON = ("marin", "epochai", "gadre_rpj")
SCORED = ("llama", "gadre_c4", "gadre_rw")
#: name, what it maximises, with a misfit
WAYS = (("value", "reduction", True), ("D", "information", True), ("value, law alone", "reduction", False))


def corpora() -> dict[str, pd.DataFrame]:
    """Name → runs of one corpus, the cheapest first."""
    sweeps = bl.load(DATA / "isoflops" / "runs.csv").frame
    over = bl.load(DATA / "gadre-overtraining" / "runs.csv").frame
    over = over.assign(flops=6.0 * over["n_params"] * over["tokens"], group="gadre_" + over["group"].astype(str))
    out = {}
    for frame in (sweeps, over):
        for group, mine in frame.groupby("group"):
            parts = str(group).split("_")
            name = "_".join(parts[:2]) if parts[0] == "gadre" else parts[0]
            out[name] = mine.sort_values("flops").reset_index(drop=True)
    return out


class Replay:
    """One corpus: a pool of runs with known losses, and targets to forecast."""

    def __init__(self, frame: pd.DataFrame, misfit: Misfit | None) -> None:
        top = float(frame["flops"].iloc[-1])
        self.target = frame[frame["flops"] >= NEAR * top]
        self.pool = frame[frame["flops"] < NEAR * top].reset_index(drop=True)
        self.runs = bl.Runs.from_frame(self.pool[["run", "n_params", "tokens", "flops", "loss"]])
        self.card, self.misfit = load_card(PLAIN), misfit
        self.at = self.target[["n_params", "tokens"]]
        self.cost = self.pool["flops"].to_numpy(float)
        self.total = float(self.cost[FIRST:].sum())
        self.known: dict[tuple[int, ...], tuple[float, Surface, Held | None]] = {}

    def fit(self, bought: Any) -> tuple[float, Surface, Held | None]:
        """Error at the targets (per cent) with these runs of the pool known, the surface, and the misfit about it."""
        key = tuple(sorted(int(i) for i in bought))
        if key not in self.known:
            seen = np.isin(np.arange(len(self.pool)), key)
            fit = quick_fit(self.card, self.runs, draws=DRAWS, proposals=PROPOSALS, seen=seen)
            held = None if self.misfit is None else Held(fit, self.misfit, DRAWS)
            surface = Surface(fit, draws=DRAWS, z=None if held is None else held.z)
            got = self.curve(surface)
            if held is not None:
                got = got + held.beyond(Places.of(self.at))[0]
            loss = self.target["loss"].to_numpy()
            error = float(100 * np.mean(np.abs(np.exp(got).mean(axis=0) - loss) / loss))
            self.known[key] = (error, surface, held)
        return self.known[key]

    def curve(self, surface: Surface) -> np.ndarray:
        """Log loss (S, t) of the law at the targets."""
        n, d = (self.target[c].to_numpy(float)[None, :] for c in ("n_params", "tokens"))
        return np.log(surface.loss(n, d))

    def buy(self, by: str, share: float) -> float:
        """Error after a budget, a share of the pool's compute, is spent on the sets that are best within it."""
        bought, budget = list(range(FIRST)), share * self.total * (1 + 1e-9)
        while True:
            error, surface, held = self.fit(bought)
            left = [i for i in range(len(self.pool)) if i not in bought and self.cost[i] <= budget]
            if not left:
                return error
            table = self.pool.loc[left, ["run", "n_params", "tokens", "flops"]]
            runs = candidates(surface.fit, table, {None: surface}, DRAWS)
            if held is None:
                joint = Joint.of(self.curve(surface), runs.log_loss, runs.covariance())
            else:
                joint, runs = strayed(held, self.at, None, self.curve(surface), runs)
            chosen = sorted(joint.within(runs.cost, budget, by), key=lambda i: runs.cost[i])
            chosen = chosen[: max(1, len(bought) // 8)]
            if not chosen:
                return error
            bought += [left[i] for i in chosen]
            budget -= float(runs.cost[chosen].sum())

    def order(self, seed: int) -> np.ndarray:
        """Error at every share of the ladder, runs bought in a random order."""
        order = np.random.default_rng(seed).permutation(np.arange(FIRST, len(self.pool)))
        spent = np.concatenate([[0.0], np.cumsum(self.cost[order]) / self.total])
        within = np.searchsorted(spent, LADDER * (1 + 1e-9), side="right") - 1
        return np.array([self.fit([*range(FIRST), *order[:count]])[0] for count in within])


def reach(error: np.ndarray, level: float) -> float:
    """Share of the ladder from which on the errors stay at or below a level; infinite if they do not."""
    above = np.flatnonzero(error > level)
    first = 0 if not len(above) else int(above[-1]) + 1
    return float(LADDER[first]) if first < len(error) else np.inf


def measure(frame: pd.DataFrame, orders: int) -> dict[str, Any]:
    """Errors of all ways on one corpus, at every budget of the ladder."""
    replay, alone = Replay(frame, Misfit()), Replay(frame, None)
    found: dict[str, Any] = {"pool": len(replay.pool), "targets": len(replay.target)}
    found["start"] = replay.fit(range(FIRST))[0]
    for name, by, with_misfit in WAYS:
        found[name] = [(replay if with_misfit else alone).buy(by, share) for share in LADDER]
    for name, one in (("random", replay), ("random, law alone", alone)):
        found[name] = [one.order(seed).tolist() for seed in range(orders)]
    return found


def ratios(found: dict[str, Any], way: str, against: str = "random") -> list[float]:
    """Of each level, what random orders need for it over what a way needs.

    A level is the median error of random orders at a budget, no lower than what the whole pool reaches.
    """
    random, mine = np.array(found[against]), np.array(found[way])
    out = []
    for k in LEVELS:
        level = max(float(np.median(random[:, k])), mine[-1])
        needed = float(np.median([reach(one, level) for one in random]))
        out.append(needed / reach(mine, level))
    return out


def tell(results: dict[str, dict[str, Any]]) -> None:
    """The section of the page."""
    shares = [f"{LADDER[k]:.0%}" for k in LEVELS]
    lines = [
        f"{len(next(iter(results.values()))['random'])} random orders. Errors in per cent after a share of the pool's "
        "compute (random: median). Ratio: the compute that random orders need for good to reach their own median error "
        f"at {', '.join(shares)} of it, or what all runs reach if that is more (median over the orders), over what the "
        "way needs; with a law alone, random orders with a law alone. Times random: error over the random median, "
        "geometric mean over the budgets.",
        "",
        f"| corpus | way | {' | '.join(f'error at {s}' for s in shares)} | all | ratios | times random |",
        "|---|---|" + "---|" * (len(shares) + 3),
    ]
    for name, found in results.items():
        for way in (*(w[0] for w in WAYS), "random", "random, law alone"):
            errors = np.array(found[way])
            errors = np.median(errors, axis=0) if errors.ndim == 2 else errors
            said = " | " if way.startswith("random") else f"{_told(found, way)}"
            label = f"{name} ({'scored' if name in SCORED else 'chosen on'}; {found['pool']} runs)"
            cells = " | ".join(f"{errors[k]:.2f}" for k in (*LEVELS, -1))
            lines.append(f"| {label} | {way} | {cells} | {said} |")
    mine = [found for name, found in results.items() if name in SCORED]
    for way, against in (("value", "random"), ("D", "random"), ("value", "random, law alone")):
        pooled = [r for found in mine for r in ratios(found, way, against)]
        lines += ["", f"Scored corpora: {way} against {against}: median ratio {np.median(pooled):.1f}"]
    write("replay", lines)


def _told(found: dict[str, Any], way: str) -> str:
    against = "random, law alone" if way.endswith("law alone") else "random"
    times = np.exp(np.mean(np.log(np.array(found[way]) / np.median(found[against], axis=0))))
    return f"{', '.join(f'{r:.1f}' for r in ratios(found, way, against))} | {times:.2f}"


def main(orders: int, store: Path, corpus: str) -> None:
    store.mkdir(parents=True, exist_ok=True)
    results = {}
    for name, frame in corpora().items():
        path = store / f"{name}-{orders}.json"
        if not path.exists() and corpus in ("", name):
            path.write_text(json.dumps(measure(frame, orders)), encoding="utf-8")
        if path.exists():
            results[name] = json.loads(path.read_text(encoding="utf-8"))
    if corpus in ("", "tell"):
        tell({n: results[n] for n in (*SCORED, *CHOSEN_ON) if n in results})


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        int(given[0]) if given else 50,
        Path(given[1]) if len(given) > 1 else Path(tempfile.mkdtemp()),
        given[2] if len(given) > 2 else "",
    )
