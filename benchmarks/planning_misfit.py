"""Scale, length and smoothness of the law's misfit: which forecast best what costs more than anything fitted.

    python benchmarks/planning_misfit.py

Three corpora (``CHOSEN_ON`` of ``planning_replay.py``). Of each the cheapest 20, 35, 50, 65 and 80 % of the runs are
fitted, and all runs of more than twice the dearest's compute forecast: log score of a Gaussian in log loss with the
forecast's mean and variance (law, misfit and a run's own noise), averaged over runs, splits and corpora. The row
"none" is a law that holds everywhere; the last ones are of a misfit that is less smooth.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from planning_replay import CHOSEN_ON, corpora
from quick import PLAIN, quick_fit
from report import write
from scipy.spatial.distance import cdist

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.plan.candidates import candidates
from bayeslaw.plan.misfit import Held, Misfit, Places
from bayeslaw.plan.surface import Surface

SHARES, DRAWS = (0.2, 0.35, 0.5, 0.65, 0.8), 400
GRID = [(s, m) for m in (2.3, 4.6, 9.2) for s in (0.02, 0.05, 0.08, 0.12, 0.2)]


class Rough(Misfit):
    """Matérn-3/2 in place of 5/2."""

    def covariance(self, a: Places, b: Places) -> np.ndarray:
        r = np.sqrt(3) * cdist(a.at, b.at) / self.length
        return self.scale**2 * (1 + r) * np.exp(-r) * (a.group[:, None] == b.group[None])


def scores(frame: pd.DataFrame, misfits: list[Misfit | None]) -> np.ndarray:
    """Of one corpus, (misfits, 3): log score, share inside the 90 % interval, mean absolute error in per cent."""
    runs = bl.Runs.from_frame(frame[["run", "n_params", "tokens", "flops", "loss"]])
    flops, log_y, out = frame["flops"].to_numpy(float), np.log(frame["loss"].to_numpy(float)), []
    for cut in np.quantile(flops, SHARES):
        ahead = flops > 2 * cut
        if not ahead.any():
            continue
        fit = quick_fit(load_card(PLAIN), runs, draws=DRAWS, proposals=2000, seen=flops <= cut)
        asked, row = frame.loc[ahead, ["run", "n_params", "tokens", "flops"]], []
        for misfit in misfits:
            held = None if misfit is None else Held(fit, misfit, DRAWS)
            surface = Surface(fit, draws=DRAWS, z=None if held is None else held.z)
            told = candidates(fit, asked, {None: surface}, DRAWS)
            mean, extra = held.beyond(Places.of(asked)) if held is not None else (0.0, np.zeros((len(asked),) * 2))
            draws = told.log_loss + mean
            variance = draws.var(axis=0) + np.diag(extra) + told.noise**2
            miss = log_y[ahead] - draws.mean(axis=0)
            score = -0.5 * np.log(2 * np.pi * variance) - 0.5 * miss**2 / variance
            inside = np.abs(miss) < 1.645 * np.sqrt(variance)
            row.append([score.mean(), inside.mean(), 100 * np.abs(miss).mean()])
        out.append(row)
    return np.mean(out, axis=0)


def main() -> None:
    misfits: list[Misfit | None] = [None, *(Misfit(s, m) for s, m in GRID)]
    misfits += [Rough(s, m) for s, m in GRID if m == 4.6 and 0.02 < s < 0.2]
    found = np.stack([scores(frame, misfits) for name, frame in corpora().items() if name in CHOSEN_ON], axis=1)
    best = int(found[:, :, 0].mean(axis=1).argmax())
    names = [n for n in corpora() if n in CHOSEN_ON]
    lines = [
        f"| scale | length | log score | {' | '.join(f'{n}: score, in 90 %, error %' for n in names)} |",
        "|---|---|---|" + "---|" * len(names),
    ]
    for i, (misfit, row) in enumerate(zip(misfits, found, strict=True)):
        told = " | ".join(f"{s:.2f}, {inside:.0%}, {e:.2f}" for s, inside, e in row)
        what = "none |" if misfit is None else f"{misfit.scale:g} | {misfit.length:g}"
        what += ", rough" if isinstance(misfit, Rough) else ""
        star = " *" if i == best else ""
        lines.append(f"| {what} | {row[:, 0].mean():.2f}{star} | {told} |")
    write("misfit", lines)


if __name__ == "__main__":
    main()
