"""How far training has come: how many powers of the learning rate does progress count? Asked of curves with two peaks.

    python benchmarks/clock.py

The curves of ``lr-schedules`` (60M and 93M parameters, cosine at twice the peak of WSD, one data order) are stripped of
the noise that all runs share, which the runs at a constant rate show, and fitted by least squares with the multi-power
law, its rates counted to several powers. A second column fits the shorter schedules alone and is scored on the longest
of each size, a third tells how far these end above (+) or below what was foretold. Nothing of MultiPowerLaw's curves is
read.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from report import DATA
from scipy.optimize import least_squares

from bayeslaw.laws import Schedule
from bayeslaw.laws.schedule import ETA_FLOOR

CONSTANT = {"60M": "60M/wsd/17500/186", "93M": "93M/wsd/25000/190"}
LONGEST = ("60M/cos/17500/188", "60M/wsd/17500/1", "93M/cos/25000/193", "93M/wsd/25000/5")
FIRST, WARMUP, TOP, BINS = 1500, 300, 2e-3, 40
SIZES = tuple(CONSTANT)


def curves() -> dict[str, tuple[Schedule, np.ndarray, np.ndarray]]:
    """run → its schedule, steps and losses, without the noise that it shares with the constant run of its size."""
    table = pd.read_csv(DATA / "lr-schedules" / "runs.csv").sort_values("step")
    runs = {str(run): rows for run, rows in table.groupby("run") if str(run).split("/")[0] in SIZES}
    shared = {size: shocks(runs[name]) for size, name in CONSTANT.items()}
    out = {}
    for name, rows in runs.items():
        noise = shared[name.split("/")[0]].reindex(rows["step"]).to_numpy()
        keep = np.isfinite(noise) & (rows["step"] >= FIRST).to_numpy()
        out[name] = (schedule(rows), rows["step"].to_numpy(float)[keep], (rows["loss"].to_numpy() - noise)[keep])
    return out


def schedule(rows: pd.DataFrame) -> Schedule:
    """Warm-up, whatever the data's page says went before the first row, and the logged rates."""
    peak = float(rows["peak_lr"].iloc[0])
    steps, rates = [0.0, WARMUP], [0.0, peak]
    if bool(rows["resumed"].iloc[0]):
        steps, rates = [*steps, float(rows["step"].iloc[0]) - 50], [*rates, peak]
    later = (rows["step"] > steps[-1]).to_numpy()
    return Schedule(
        np.concatenate([steps, rows["step"].to_numpy(float)[later]]),
        np.concatenate([rates, rows["lr"].to_numpy(float)[later]]),
        WARMUP,
    )


def shocks(rows: pd.DataFrame) -> pd.Series:
    """Residuals of a constant-rate run about a power law of its own, by step."""
    step, loss = rows["step"].to_numpy(float), rows["loss"].to_numpy(float)
    x = np.log(step / step[-1])

    def law(p):
        return p[0] + np.exp(p[1] - np.exp(p[2]) * x)

    keep = step >= FIRST / 2
    start = [loss[-1] - 0.3, np.log(0.3), np.log(0.4)]
    p = least_squares(lambda p: (law(p) - loss)[keep], start, loss="soft_l1", f_scale=0.02).x
    return pd.Series(loss - law(p), index=rows["step"])


def binned(runs: dict, clock: float) -> list[dict[str, np.ndarray]]:
    out = []
    for name, (s, step, loss) in runs.items():
        place = np.arange(len(step)) * min(BINS, len(step)) // len(step)
        t, y = (np.bincount(place, v) / np.bincount(place) for v in (step, loss))
        seg = s.segments(64, clock=clock, top=TOP)
        s1 = s.sums(t, clock)
        n = np.clip(t[:, None] - seg["seg_step0"], 0.0, seg["seg_step1"] - seg["seg_step0"])
        share = n / (seg["seg_step1"] - seg["seg_step0"])
        since = np.maximum(s1[:, None] - seg["seg_S0"] - share * (seg["seg_S1"] - seg["seg_S0"]) / 2, 0.0)
        out.append(
            {
                "size": np.array(SIZES.index(name.split("/")[0])),
                "y": y,
                "S1": s1,
                "drop": seg["seg_drop"] * share,
                "since": since,
                "eta": np.maximum(np.broadcast_to(seg["seg_eta"], since.shape), ETA_FLOOR),
            }
        )
    return out


def predicted(p: np.ndarray, rows: dict[str, np.ndarray]) -> np.ndarray:
    """L0, A and B of each size, then alpha, C, beta and gamma of both; all logs but L0."""
    k, size = len(SIZES), int(rows["size"])
    alpha, c, beta, gamma = np.exp(np.clip(p[3 * k :], -8, 12))
    # beyond gamma = 2 the fit runs off to where every rate but the lowest counts as none
    arrived = -np.expm1(-beta * np.log1p(c * rows["eta"] ** -min(gamma, 2.0) * rows["since"]))
    gain = np.exp(p[2 * k + size]) * (rows["drop"] * arrived).sum(axis=1)
    return p[size] + np.exp(p[k + size]) * rows["S1"] ** -alpha - gain


def fitted(table: list[dict[str, np.ndarray]]) -> np.ndarray:
    def residuals(p):
        parts = [(predicted(p, rows) - rows["y"]) / 0.003 / np.sqrt(len(rows["y"]) / BINS) for rows in table]
        # weak pulls towards the values that published fits have, so that nothing runs away
        return np.concatenate([*parts, (p[-4:] - np.log([0.45, 2.0, 0.5, 0.5])) / [0.5, 3.0, 0.7, 0.7]])

    k = len(SIZES)
    start = np.concatenate([[2.9] * k, [0.0] * k, [np.log(150)] * k, np.log([0.4, 20.0, 0.5, 0.5])])
    return least_squares(residuals, start, loss="soft_l1", max_nfev=200).x


def rmse(p: np.ndarray, table: list[dict[str, np.ndarray]]) -> float:
    return float(np.mean([np.sqrt(np.mean((rows["y"] - predicted(p, rows)) ** 2)) for rows in table]))


def end(p: np.ndarray, rows: dict[str, np.ndarray]) -> float:
    """Loss less predicted over the last tenth of a curve, nats."""
    return float(np.mean((rows["y"] - predicted(p, rows))[-BINS // 10 :]))


def main() -> None:
    runs = curves()
    short = {k: v for k, v in runs.items() if k not in LONGEST}
    head = " | ".join(
        ["power of the rate", "all runs fitted: RMSE", "shorter runs fitted, the longest: RMSE", "its ends"]
    )
    print(f"Ends of {', '.join(LONGEST)}.\n\n| {head} |\n|---|---|---|---|")
    for clock in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        table, longest = binned(runs, clock), binned({k: runs[k] for k in LONGEST}, clock)
        alone = fitted(binned(short, clock))
        ends = ", ".join(f"{end(alone, rows):+.3f}" for rows in longest)
        print(f"| {clock:g} | {rmse(fitted(table), table):.4f} | {rmse(alone, longest):.4f} | {ends} |", flush=True)


if __name__ == "__main__":
    main()
