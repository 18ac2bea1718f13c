"""Choosing the next run by value, replayed on runs that others made: compute spent against error at the target.

    python benchmarks/planning_replay.py [ORDERS]

Each corpus of Gadre et al. on its own. Targets: the two dearest runs, the mean absolute relative error of their forecast
(the posterior mean of the curve). Pool: every run of at most a tenth of the dearer target's compute; its five cheapest
are there from the start. Then one run is bought at a time:

value      most variance of the targets' log loss taken away per FLOP (``plan/design.py``)
D-optimal  most information about all parameters per FLOP; and regardless of cost
random     50 orders

Random orders are scored at four checkpoints of the pool's compute. For each order and checkpoint, the compute at which
the other strategies have that error for good is compared with what the random order had spent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
from quick import INTERACTION, quick_fit
from report import DATA, write

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.plan.candidates import candidates
from bayeslaw.plan.design import Joint
from bayeslaw.plan.surface import Surface

CHECKPOINTS = (0.1, 0.2, 0.4, 0.7)
FIRST, SHARE, TARGETS = 5, 0.1, 2


class Replay:
    """One corpus: a pool of runs with known losses, and targets to forecast."""

    def __init__(self, runs: bl.Runs) -> None:
        frame = runs.frame.assign(flops=6 * runs.frame["n_params"] * runs.frame["tokens"]).sort_values("flops")
        frame = frame[frame["chinchilla_mult"] >= 0.5].reset_index(drop=True)
        self.target = frame.iloc[-TARGETS:]
        self.pool = frame[frame["flops"] <= SHARE * float(frame["flops"].iloc[-1])].reset_index(drop=True)
        self.card = load_card(INTERACTION)
        self.cost = self.pool["flops"].to_numpy(float)
        self.total = float(self.cost[FIRST:].sum())
        self.known: dict[tuple[int, ...], tuple[float, bl.Fit]] = {}

    def fit(self, bought: list[int]) -> tuple[float, bl.Fit]:
        """Error at the targets (per cent), and the fit, with these runs of the pool known."""
        key = tuple(sorted(bought))
        if key not in self.known:
            runs = bl.Runs.from_frame(self.pool.loc[list(key), ["run", "n_params", "tokens", "loss"]])
            fit = quick_fit(self.card, runs, draws=600, proposals=12_000)
            got = (
                Surface(fit)
                .loss(self.target["n_params"].to_numpy()[None, :], self.target["tokens"].to_numpy()[None, :])
                .mean(axis=0)
            )
            loss = self.target["loss"].to_numpy()
            self.known[key] = (float(100 * np.mean(np.abs(got - loss) / loss)), fit)
        return self.known[key]

    def path(self, choose: Callable[[bl.Fit, list[int]], int]) -> pd.DataFrame:
        """Compute bought (share of the pool) and error, one row per run bought."""
        bought, rows = list(range(FIRST)), []
        while True:
            error, fit = self.fit(bought)
            rows.append({"spent": float(self.cost[bought[FIRST:]].sum()) / self.total, "error": error})
            left = [i for i in range(len(self.pool)) if i not in bought]
            if not left:
                return pd.DataFrame(rows)
            bought.append(left[choose(fit, left)])

    def by_gain(self, kind: str, per_cost: bool) -> Callable[[bl.Fit, list[int]], int]:
        """The next run by one kind of gain, per FLOP or regardless of cost."""

        def choose(fit: bl.Fit, left: list[int]) -> int:
            table = self.pool.loc[left, ["run", "n_params", "tokens"]]
            surface = Surface(fit, draws=600)
            runs = candidates(fit, table, {None: surface}, draws=600)
            n, d = self.target["n_params"].to_numpy()[None, :], self.target["tokens"].to_numpy()[None, :]
            joint = Joint.of(np.log(surface.loss(n, d)), runs.log_loss, runs.covariance())
            score = joint.reduction if kind == "value" else joint.information
            gain = np.array([score([i]) for i in range(len(left))])
            return int((gain / runs.cost if per_cost else gain).argmax())

        return choose


def reach(path: pd.DataFrame, error: float) -> float:
    """Compute from which on a path's error stays at or below ``error``; infinite if it never does."""
    above = np.flatnonzero(path["error"].to_numpy() > error)
    first = 0 if not len(above) else int(above[-1]) + 1
    return float(path["spent"].iloc[first]) if first < len(path) else np.inf


def main(orders: int) -> None:
    runs = bl.load(DATA / "gadre-overtraining" / "runs.csv")
    lines = [
        f"{orders} random orders. Errors in per cent after a share of the pool's compute (random: median); ratio: compute "
        "of the random order over that of choosing by value for the same error, median over the orders (share of orders "
        "whose error is reached at all).",
        "",
        "| corpus | compute spent | value | D-optimal per FLOP | D-optimal | random | ratio to random |",
        "|---|---|---|---|---|---|---|",
    ]
    for group in sorted(runs.frame["group"].unique()):
        replay = Replay(runs.where((runs.frame["group"] == group).to_numpy()))
        ways = {"value": ("value", True), "D per FLOP": ("D", True), "D": ("D", False)}
        paths = {name: replay.path(replay.by_gain(*how)) for name, how in ways.items()}
        at = {name: [_error(path, c) for c in CHECKPOINTS] for name, path in paths.items()}
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
            cells = [f"{at[name][j]:.2f}" for name in paths] + [f"{np.median(errors[:, j]):.2f}"]
            lines.append(
                f"| {group} | {share:.0%} | {' | '.join(cells)} | {np.median(ratio):.1f} ({np.isfinite(found).mean():.0%}) |"
            )
        lines.append(
            f"| {group} | pool: {len(replay.pool)} runs, error with the first five {replay.fit(list(range(FIRST)))[0]:.2f}, "
            f"with all {replay.fit(list(range(len(replay.pool))))[0]:.2f} | | | | | |"
        )
        print("\n".join(lines[-5:]), flush=True)
    write("replay", lines)


def _error(path: pd.DataFrame, share: float) -> float:
    """Error of a path after at most this share of the pool's compute."""
    return float(path.loc[path["spent"] <= share, "error"].iloc[-1])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
