"""Choosing the next run by value, replayed on runs that others made: compute spent against error at the target.

    python benchmarks/planning_replay.py [ORDERS]

IsoFLOP corpora, each on its own. Target: the runs of the largest budget, the mean absolute relative error of their
forecast (the posterior mean of the curve). Pool: every run of at most a tenth of that budget; its five cheapest are
there from the start. Then runs are bought, an eighth of those there at a time, so that a fit follows each round:

value      most variance of the targets' log loss taken away per FLOP (``plan/design.py``)
D-optimal  most information about all parameters per FLOP; and regardless of cost
random     50 orders

Random orders are scored at checkpoints of the pool's compute. For each order and checkpoint, the compute from which on
choosing by value has at most that error is compared with what the random order had spent.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from quick import PLAIN, quick_fit
from report import DATA, write

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.plan.candidates import candidates
from bayeslaw.plan.design import Joint
from bayeslaw.plan.surface import Surface

CHECKPOINTS = (0.1, 0.25, 0.5)
FIRST, SHARE = 5, 0.1


class Replay:
    """One corpus: a pool of runs with known losses, and targets to forecast."""

    def __init__(self, runs: bl.Runs, group: str) -> None:
        frame = runs.frame[runs.frame["group"] == group].sort_values("flops").reset_index(drop=True)
        top = float(frame["flops"].iloc[-1])
        self.target = frame[frame["flops"] > 0.9 * top]
        self.pool = frame[frame["flops"] <= SHARE * top * 1.01].reset_index(drop=True)
        self.runs = bl.Runs.from_frame(self.pool[["run", "n_params", "tokens", "flops", "loss"]])
        self.card = load_card(PLAIN)
        self.cost = self.pool["flops"].to_numpy(float)
        self.total = float(self.cost[FIRST:].sum())
        self.known: dict[tuple[int, ...], tuple[float, Surface]] = {}

    def fit(self, bought: list[int]) -> tuple[float, Surface]:
        """Error at the targets (per cent), and the surface, with these runs of the pool known."""
        key = tuple(sorted(bought))
        if key not in self.known:
            seen = np.isin(np.arange(len(self.pool)), key)
            surface = Surface(quick_fit(self.card, self.runs, draws=600, proposals=3000, seen=seen), draws=600)
            got = surface.loss(*self._at()).mean(axis=0)
            loss = self.target["loss"].to_numpy()
            self.known[key] = (float(100 * np.mean(np.abs(got - loss) / loss)), surface)
        return self.known[key]

    def _at(self) -> tuple[np.ndarray, np.ndarray]:
        return self.target["n_params"].to_numpy(float)[None, :], self.target["tokens"].to_numpy(float)[None, :]

    def path(self, kind: str, per_cost: bool) -> pd.DataFrame:
        """Compute bought (share of the pool) and error, one row per round, to the last checkpoint."""
        bought, rows = list(range(FIRST)), []
        while True:
            error, surface = self.fit(bought)
            spent = float(self.cost[bought[FIRST:]].sum()) / self.total
            rows.append({"spent": spent, "error": error})
            left = [i for i in range(len(self.pool)) if i not in bought]
            if not left or spent > CHECKPOINTS[-1]:
                return pd.DataFrame(rows)
            runs = candidates(
                surface.fit, self.pool.loc[left, ["run", "n_params", "tokens", "flops"]], {None: surface}, 600
            )
            joint = Joint.of(np.log(surface.loss(*self._at())), runs.log_loss, runs.covariance())
            score = joint.reduction if kind == "value" else joint.information
            chosen: list[int] = []
            for _ in range(min(max(1, len(bought) // 8), len(left))):
                now = score(chosen)
                open_ = [i for i in range(len(left)) if i not in chosen]
                gain = np.array([score([*chosen, i]) - now for i in open_])
                chosen.append(open_[int((gain / runs.cost[open_] if per_cost else gain).argmax())])
            bought += [left[i] for i in chosen]


def reach(path: pd.DataFrame, error: float) -> float:
    """Compute from which on a path's error stays at or below ``error``; infinite if it never does."""
    above = np.flatnonzero(path["error"].to_numpy() > error)
    first = 0 if not len(above) else int(above[-1]) + 1
    return float(path["spent"].iloc[first]) if first < len(path) else np.inf


def main(orders: int) -> None:
    runs = bl.load(DATA / "isoflops" / "runs.csv")
    lines = [
        f"{orders} random orders. Errors in per cent after a share of the pool's compute (random: median). Ratio: what "
        "the random order spent over what choosing by value needs for the same error, median over the orders; in "
        "brackets the share of orders whose error choosing by value reaches for good.",
        "",
        "| corpus | compute spent | value | D-optimal per FLOP | D-optimal | random | ratio to random |",
        "|---|---|---|---|---|---|---|",
    ]
    for group in ("llama_3__exp_loss", "epochai_chinchilla__massivetext__chinchilla"):
        replay, name = Replay(runs, group), group.split("__")[0]
        ways = {"value": ("value", True), "D per FLOP": ("D", True), "D": ("D", False)}
        paths = {way: replay.path(*how) for way, how in ways.items()}
        at = {way: [_error(path, c) for c in CHECKPOINTS] for way, path in paths.items()}
        spent, errors = np.empty((orders, len(CHECKPOINTS))), np.empty((orders, len(CHECKPOINTS)))
        for o in range(orders):
            order = np.random.default_rng(o).permutation(np.arange(FIRST, len(replay.pool)))
            total = np.cumsum(replay.cost[order]) / replay.total
            for j, share in enumerate(CHECKPOINTS):
                count = int(np.searchsorted(total, share)) + 1
                errors[o, j] = replay.fit([*range(FIRST), *order[:count]])[0]
                spent[o, j] = total[min(count, len(total)) - 1]
        for j, share in enumerate(CHECKPOINTS):
            found = np.array([reach(paths["value"], e) for e in errors[:, j]])
            ratio = spent[:, j] / np.maximum(found, 1e-4)
            cells = [f"{at[way][j]:.2f}" for way in paths] + [f"{np.median(errors[:, j]):.2f}"]
            reached = f"{np.median(ratio):.1f} ({np.isfinite(found).mean():.0%})"
            lines.append(f"| {name} | {share:.0%} | {' | '.join(cells)} | {reached} |")
        first, last = replay.fit(list(range(FIRST)))[0], replay.fit(list(range(len(replay.pool))))[0]
        lines.append(
            f"| {name} | pool: {len(replay.pool)} runs; error with the first five {first:.2f}, with all {last:.2f} "
            "| | | | | |"
        )
        write("replay", lines)


def _error(path: pd.DataFrame, share: float) -> float:
    """Error of a path after at most this share of the pool's compute."""
    return float(path.loc[path["spent"] <= share, "error"].iloc[-1])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
