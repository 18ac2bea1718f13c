"""Are ranks uniform? The tests of simulation-based calibration, and their picture. Needs no fit and no JAX.

The rank of a true value among L posterior draws is uniform on 0..L if truth and data come from the model that is fitted
and the draws from its posterior (Talts et al. 2018, arXiv 1804.06788). Two tests per quantity:

- chi-squared of the ranks in ``BINS`` bins, which sees any lasting departure;
- the simultaneous ECDF test of Säilynoja et al. 2022 (arXiv 2103.10522), section 2, which sees small ones of one kind.

All p-values of a study together are adjusted by Holm's method, so that a calibrated engine fails it once in twenty
times, whatever the dependence between quantities.

    python benchmarks/ranks.py

prints how often a study finds one quantity whose draws are too narrow, too wide or shifted.
"""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
from scipy import stats

BINS = 10
LEVEL = 0.05
#: simulated studies behind the ECDF test: its p-values are multiples of 1 / TRIALS
TRIALS = 20_000


def rank_tests(ranks: pd.DataFrame, draws: int) -> pd.DataFrame:
    """Both tests for every column of ``ranks`` (data sets × quantities, 0..draws).

    Columns: ``mean`` of the ranks' shares (0.5 if unbiased), ``width`` (their variance over that of a uniform: above 1
    when the posterior is too narrow), ``chi2_p``, ``ecdf_p``, and ``p``, the smaller of the two after Holm.
    """
    rows = []
    for name in ranks:
        rank = ranks[name].to_numpy(int)
        share = (rank + 0.5) / (draws + 1)
        rows.append((name, share.mean(), 12 * np.mean((share - 0.5) ** 2), chi2_p(rank, draws), ecdf_p(rank, draws)))
    table = pd.DataFrame(rows, columns=["quantity", "mean", "width", "chi2_p", "ecdf_p"]).set_index("quantity")
    adjusted = holm(table[["chi2_p", "ecdf_p"]].to_numpy().ravel()).reshape(-1, 2)
    table["p"] = adjusted.min(axis=1)
    return table


def chi2_p(rank: np.ndarray, draws: int) -> float:
    """P-value of Pearson's chi-squared of the ranks in ``BINS`` bins of (as near as can be) equal width."""
    edges = np.round(np.linspace(0, draws + 1, BINS + 1)).astype(int)
    seen = np.histogram(rank, bins=edges - 0.5)[0]
    return float(stats.chisquare(seen, len(rank) * np.diff(edges) / (draws + 1)).pvalue)


def ecdf_p(rank: np.ndarray, draws: int) -> float:
    """P-value of the ECDF's furthest point, in units of its own binomial distribution there."""
    least = _least_tail(_counts(rank[None], draws), len(rank), draws)[0]
    null = _null(len(rank), draws)
    return float((1 + np.searchsorted(null, least * (1 + 1e-9), side="right")) / (1 + TRIALS))


def ecdf_band(count: int, draws: int, level: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares z of the rank scale, and the bounds of ECDF minus z that a uniform sample stays within as a whole."""
    gamma = np.quantile(_null(count, draws), 1 - level)
    z = np.arange(1, draws + 1) / (draws + 1)
    low, high = stats.binom.ppf(gamma / 2, count, z), stats.binom.ppf(1 - gamma / 2, count, z)
    return z, low / count - z, high / count - z


def holm(p: np.ndarray) -> np.ndarray:
    """P-values adjusted for there being many (Holm 1979)."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(stepped, 1.0)
    return out


def coverage(rank: np.ndarray, draws: int, level: float) -> float:
    """Share of truths inside the central interval of that level. Exact where level * (draws + 1) is even."""
    tail = round((draws + 1) * (1 - level) / 2)
    return float(np.mean((rank >= tail) & (rank <= draws - tail)))


def _counts(rank: np.ndarray, draws: int) -> np.ndarray:
    """How many of each sample's ranks are at most 0, 1, ..., draws - 1: (samples, draws)."""
    out = np.zeros((len(rank), draws + 1))
    np.add.at(out, (np.arange(len(rank))[:, None], rank), 1)
    return np.cumsum(out, axis=1)[:, :-1]


def _least_tail(counts: np.ndarray, size: int, draws: int) -> np.ndarray:
    """Of each sample the smallest two-sided binomial tail over the ECDF's points."""
    z = np.arange(1, draws + 1) / (draws + 1)
    at = np.arange(size + 1)[:, None]
    below, above = stats.binom.cdf(at, size, z), stats.binom.sf(at - 1, size, z)
    tail = np.minimum(2 * np.minimum(below, above), 1.0)
    return tail[counts.astype(int), np.arange(draws)].min(axis=1)


@functools.lru_cache(maxsize=8)
def _null(size: int, draws: int) -> np.ndarray:
    """The statistic of ``TRIALS`` uniform samples, sorted."""
    rng = np.random.default_rng(20220325)
    parts = [
        _least_tail(_counts(rng.integers(0, draws + 1, (1000, size)), draws), size, draws)
        for _ in range(TRIALS // 1000)
    ]
    return np.sort(np.concatenate(parts))


def power(width: float, shift: float, quantities: int, sets: int = 200, draws: int = 99, trials: int = 200) -> float:
    """How often a study finds one wrong quantity among many right ones.

    Its posterior is normal, its draws ``width`` times as wide as they should be and ``shift`` true sd off.
    """
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(trials):
        truth = rng.standard_normal(sets)
        rank = np.sum(shift + width * rng.standard_normal((draws, sets)) < truth, axis=0)
        # Holm's first step: the smallest of all p-values times their number
        found += 2 * quantities * min(chi2_p(rank, draws), ecdf_p(rank, draws)) < LEVEL
    return found / trials


def main() -> None:
    """The power of a study of 200 data sets and 33 quantities."""
    print("| draws of one quantity | found |\n|---|---|")
    for width, shift in ((0.6, 0), (0.7, 0), (0.8, 0), (1.5, 0), (1, 0.25), (1, 0.35), (1, 0.5)):
        what = f"{width:g} times as wide" if width != 1 else f"{shift:g} sd off"
        print(f"| {what} | {power(width, shift, 33):.2f} |", flush=True)


if __name__ == "__main__":
    main()
