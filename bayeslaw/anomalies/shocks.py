"""Runs that read the same batches: found by their shared shocks, offsets included, and reported with the evidence.

Two runs of one data order share nearly all of their per-step noise, whatever their size or schedule. So the residuals
of their losses against a running median, matched by step, correlate at .7 and more where they are aligned and at 0
where they are not, also one step off. Nothing is assumed: a column ``data_order`` is not even read.

The exits of a looped run share its noise too, and whatever befalls it: they are no siblings of each other, and of each
other run one exit at most is a sibling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

#: rows of the running median, bound on residuals in robust scales, fewest rows in common
WINDOW, BOUND, FEWEST = 25, 4.0, 30
#: least correlation at which subtracting one sibling halves the noise's variance, with room
LEAST = 0.75
#: most siblings that are used for one run
MOST = 5


@dataclass(frozen=True)
class Curve:
    """One run: increasing ``step`` (n,), ``loss`` (n,) in nats per token, ``x`` (n,) tokens where known, else steps.

    ``lr`` (n,) : learning rates, NaN or None where unknown. ``of`` : of one exit of a looped run, which run that is.
    """

    run: str
    step: np.ndarray
    loss: np.ndarray
    x: np.ndarray
    lr: np.ndarray | None = None
    of: str = ""

    @property
    def owner(self) -> str:
        """The run whose loss it is; its exits have one owner."""
        return self.of or self.run


@dataclass(frozen=True)
class Sibling:
    """A run that saw at ``step + offset`` what this one saw at ``step``; ``evidence`` is log10 of a Bayes factor."""

    run: str
    offset: int
    correlation: float
    rows: int
    evidence: float


def shocks(loss: np.ndarray) -> np.ndarray:
    """(n,) residuals against a centred running median, in robust scales, bounded."""
    if len(loss) < 3:
        return np.zeros(len(loss))
    half = min(WINDOW // 2, (len(loss) - 1) // 2)
    padded = np.pad(np.asarray(loss, float), half, mode="reflect")
    rest = loss - np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    # the scale is local, for noise is larger early
    scale = 1.4826 * pd.Series(np.abs(rest)).rolling(201, center=True, min_periods=1).median().to_numpy()
    return np.clip(rest / np.where(scale > 0, scale, np.inf), -BOUND, BOUND)


def match(
    a_step: np.ndarray, a: np.ndarray, b_step: np.ndarray, b: np.ndarray, most_offset: int = 8
) -> tuple[int, float, int, float]:
    """Best offset of b against a, its correlation, rows in common, and log10 evidence for being aligned.

    ``a``, ``b`` are shocks at steps ``a_step``, ``b_step``. The evidence is the BIC's Bayes factor for a correlation,
    less the price of having tried ``2 most_offset + 1`` offsets.
    """
    best = (0, 0.0, 0, 0.0)
    for offset in sorted(range(-most_offset, most_offset + 1), key=abs):
        _, i, j = np.intersect1d(a_step + offset, b_step, assume_unique=True, return_indices=True)
        if len(i) < FEWEST:
            continue
        u, v = a[i] - a[i].mean(), b[j] - b[j].mean()
        norm = np.sqrt((u @ u) * (v @ v))
        r = float(u @ v / norm) if norm > 0 else 0.0
        n = len(i)
        evidence = -0.5 * n * np.log1p(-min(r * r, 1 - 1e-12)) - 0.5 * np.log(n) - np.log(2 * most_offset + 1)
        if r > best[1] + 1e-9:
            best = (offset, r, n, float(evidence / np.log(10)))
    return best


def align(curves: Mapping[str, Curve], most_offset: int = 8) -> dict[str, tuple[Sibling, ...]]:
    """For each run, the runs of its data order, closest first; empty where there is none.

    Orders are found greedily, a run against one member of each order known so far, so that many runs stay cheap;
    within an order every pair is then compared.
    """
    noise = {name: shocks(curve.loss) for name, curve in curves.items()}
    orders: list[list[str]] = []
    for name in sorted(curves, key=lambda run: (-len(curves[run].step), run)):
        for order in orders:
            head = curves[order[0]]
            _, r, n, evidence = match(curves[name].step, noise[name], head.step, noise[order[0]], most_offset)
            if r >= LEAST - 0.1 and n >= FEWEST and evidence > 3:
                order.append(name)
                break
        else:
            orders.append([name])
    found: dict[str, list[Sibling]] = {name: [] for name in curves}
    for order in orders:
        for i, one in enumerate(order):
            for other in order[i + 1 :]:
                if curves[one].owner == curves[other].owner:
                    continue
                offset, r, n, evidence = match(
                    curves[one].step, noise[one], curves[other].step, noise[other], most_offset
                )
                if r >= LEAST and evidence > 3:
                    found[one].append(Sibling(other, offset, r, n, evidence))
                    found[other].append(Sibling(one, -offset, r, n, evidence))
    owners = {name: curve.owner for name, curve in curves.items()}
    return {name: tuple(_choose(curves[name], siblings, owners)) for name, siblings in found.items()}


def nearest(curve: Curve, others: Sequence[Curve], most_offset: int = 8) -> list[Sibling]:
    """Those of ``others`` that are of one data order with ``curve``, closest first."""
    own = shocks(curve.loss)
    found = []
    for other in others:
        offset, r, n, evidence = match(curve.step, own, other.step, shocks(other.loss), most_offset)
        if r >= LEAST and evidence > 3:
            found.append(Sibling(other.run, offset, r, n, evidence))
    return _choose(curve, found, {other.run: other.owner for other in others})


def _choose(curve: Curve, siblings: list[Sibling], owners: Mapping[str, str]) -> list[Sibling]:
    """The closest siblings, those that cover at least half of the run before the others; one of each owner."""
    half = 0.5 * len(curve.step)
    best: dict[str, Sibling] = {}
    for sibling in sorted(siblings, key=lambda s: (s.rows < half, -round(s.correlation, 3), s.run)):
        best.setdefault(owners[sibling.run], sibling)
    return list(best.values())[:MOST]


def lookup(curve: Curve, siblings: tuple[Sibling, ...], curves: Mapping[str, Curve]) -> tuple[np.ndarray, np.ndarray]:
    """Losses and learning rates (n, MOST) of the siblings on the batches of each row of ``curve``, NaN for none."""
    out = np.full((2, len(curve.step), MOST), np.nan)
    for k, sibling in enumerate(siblings):
        other = curves[sibling.run]
        at = np.searchsorted(other.step, curve.step + sibling.offset)
        inside = at < len(other.step)
        hit = np.zeros(len(curve.step), bool)
        hit[inside] = other.step[at[inside]] == curve.step[inside] + sibling.offset
        out[0, hit, k] = other.loss[at[hit]]
        if other.lr is not None:
            out[1, hit, k] = other.lr[at[hit]]
    return out[0], out[1]
