"""Fits of public losses beside the published fits of the same data: P1 Chinchilla, P2 unseen schedules, P5 looped.

    python benchmarks/published.py [chinchilla] [schedules] [looped]

reads the tables from the folder that BAYESLAW_DATA names (default ../shared/data) and prints one Markdown table each.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from report import DATA

import bayeslaw as bl


def chinchilla() -> None:
    """Epoch AI's reading of Chinchilla's runs, without the five highest losses, against Epoch's bootstrap."""
    runs = bl.load(DATA / "epoch-chinchilla" / "runs.csv")
    runs = runs.where(~runs.frame.index.isin(runs.frame["loss"].nlargest(5).index))
    fit = _fit(runs, "chinchilla")
    published = {
        "E": (1.8169, 0.0257, 1.769, 1.871),
        "A": (482.0, 124.5, 285, 744),
        "B": (2085, 1293, 1042, 5810),
        "alpha": (0.3478, 0.0154, 0.317, 0.373),
        "beta": (0.3659, 0.0206, 0.331, 0.415),
    }
    print("| symbol | ours, mean (sd) | Epoch AI (sd), 95 % | inside | sd ratio |\n|---|---|---|---|---|")
    p = fit.posterior
    for name, (mean, sd, lo, hi) in published.items():
        ours, spread = float(p[name].mean()), float(p[name].std())
        inside = "yes" if lo <= ours <= hi else "no"
        print(
            f"| {name} | {ours:.4g} ({spread:.3g}) | {mean:g} ({sd:g}), {lo:g}-{hi:g} | {inside} | {spread / sd:.2f} |"
        )
    a, b, alpha, beta = (p[k].to_numpy().ravel() for k in ("A", "B", "alpha", "beta"))
    flops = 5.76e23
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    lo, mid, hi = np.quantile(flops / 6 / n**2, [0.05, 0.5, 0.95])
    share = (beta / (alpha + beta)).mean()
    print(f"\na = beta / (alpha + beta): {share:.3f}. Tokens per parameter at {flops:g} FLOP: median {mid:.1f}, "
          f"90 % {lo:.1f}-{hi:.1f} (ratio {hi / lo:.2f}); Epoch AI 18.3.\n")  # fmt: skip


def schedules() -> None:
    """MultiPowerLaw's curves: one fit of all sizes on split=fit, scored on split=test (curve mean, nats)."""
    runs = bl.load(DATA / "multipowerlaw" / "runs.csv")
    fit = _fit(runs.where("split == 'fit'"), "multi-power")
    power = fit.posterior["clock"]
    print(f"Power of the rate that counts as progress: {float(power.mean()):.3f} (sd {float(power.std()):.3f}).\n")
    test = runs.where("split == 'test'")
    band = bl.forecast(fit, at=test, levels=(0.9,))
    f = band.frame.assign(loss=test.frame["loss"].to_numpy())
    f["size"] = f["run"].str.split("/").str[0]
    f["square"] = (f["curve_mean"] - f["loss"]) ** 2
    f["inside"] = (f["loss"] >= f["lo90"]) & (f["loss"] <= f["hi90"])
    f["width"] = 100 * (f["hi90"] - f["lo90"]) / f["loss"]
    by_run = f.groupby(["size", "run"])[["square", "inside", "width"]].mean()
    by_run["rmse"] = np.sqrt(by_run["square"])
    published = {"25M": 0.00465, "100M": 0.00592, "400M": 0.00730}
    print("| size | RMSE | published point fit | 90 % coverage | band width, % of loss |\n|---|---|---|---|---|")
    for size, other in published.items():
        row = by_run.loc[size].mean()
        print(f"| {size} | {row['rmse']:.5f} | {other:.5f} | {row['inside']:.2f} | {row['width']:.2f} |")
    f["schedule"], f["step"] = f["run"].str.split("/").str[1], test.frame["step"].to_numpy()
    last = f.sort_values("step").groupby(["schedule", "size"], sort=False).tail(1).set_index(["schedule", "size"])
    print(
        "\nLoss less predicted mean at each curve's end, nats:\n\n| schedule |",
        " | ".join(published),
        "|\n|---|---|---|---|",
    )
    for schedule in sorted(f["schedule"].unique()):
        ends = [last.loc[(schedule, size), "loss"] - last.loc[(schedule, size), "curve_mean"] for size in published]
        print(f"| {schedule} | " + " | ".join(f"{e:+.4f}" for e in ends) + " |")
    print()


def looped() -> None:
    """Looped models of arXiv 2604.21106: group vanilla, clear rows, against the published fit."""
    runs = bl.load(DATA / "looped-iso-depth" / "runs.csv").where("group == 'vanilla' and quality == 'clear'")
    fit = _fit(runs, "iso-depth")
    p = {k: fit.posterior[k].to_numpy().ravel() for k in ("E", "A", "B", "alpha", "beta", "phi")}
    frame = runs.frame
    depth = frame["recurrence"].to_numpy() ** p["phi"][:, None]
    size = frame["n_params_once"].to_numpy() + depth * frame["n_params_recurrent"].to_numpy()
    curve = p["E"][:, None] + p["A"][:, None] * size ** -p["alpha"][:, None]
    curve = (curve + p["B"][:, None] * frame["tokens"].to_numpy() ** -p["beta"][:, None]).mean(axis=0)
    loss = frame["loss"].to_numpy()
    r2 = 1 - np.sum((loss - curve) ** 2) / np.sum((loss - loss.mean()) ** 2)
    print("| symbol | ours, mean (sd) | 95 % | published |\n|---|---|---|---|")
    for name, other in {"E": "1.57", "alpha": ".199", "beta": ".369", "phi": ".459 (.41-.53)"}.items():
        lo, hi = np.quantile(p[name], [0.025, 0.975])
        print(f"| {name} | {p[name].mean():.4g} ({p[name].std():.2g}) | {lo:.3f}-{hi:.3f} | {other} |")
    print(f"\nR2 of the population curve alone: {r2:.4f} (published .9972, on all rows).\n")


def _fit(runs: bl.Runs, model: str) -> bl.Fit:
    start = time.perf_counter()
    fit = bl.fit(runs, model=model, seed=0)
    check = fit.check()
    worst = ", ".join(f"{row.test} {row.value:.4g}" for row in check.frame.itertuples())
    print(f"### {model}, {len(fit.runs)} runs: {time.perf_counter() - start:.0f} s, {worst}\n", flush=True)
    return fit


if __name__ == "__main__":
    for name in sys.argv[1:] or ("chinchilla", "schedules", "looped"):
        {"chinchilla": chinchilla, "schedules": schedules, "looped": looped}[name]()
