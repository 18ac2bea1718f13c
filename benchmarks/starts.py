"""What a warm-up leaves behind: runs at a constant rate about a power of their summed rate, first rows and later ones.

    python benchmarks/starts.py

``L0 + A S1^-alpha`` by least squares to all rows of a constant-rate run, and to those from a few thousand steps on (a
row weighs as much as the stretch of log steps it stands for); then how far the rows just after the warm-up lie above
the second, for every run of that size that is still at that rate there. MultiPowerLaw's fitted curves, and the
train curves of ``lr-schedules``. Nothing of ``split == 'test'`` is read.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from clock import CONSTANT, schedule
from report import DATA
from scipy.optimize import least_squares

from bayeslaw.laws import Schedule

MULTI_POWER = {size: f"{size}/constant_24000" for size in ("25M", "100M", "400M")}


def power_law(s1: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """L0, log A (at the last row) and log alpha."""
    x, weight = np.log(s1 / s1[-1]), np.sqrt(np.gradient(np.log(s1)))

    def residuals(p):
        return weight * (curve(p, x) - loss)

    return least_squares(residuals, [loss[-1] - 0.3, np.log(0.3), np.log(0.4)], loss="soft_l1", f_scale=0.01).x


def curve(p: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Losses at logs ``x`` of the summed rate over its last value."""
    return p[0] + np.exp(p[1] - np.exp(p[2]) * x)


def lines(
    table: pd.DataFrame,
    constant: dict[str, str],
    later: int,
    window: tuple[int, int],
    read: Callable[[pd.DataFrame], Schedule],
) -> None:
    """One line per size: the exponents, and the first rows of its runs."""
    runs = {str(name): rows.sort_values("step") for name, rows in table.groupby("run")}
    for size, name in constant.items():
        step, loss = (runs[name][c].to_numpy(float) for c in ("step", "loss"))
        first = step >= window[0]
        s1 = read(runs[name]).sums(step)
        whole, rest = power_law(s1[first], loss[first]), power_law(s1[step >= later], loss[step >= later])
        above = []
        for other, rows in runs.items():
            inside = rows[rows["step"].between(*window)]
            at_peak = (inside["lr"] > 0.99 * runs[name]["lr"].max()) & (inside["lr"] < 1.01 * runs[name]["lr"].max())
            if other.startswith(f"{size}/") and len(inside) and at_peak.all():
                at = read(rows).sums(inside["step"].to_numpy(float))
                above.append(float((inside["loss"] - curve(rest, np.log(at / s1[-1]))).mean()))
        told = ", ".join(f"{a:+.3f}" for a in sorted(above))
        print(f"| {size} | {np.exp(whole[2]):.2f} | {np.exp(rest[2]):.2f} | {told} |")


def main() -> None:
    fitted = pd.read_csv(DATA / "multipowerlaw" / "runs.csv").query("split == 'fit'")
    train = pd.read_csv(DATA / "lr-schedules" / "runs.csv")
    train["lr"] = train["lr"].where(train["step"] > 300, train["peak_lr"])
    head = "| size | alpha, all rows | alpha, from step {} | steps {}-{}: loss less that power's, nats, run by run |"
    print(head.format("4,000", "2,160", "2,320") + "\n|---|---|---|---|")
    lines(fitted, MULTI_POWER, 4000, (2160, 2320), lambda rows: Schedule.from_rows(rows["step"], rows["lr"]))
    print("\n" + head.format("1,500", "400", "600") + "\n|---|---|---|---|")
    lines(train, CONSTANT, 1500, (400, 600), schedule)


if __name__ == "__main__":
    main()
