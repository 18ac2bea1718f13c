"""Treatments of misfit, compared where their choice may be made: inside the fit part of MultiPowerLaw's curves.

    python benchmarks/misfits.py [TREATMENT ...]

Each of the three fitted schedules is left out in turn, of all sizes. Its runs are then forecast as a user would: the
end of each curve from its own first 20, 35 and 50 %, and whole curves from nothing. Coverage, width and scores of the
90 % bands are means over the nine curves (and three origins). Fits are normal posteriors at their mode in place of
NUTS. Nothing of ``split == 'test'`` is read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from inner_splits import FREE, shapes
from report import DATA

import bayeslaw as bl
from bayeslaw import scores
from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card

SCHEDULES = ("constant_24000", "cosine_24000", "wsdcon_9")
SHARES = (0.2, 0.35, 0.5)


def misfit(scale: str, length: str, step: float = 0.3) -> dict[str, Any]:
    return {"discrepancy": {"step": step, "scale": {"prior": scale}, "length": {"prior": length}}}


def effects(**sds: float) -> dict[str, Any]:
    return {"run": {name: {"prior": f"lognormal({sd}, 0.6)", "reason": "tried"} for name, sd in sds.items()}}


SHAPES = {"parameters": shapes(0.5, 0.15)}
#: name → the cards whose draws are mixed in equal parts, each as what it changes of a shipped one
TREATMENTS: dict[str, list[dict[str, Any]]] = {
    "stationary (shipped)": [{}],
    "white": [{"discrepancy": False}],
    "stationary, twice the scale": [misfit("lognormal(0.003, 0.2)", "lognormal(0.5, 0.5)")],
    "long": [misfit("lognormal(0.002, 0.5)", "lognormal(2, 0.3)")],
    "integrated: a random walk over 20 e-folds": [misfit("lognormal(0.006, 0.5)", "lognormal(20, 0.1)")],
    "B within 0.09": [effects(B=0.09)],
    "B within 0.12": [effects(B=0.12)],
    "runs vary in A as well": [effects(A=0.03)],
    "runs vary in A, B within 0.12": [effects(A=0.03, B=0.12)],
    "runs vary in A, B within 0.12, twice the scale": [
        effects(A=0.03, B=0.12) | misfit("lognormal(0.003, 0.2)", "lognormal(0.5, 0.5)")
    ],
    "clock known to 0.1": [FREE],
    "beta, gamma around 0.5": [SHAPES],
    "both (once shipped)": [FREE | SHAPES],
    "stacked with Tissue's law": [{}, {"extends": "annealed", "law": "annealed"}],
}


def forecasts(card: Any, runs: bl.Runs) -> pd.DataFrame:
    """One row per scored row: run, origin, loss, and predictive draws of the observed loss."""
    out = []
    for schedule in SCHEDULES:
        mine = runs.frame["run"].str.endswith(schedule).to_numpy()
        fit = at_mode(card, runs.where(~mine), None, 800, {"seed": 0})
        held = runs.where(mine)
        frame = held.frame
        band = bl.forecast(fit, held, draws=800, backtest=False)
        out.append(frame[["run", "loss"]].assign(share=0.0, draws=list(band.observed.T)))
        for name in frame["run"].unique():
            # one prefix at a time: three together leave a handful of draws with all the weight
            run = held.where((frame["run"] == name).to_numpy())
            for share in SHARES:
                known = run.where((run.frame["step"] <= share * run.frame["step"].max()).to_numpy())
                # every row is asked for, since a run's learning rate is read from the rows it has
                band = bl.forecast(fit, run, known, draws=800, backtest=False)
                rows = run.frame[["run", "loss"]].assign(share=share, draws=list(band.observed.T))
                out.append(rows.tail(1))
    return pd.concat(out, ignore_index=True)


def told(name: str, frame: pd.DataFrame) -> str:
    draws = np.stack(frame["draws"].to_list(), axis=1)
    loss = frame["loss"].to_numpy()
    low, high = scores.interval(draws, 0.9)
    frame = frame.assign(
        inside=(low <= loss) & (loss <= high),
        width=100 * (high - low) / loss,
        crps=1e3 * scores.crps(draws, loss),
        interval=1e3 * scores.interval_score(low, high, loss, 0.9),
        error=100 * np.abs(draws.mean(axis=0) / loss - 1),
    )
    cells = []
    for ends in (True, False):
        part = frame[(frame["share"] > 0) == ends]
        mean = part.groupby(["run", "share"])[["inside", "width", "crps", "interval", "error"]].mean().mean()
        cells += [f"{mean['inside']:.2f}", *(f"{mean[k]:.2f}" for k in ("width", "error", "crps", "interval"))]
    return f"| {name} | " + " | ".join(cells) + " |"


def main(names: list[str]) -> None:
    runs = bl.load(DATA / "multipowerlaw" / "runs.csv").where("split == 'fit'")
    head = " | ".join(f"{of}: {what}" for of in ("ends", "curves")
                      for what in ("90 % covers", "width, %", "error, %", "CRPS", "interval score"))  # fmt: skip
    print(f"| treatment | {head} |\n|---|" + "---|" * 10)
    for name in names:
        parts = []
        for change in TREATMENTS[name]:
            base: Mapping[str, Any] = {"extends": "multi-power", "name": "tried", "law": "multi-power"}
            parts.append(forecasts(load_card({**base, **change}), runs))
        mixed = parts[0].assign(draws=[np.concatenate(d) for d in zip(*(p["draws"] for p in parts), strict=True)])
        print(told(name, mixed), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(TREATMENTS))
