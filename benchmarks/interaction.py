"""How size and tokens interact in public sets of final losses: what kappa's prior in chinchilla-interaction rests on.

    python benchmarks/interaction.py

Epoch AI's reading of Chinchilla, and of each isoFLOP group its three smallest budgets, which no rolling forecast of
``backtests.py budgets`` is scored on. The corpora of Gadre et al. stand below them for comparison only: forecasts of
them are a benchmark, and the prior rests on none of their losses.
Data are read from the folder that BAYESLAW_DATA names.
"""

from __future__ import annotations

import numpy as np
from report import DATA

import bayeslaw as bl

#: a prior wide enough to say nothing
OPEN = {
    "name": "open-interaction",
    "extends": "chinchilla-interaction",
    "parameters": {"kappa": {"prior": "normal(0, 0.5)", "reason": "open"}},
}


def studies() -> dict[str, bl.Runs]:
    epoch = bl.load(DATA / "epoch-chinchilla" / "runs.csv")
    out = {"Chinchilla (Epoch AI)": epoch.where(epoch.frame["loss"].rank(ascending=False).to_numpy() > 5)}
    runs = bl.load(DATA / "isoflops" / "runs.csv")
    for group, rows in runs.frame.groupby("group", sort=False):
        three = np.sort(rows["flops"].unique())[:3]
        mine = (runs.frame["group"] == group) & runs.frame["flops"].isin(three)
        out[str(group).replace("__", ", ") + ", three budgets"] = runs.where(mine.to_numpy())
    corpora = bl.load(DATA / "gadre-overtraining" / "runs.csv").where("chinchilla_mult >= 0.5")
    for group in corpora.frame["group"].unique():
        out[f"{group}, all runs (no part of the prior)"] = corpora.where(f"group == '{group}'")
    return out


def main() -> None:
    print("| study | points | kappa | sd | checks |\n|---|---|---|---|---|")
    for name, runs in studies().items():
        fit = bl.fit(runs, OPEN)
        kappa = fit.summary().loc["kappa"]
        ok = "passed" if fit.check().ok else "failed"
        print(f"| {name} | {len(runs.names)} | {kappa['mean']:+.3f} | {kappa['sd']:.3f} | {ok} |", flush=True)


if __name__ == "__main__":
    main()
