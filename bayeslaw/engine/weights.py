"""What a prefix says of the parameters that runs share: importance weights over the posterior's draws."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayeslaw.engine.exits import keys_of
from bayeslaw.engine.predict import evidence_draws, leading, together
from bayeslaw.engine.question import Question, everything, told_of

#: Pareto k above which importance weights are not to be trusted (Vehtari et al. 2024, arXiv 1507.02646)
MOST_K = 0.7


@dataclass(frozen=True)
class Draws:
    """Posterior draws: coordinates ``z`` (S, d), standard normals (S, extra) for members that the fit never saw, and
    ``paths``, what series share, name → (S, members, L)."""

    z: np.ndarray
    fresh: dict[str, np.ndarray]
    paths: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.z)


def first(question: Question, extra: dict[str, int], z: np.ndarray, rng: np.random.Generator) -> Draws:
    """The posterior's draws ``z`` as they are; ``extra`` says how many members of each level the fit did not see."""
    fresh = {}
    for slot, _ in question.problem.layout.placed():
        level = slot.name.rpartition(":")[2]
        if slot.kind in ("deviation", "scaled") and extra[level]:
            fresh[slot.name] = rng.standard_normal((len(z), extra[level]))
    return Draws(z, fresh, {})


def weighted(question: Question, draws: Draws, rng: np.random.Generator, notes: list[str]) -> Draws:
    """The draws, resampled by how well each explains what ``given`` tells beyond the fit."""
    log_w = _evidence_together(question, draws, rng) if question.layout.paths else _evidence_apart(question, draws)
    pick, worth, k = resampled(log_w, rng)
    if k > MOST_K or worth < min(100, len(draws) / 2):
        tail = "" if np.isnan(k) else f", Pareto k {k:.2f}"
        notes.append(
            f"What is given moves the shared parameters far from the fit ({worth:.0f} of {len(draws):,} draws carry "
            f"the weight{tail}). Fit again with these rows among the runs for bands to rely on."
        )
    return replace(draws, z=draws.z[pick], fresh={name: value[pick] for name, value in draws.fresh.items()})


def _evidence_apart(question: Question, draws: Draws) -> np.ndarray:
    """Log weights (S,) where series are independent given a draw: only those that are given count."""
    q, from_given = question, question.from_given
    mine = from_given[q.known_code]
    rows = q.rows(q.known.loc[mine], q.known_code[mine], q.series, q.problem.segments)
    log_w = evidence_draws(q.layout, q.data, draws.z, rows, draws.fresh)[:, : len(q.series)][:, from_given].sum(axis=1)
    place = {key: i for i, key in enumerate(keys_of(q.problem.series))}
    again = [place[key] for key, mine in zip(keys_of(q.series), from_given, strict=True) if mine and key in place]
    if again:
        log_w -= evidence_draws(q.layout, q.data, draws.z, q.problem.data["rows"], {})[:, again].sum(axis=1)
    return log_w


def _evidence_together(question: Question, draws: Draws, rng: np.random.Generator) -> np.ndarray:
    """Log weights (S,) where runs share paths: evidence of all that is known against that of what was fitted."""
    after = _together(question, draws, everything(question), rng)[0]
    return after - _together(question, draws, question.problem.data["rows"], rng)[0]


def _together(
    question: Question, draws: Draws, rows: dict[str, Any], rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Log likelihood (S,) of ``rows``, all series together, and draws of the paths given them."""
    q = question
    return together(told_of(q), q.data, draws.z, rows, draws.fresh, rng, q.problem.layout)


def paths_of(question: Question, draws: Draws, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draws of the shared paths given all that is known, and of those that nothing is known of from their prior."""
    _, paths = _together(question, draws, everything(question), rng)
    for path, fitted in zip(question.layout.paths, question.problem.layout.paths, strict=True):
        extra = path.members - paths[path.name].shape[1]
        unknown = leading(rng, (len(draws), max(extra, 0)), path.knots, fitted.knots)
        paths[path.name] = np.concatenate([paths[path.name], unknown], axis=1)
    return paths


def resampled(log_w: np.ndarray, rng: np.random.Generator, picks: int | None = None) -> tuple[np.ndarray, float, float]:
    """Draws picked in proportion to ``exp(log_w)``, the largest weights Pareto-smoothed.

    Returns
    -------
    pick (picks,) positions, by default as many as there are weights; how many equal draws the weights are worth (Kish);
    Pareto k (NaN where too few draws carry weight to tell).
    """
    from arviz_stats.base.array import array_stats

    count, log_w = len(log_w), log_w - log_w.max()
    picks = count if picks is None else picks
    if np.ptp(log_w) < 1e-6:
        return np.arange(picks) * count // picks, float(count), -np.inf
    smooth, k = log_w, np.nan
    # the weight beneath the tail that is smoothed, and the tail; where the tail has no spread there is nothing to fit
    size = int(min(count / 5, 3 * math.sqrt(count)))
    tail = np.exp(np.sort(log_w)[-1 - size :])
    if size >= 5 and tail[0] < tail[int(size / 4 + 0.5)] and tail[1] < tail[-1]:
        # what it takes are log likelihoods to be left out, that is, log weights with the opposite sign
        smooth, k = array_stats.psislw(-log_w)
    weights = np.exp(smooth - smooth.max())
    weights /= weights.sum()
    # systematic resampling: less noise than independent draws
    pick = np.searchsorted(np.cumsum(weights), (rng.random() + np.arange(picks)) / picks)
    return pick.clip(0, count - 1), float(1 / np.sum(weights**2)), float(k)
