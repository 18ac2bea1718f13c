"""One run by itself: how the power law foretells the rest of a curve of which nothing else is known.

    python benchmarks/single_run.py

Reads the public sets llm360-k2-65b and lr-schedules from the folder in BAYESLAW_DATA. Each run is fitted alone on its
first 30, 50 and 70 %, with and without its learning rate falling in what is held back, and the rest is scored.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import bayeslaw as bl

DATA = Path(os.environ.get("BAYESLAW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
ORIGINS = (0.3, 0.5, 0.7)


def whole_runs() -> dict[str, bl.Runs]:
    """The public runs whose curve begins at the beginning, each alone."""
    k2 = bl.load(DATA / "llm360-k2-65b" / "runs.csv").select("k2-65b")
    table = pd.read_csv(DATA / "lr-schedules" / "runs.csv")
    table = table[~table["resumed"]]
    return {"k2-65b": k2} | {str(name): bl.Runs.from_frame(rows) for name, rows in table.groupby("run")}


def scored(cards: tuple[str, ...]) -> pd.DataFrame:
    """One row per card, run and origin: error of the end in per cent, coverage of the rest, width in per cent."""
    out = []
    for name, runs in whole_runs().items():
        result = bl.backtest(runs, cards, by="origin", origins=ORIGINS, baselines=("last value", "power law"))
        frame = result.frame[result.frame["level"] == "curve"]
        ends = result.points[(result.points["level"] == "curve") & result.points["final"]]
        for row in frame.to_dict(orient="records"):
            end = ends[(ends["model"] == row["model"]) & (ends["split"] == row["split"])].iloc[0]
            out.append(
                {"run": name, "card": row["model"], "known": row["origin"], "end error": 100 * row["final_error"],
                 "covered": row["cover90"], "end inside": bool(end["lo90"] <= end["loss"] <= end["hi90"]),
                 "width": 100 * row["relative_width"]}
            )  # fmt: skip
        print(name, file=sys.stderr, flush=True)
    return pd.DataFrame(out)


def main() -> None:
    """Print the table over runs, and its means over the runs whose rate falls in what is held back and the others."""
    table = scored(tuple(sys.argv[1:]) or ("power-law",))
    table["falls"] = [kind_of(run) for run in table["run"]]
    print("| rate held back | card | known | runs | mean error of the end | ends inside | rest covered | width |")
    print("|---|---|---|---|---|---|---|---|")
    for (kind, card, known), part in table.groupby(["falls", "card", "known"], sort=False):
        print(
            f"| {kind} | {card} | {known:.0%} | {len(part)} | {np.abs(part['end error']).mean():.2f} % | "
            f"{part['end inside'].sum()} of {len(part)} | {part['covered'].mean():.0%} | {part['width'].mean():.1f} % |"
        )


def kind_of(run: str) -> str:
    """How the run's rate goes: K2's is a cosine; the others' names say theirs."""
    return "falls (cosine)" if run == "k2-65b" or "cos" in run else "constant"


if __name__ == "__main__":
    main()
