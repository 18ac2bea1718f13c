"""What replays of next runs say: errors, who is ahead of whom on the same sub-pools, and with how much less compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from report import write

#: name, way and what it is measured against, and whether that spends twice the compute
DUELS = (
    ("value against D-optimal", "value", "D", False),
    ("value against random", "value", "random", False),
    ("value against random at twice the compute", "value", "random", True),
    ("value against thrifty random", "value", "random, thrifty", False),
    ("value against thrifty random at twice the compute", "value", "random, thrifty", True),
    ("D-optimal against random", "D", "random", False),
)
#: positions of the shares whose errors are looked for among those of random orders: neither the first nor the last
RATIOS = (1, 2)
PAIRS = (("value", "random"), ("value", "random, thrifty"), ("D", "random"))


def errors(found: Sequence[Mapping[str, Any]], way: str, later: bool = False) -> np.ndarray:
    """(sub-pools, orders, shares): of one way; ``later``: at the next share, that is, at twice the compute."""
    one = np.array([f[way] for f in found], float)
    one = one[:, None] if one.ndim == 2 else one
    if not later:
        return one
    end = np.broadcast_to(np.array([f["all"] for f in found], float)[:, None, None], (*one.shape[:2], 1))
    return np.concatenate([one[..., 1:], end], axis=2)


def said(values: np.ndarray, digits: int = 2) -> str:
    """Mean over the first axis with its standard error."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.{digits}f} ({error:.{digits}f})"


def duel(found: Sequence[Mapping[str, Any]], way: str, other: str, later: bool) -> tuple[np.ndarray, float, float]:
    """Per sub-pool, how much less the way errs (per cent of loss, mean over the shares); how often it errs less, ties
    counted half; its mean error over the other's."""
    mine, theirs = errors(found, way), errors(found, other, later)
    gap = (theirs - mine).mean(axis=(1, 2))
    won = (theirs > mine).mean() + (theirs == mine).mean() / 2
    return gap, float(won), float(mine.mean() / theirs.mean())


def times_compute(
    found: Sequence[Mapping[str, Any]], way: str, against: str, shares: Sequence[float], at: int
) -> float:
    """Compute that random orders need for a way's mean error at a share, over that share.

    Mean errors of random orders, never rising, interpolated in logs of both; from the least share looked at to all.
    """
    grid = np.log([*shares, 1.0])
    curve = np.array([*errors(found, against).mean(axis=(0, 1)), np.mean([f["all"] for f in found])])
    curve = np.log(np.minimum.accumulate(curve))
    wanted = np.log(errors(found, way).mean(axis=(0, 1))[at])
    return float(np.exp(np.interp(-wanted, -curve, grid) - grid[at]))


def in_words(found: Sequence[Mapping[str, Any]], way: str, against: str, shares: Sequence[float], at: int) -> str:
    """``times_compute`` with its 90 % interval, sub-pools drawn anew 1,000 times."""
    rng = np.random.default_rng(0)
    again = [[found[i] for i in rng.integers(0, len(found), len(found))] for _ in range(1000)]
    low, high = np.quantile([times_compute(one, way, against, shares, at) for one in again], [0.05, 0.95])
    return f"{times_compute(found, way, against, shares, at):.1f} ({low:.1f}-{high:.1f})"


def tell(
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    shares: Sequence[float],
    scored: Sequence[str],
    chosen_on: Sequence[str],
) -> None:
    """The section of the page."""
    first = next(iter(results.values()))
    head = " | ".join(f"error at {s:.0%}" for s in shares)
    lines = [
        f"{len(first)} sub-pools a corpus, {len(first[0]['random'])} random orders of each. Error at the target, per "
        "cent, after a share of the sub-pool's compute: mean over sub-pools, with its standard error; median.",
        "",
        f"| corpus | way | {head} | all |",
        "|---|---|" + "---|" * (len(shares) + 1),
    ]
    for name, found in results.items():
        what = f"{name} ({'scored' if name in scored else 'chosen on'})"
        whole = said(np.array([f["all"] for f in found]))
        for way in ("value", "D", "random", "random, thrifty"):
            one = errors(found, way)
            cells = [f"{said(one[..., k].mean(axis=1))}; {np.median(one[..., k]):.2f}" for k in range(len(shares))]
            lines.append(f"| {what} | {way} | {' | '.join(cells)} | {whole} |")
    asked = [(way, other, k) for way, other in PAIRS for k in RATIOS]
    lines += [
        "",
        "Compute that random orders need for the mean error of the other ways, over what these spent, and its 90 % "
        "interval over sub-pools. At most what the whole sub-pool costs, which is 8 times 12 % and 4 times 25 %.",
        "",
        "| corpus | " + " | ".join(f"{way} against {other} at {shares[k]:.0%}" for way, other, k in asked) + " |",
        "|---|" + "---|" * len(asked),
    ]
    for name, found in results.items():
        cells = [in_words(found, way, other, shares, k) for way, other, k in asked]
        lines.append(f"| {name} ({'scored' if name in scored else 'chosen on'}) | {' | '.join(cells)} |")
    lines += [
        "",
        "Duels on the same sub-pools at the same shares. Less: error of the other way less that of the first, per cent "
        "of loss, mean over shares and sub-pools, with its standard error over sub-pools. Won: how often the first "
        "errs less, ties counted half. Ratio: mean error of the first over that of the other. In the rows of several "
        "corpora: means over corpora, standard errors between them, and the geometric mean of the ratios.",
        "",
        "| corpus | " + " | ".join(f"{title}: less, won, ratio" for title, *_ in DUELS) + " |",
        "|---|" + "---|" * len(DUELS),
    ]
    told = {name: [duel(found, *rest) for _, *rest in DUELS] for name, found in results.items()}
    for name, row in told.items():
        cells = [f"{said(gap)}, {won:.0%}, {ratio:.2f}" for gap, won, ratio in row]
        lines.append(f"| {name} ({'scored' if name in scored else 'chosen on'}) | {' | '.join(cells)} |")
    for title, names in (("scored", scored), ("chosen on", chosen_on), ("all", (*scored, *chosen_on))):
        rows = [told[n] for n in names if n in told]
        if rows:
            cells = []
            for k in range(len(DUELS)):
                gap, won, ratio = (np.array([r[k][i].mean() if i == 0 else r[k][i] for r in rows]) for i in range(3))
                cells.append(f"{said(gap)}, {won.mean():.0%}, {np.exp(np.log(ratio).mean()):.2f}")
            lines.append(f"| {title}, {len(rows)} corpora | {' | '.join(cells)} |")
    write("replay", lines)
