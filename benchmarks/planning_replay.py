"""Choosing the next runs within a budget, replayed on runs that others made: compute spent against error at the target.

    python benchmarks/planning_replay.py [STORE [CORPUS | tell]]

IsoFLOP corpora and over-trained ones (Gadre et al. 2024), each on its own. Target: the dearest run and those that cost
two thirds of it or more; the mean absolute relative error of their forecast. Of the other runs the five cheapest are
there from the start, and 24 times a random two thirds of the rest are what can be bought: a sub-pool. For a budget, a
share of the sub-pool's compute:

value      the set within the budget that leaves the targets' log loss the least variance, the law's misfit in it
           (``Joint.within``, as ``next_runs(by="variance")``); its cheapest runs are bought, a quarter of as many as
           there are at a time, two at least, the fit is made anew, and a set within the rest is chosen
D-optimal  the same with the set of most information about the runs' losses
random     three orders a sub-pool; of each the purchases before the budget is exceeded, or, thrifty, all that what is
           left of it pays for in that order

All are forecast alike: the posterior mean of law and misfit (``plan/misfit.py``), refitted by importance sampling
(``swift.py``). Fits are remembered by their runs. Finished sub-pools are kept in the folder STORE. The misfit's scale
and length, and this way of buying, were chosen on three of the corpora (``planning_misfit.py``); the other three are
what counts.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from quick import PLAIN
from replay_report import tell
from report import DATA
from swift import Pool, SwiftSurface

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.plan.candidates import candidates
from bayeslaw.plan.misfit import Held, Misfit, Places
from bayeslaw.plan.strayed import moments
from bayeslaw.plan.surface import Surface

#: shares of a sub-pool's compute; sub-pools of a corpus, the share of the pool in each, and random orders of each
SHARES, POOLS, PART, ORDERS = (0.0625, 0.125, 0.25, 0.5), 24, 2 / 3, 3
FIRST, NEAR, DRAWS = 5, 2 / 3, 400
#: importance samples proposed for a fit times the pool's runs, and the most of them
WORK, MOST = 100_000, 3000
#: corpora on which the misfit's scale and length were chosen, and those that were not looked at for it
CHOSEN_ON = ("marin", "epochai", "gadre_rpj")
SCORED = ("llama", "gadre_c4", "gadre_rw")
#: name, and what it maximises
WAYS = {"value": "reduction", "D": "information"}
RANDOM = ("random", "random, thrifty")


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

    def __init__(self, frame: pd.DataFrame) -> None:
        top = float(frame["flops"].iloc[-1])
        self.target = frame[frame["flops"] >= NEAR * top]
        self.pool = frame[frame["flops"] < NEAR * top].reset_index(drop=True)
        self.table = self.pool[["run", "n_params", "tokens", "flops"]]
        self.fits = Pool(load_card(PLAIN), bl.Runs.from_frame(self.pool[[*self.table, "loss"]]))
        self.at = self.target[["n_params", "tokens"]]
        self.cost = self.pool["flops"].to_numpy(float)
        self.errors: dict[tuple[int, ...], float] = {}
        self.start = self.held(range(FIRST))

    def held(self, bought: Any) -> tuple[Surface, Held]:
        """The surface with these runs of the pool known, and the misfit about it."""
        seen = np.isin(np.arange(len(self.pool)), list(bought))
        fit = self.fits.fit(seen, DRAWS, min(MOST, WORK // len(self.pool)))
        held = Held(fit, Misfit(), DRAWS)
        surface = SwiftSurface(fit, draws=DRAWS, z=held.z)
        got = self.curve(surface) + held.beyond(Places.of(self.at))[0]
        loss = self.target["loss"].to_numpy()
        error = float(100 * np.mean(np.abs(np.exp(got).mean(axis=0) - loss) / loss))
        self.errors[tuple(sorted(map(int, bought)))] = error
        return surface, held

    def error(self, bought: Any) -> float:
        """Error at the targets, per cent, with these runs of the pool known."""
        key = tuple(sorted(map(int, bought)))
        if key not in self.errors:
            self.held(key)
        return self.errors[key]

    def curve(self, surface: Surface) -> np.ndarray:
        """Log loss (S, t) of the law at the targets."""
        n, d = (self.target[c].to_numpy(float)[None, :] for c in ("n_params", "tokens"))
        return np.log(surface.loss(n, d))

    def sub_pool(self, seed: int) -> np.ndarray:
        """Positions of the runs that can be bought."""
        rest = np.arange(FIRST, len(self.pool))
        return np.sort(np.random.default_rng(seed).choice(rest, round(PART * len(rest)), replace=False))

    def buy(self, by: str, share: float, sub_pool: np.ndarray) -> float:
        """Error after a budget, a share of the sub-pool's compute, is spent on the sets that are best within it."""
        bought, budget = list(range(FIRST)), share * float(self.cost[sub_pool].sum()) * (1 + 1e-9)
        now = self.start
        while True:
            left = [i for i in sub_pool if i not in bought and self.cost[i] <= budget]
            if not left:
                return self.error(bought)
            surface, held = now or self.held(bought)
            runs = candidates(surface.fit, self.table.loc[left], {None: surface}, DRAWS)
            joint = moments(held, self.at, None, self.curve(surface), runs)
            chosen = sorted(joint.within(runs.cost, budget, by), key=lambda i: runs.cost[i])
            chosen = chosen[: max(2, len(bought) // 4)]
            if not chosen:
                return self.error(bought)
            bought += [int(left[i]) for i in chosen]
            budget -= float(runs.cost[chosen].sum())
            now = None

    def order(self, sub_pool: np.ndarray, seed: int, thrifty: bool) -> list[float]:
        """Error at every share, runs bought in a random order; ``thrifty`` passes over what is too dear."""
        order = np.random.default_rng(seed).permutation(sub_pool)
        out = []
        for share in SHARES:
            left, bought = share * float(self.cost[sub_pool].sum()) * (1 + 1e-9), list(range(FIRST))
            for i in order:
                if self.cost[i] <= left:
                    bought.append(int(i))
                    left -= self.cost[i]
                elif not thrifty:
                    break
            out.append(self.error(bought))
        return out

    def measure(self, seed: int, way: str) -> Any:
        """Errors of one way on one sub-pool, at every share; of random ones (orders, shares)."""
        mine = self.sub_pool(seed)
        if way in WAYS:
            return [self.buy(WAYS[way], share, mine) for share in SHARES]
        if way in RANDOM:
            return [self.order(mine, 1000 * seed + i, way != "random") for i in range(ORDERS)]
        return self.error([*range(FIRST), *mine])


def main(store: Path, corpus: str) -> None:
    store.mkdir(parents=True, exist_ok=True)
    for name, frame in corpora().items():
        replay = None
        for seed in range(POOLS):
            path = store / f"{name}-{seed}.json"
            known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            missing = [way for way in (*WAYS, *RANDOM, "all") if way not in known]
            if missing and corpus in ("", name):
                replay = replay or Replay(frame)
                known |= {way: replay.measure(seed, way) for way in missing}
                path.write_text(json.dumps(known), encoding="utf-8")
    if corpus in ("", "tell"):
        found = {}
        for name in (*SCORED, *CHOSEN_ON):
            paths = [store / f"{name}-{seed}.json" for seed in range(POOLS)]
            found[name] = [json.loads(p.read_text(encoding="utf-8")) for p in paths if p.exists()]
        tell({n: f for n, f in found.items() if f}, SHARES, SCORED, CHOSEN_ON)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0]) if given else Path(tempfile.mkdtemp()), given[1] if len(given) > 1 else "")
