"""A peer beside our baselines: the point fits of the package ``chinchilla`` (kyo-takano, PyPI, tried at 0.2.0).

    pip install chinchilla
    python benchmarks/peers.py

It fits E + A / N^alpha + B / D^beta by BFGS from a grid of starts and gives no intervals, so only its points are
scored: on the isoFLOP groups, the k smallest budgets fitted (k from 3) and the next one forecast. It is given the
Huber error of the log loss, as in Hoffmann et al.; its own default, an asymmetric absolute error, is scored too.
Data are read from the folder that BAYESLAW_DATA names (default ../shared/data).
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from report import DATA

from bayeslaw.baselines import Ask, get_baseline
from bayeslaw.laws.huber import DELTA

GRID = {"e": [-0.5, 0.5, 1.0], "a": [3.0, 7.0, 15.0], "b": [3.0, 7.0, 15.0], "alpha": [0.2, 0.5], "beta": [0.2, 0.5]}


def huber(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Huber error of the log loss, in units of its threshold."""
    r = np.abs(np.log(np.maximum(y_pred, 1e-6)) - np.log(y_true))
    return np.where(r <= DELTA, 0.5 * r**2, DELTA * (r - 0.5 * DELTA)) / DELTA**2


def peer(learn: pd.DataFrame, at: pd.DataFrame, loss_fn: Callable | None) -> np.ndarray:
    """Losses at ``at`` by the peer's fit of ``learn``."""
    from chinchilla import Chinchilla  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = pd.DataFrame({"N": learn["n_params"], "D": learn["tokens"], "loss": learn["loss"]})
        table.assign(C=6 * table["N"] * table["D"])[["C", "N", "D", "loss"]].to_csv(f"{folder}/df.csv", index=False)
        more = {} if loss_fn is None else {"loss_fn": loss_fn}
        model = Chinchilla(folder, param_grid=GRID, log_level=50, **more)
        model.fit(parallel=False)
        return np.asarray(model.predict_loss(at["n_params"].to_numpy(), at["tokens"].to_numpy()), float)


def main() -> None:
    frame = pd.read_csv(DATA / "isoflops" / "runs.csv")
    rows = []
    for group, mine in frame.groupby("group", sort=False):
        budgets = np.sort(mine["flops"].unique())
        for k in range(3, len(budgets)):
            learn, at = mine[mine["flops"] < budgets[k]], mine[mine["flops"] == budgets[k]]
            learn, at = learn.reset_index(drop=True), at.reset_index(drop=True)
            ask = Ask(learn, learn.iloc[:0], at.drop(columns="loss"), 100, np.random.default_rng(0))
            found = {
                "chinchilla 0.2, Huber": peer(learn, at, huber),
                "chinchilla 0.2, its default": peer(learn, at, None),
                "approach 3, here": get_baseline("Chinchilla approach 3")(ask).centre,
            }
            for name, guess in found.items():
                error = guess - at["loss"].to_numpy()
                cell = {"rmse": np.sqrt(np.mean(error**2)), "relative": 100 * np.mean(np.abs(error) / at["loss"])}
                rows.append({"fit": name, "group": str(group).split("__")[0], **cell})
    table = pd.DataFrame(rows)
    means = table.groupby(["fit", "group"], sort=False)[["rmse", "relative"]].mean().unstack("group")
    print(f"{len(table) // table['fit'].nunique()} cells; means over a group's cells.\n")
    groups = list(dict.fromkeys(table["group"]))
    print("| fit | " + " | ".join(f"{g}: RMSE, mean abs. error %" for g in groups) + " |\n|---|" + "---|" * len(groups))
    for name in dict.fromkeys(table["fit"]):
        cells = [f"{means.loc[name, ('rmse', g)]:.4f}, {means.loc[name, ('relative', g)]:.2f}" for g in groups]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
