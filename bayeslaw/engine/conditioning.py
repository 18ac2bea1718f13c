"""Forecast draws for the rows of a table, given the fitted runs and, where there is one, a prefix.

A series' own coefficients (run effects, discrepancy) are conditioned exactly. What series share was settled by the
fit; a prefix of a run tells a little more about it, which goes in as importance weights over the draws:
``p(prefix | draw)``, for a run that was fitted divided by ``p(its fitted rows | draw)``. What runs of one data order
have in common is drawn given all of them, the fitted ones and the prefix.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bayeslaw.data.runs import Runs
from bayeslaw.engine.assemble import Problem
from bayeslaw.engine.predict import curve_draws, leading
from bayeslaw.engine.question import Question, asked
from bayeslaw.engine.weights import Draws, first, paths_of, weighted
from bayeslaw.laws import Schedule

#: padded rows × draws worked on in one call
MOST_CELLS = 8_000_000
#: rows of one series in one call
MOST_ROWS = 1024
FORECAST_SEGMENTS = 128


def conditioned(
    problem: Problem,
    z: np.ndarray,
    at: Runs,
    given: Runs | None,
    declared: Mapping[str, Schedule | str],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Draws (S, rows) of the curve and of observed losses at ``at``; the share (rows,) of the variance of one about the
    other that a mean over rows averages away; and notes. Inside ``jax.enable_x64(True)``."""
    notes: list[str] = []
    question, extra = asked(problem, at, given, declared, notes)
    draws, layout = first(question, extra, z, rng), question.layout
    told = bool(question.from_given.any())
    if told and layout.likelihood == "curves":
        draws = weighted(question, draws, rng, notes)
    if layout.paths:
        draws = replace(draws, paths=paths_of(question, draws, rng))
    if told and layout.likelihood == "points":
        notes.append(
            "What is given was not used: the fit is of single points, which have nothing of their own to condition on. "
            "Fit again with these rows among the runs."
        )
    return *_draw(question, draws, rng), notes


def _draw(question: Question, draws: Draws, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws of the curve and of a loss at every row, some series and at most ``MOST_ROWS`` rows of each at a time; and
    the rows' own share of what parts the two, the rest being misfit that neighbours have in common."""
    q, count = question, len(draws)
    noise = leading(rng, (count, len(q.series)), q.layout.effect_count)
    curve, sd = np.empty((count, len(q.target))), np.empty((count, len(q.target)))
    for which, pieces in _batches(q.code, count):
        part = q.series.iloc[which].reset_index(drop=True)
        take = np.concatenate(pieces)
        piece_code = np.repeat(np.arange(len(which)), [len(p) for p in pieces])
        rows = q.rows(q.target.iloc[take], piece_code, part, FORECAST_SEGMENTS)
        place = {int(s): np.flatnonzero(q.known_code == s) for s in set(which)}
        mine = np.concatenate([place[int(s)] for s in which]) if len(which) else np.zeros(0, int)
        mine_code = np.repeat(np.arange(len(which)), [len(place[int(s)]) for s in which])
        past = q.rows(q.known.iloc[mine], mine_code, part, q.problem.segments)
        own = np.zeros((count, rows["log_x"].shape[0], q.layout.effect_count))
        own[:, : len(which)] = noise[:, which]
        log_curve, scale = curve_draws(q.layout, q.data, draws.z, past, rows, draws.fresh, own, draws.paths)
        position = np.concatenate([np.arange(len(p)) for p in pieces])
        curve[:, take], sd[:, take] = log_curve[:, piece_code, position], scale[:, piece_code, position]
    own = q.series["row_noise"].to_numpy(float)[q.code] * (q.layout.likelihood == "curves")
    share = own**2 / np.maximum(own**2 + np.mean(sd**2, axis=0), 1e-300)
    return np.exp(curve), np.exp(curve + _noise(question, draws.z, sd, rng)), share


def _batches(code: np.ndarray, draws: int):
    """(series of each piece, rows of each piece): pieces of near length, together under ``MOST_CELLS`` cells."""
    order = np.argsort(code, kind="stable")
    bounds = np.flatnonzero(np.diff(code[order], prepend=-1, append=code.max() + 1)) if len(code) else np.zeros(0, int)
    pieces = []
    for start, end in itertools.pairwise(bounds):
        rows = order[start:end]
        pieces += [(int(code[rows[0]]), rows[i : i + MOST_ROWS]) for i in range(0, len(rows), MOST_ROWS)]
    pieces.sort(key=lambda piece: len(piece[1]))
    while pieces:
        longest = len(pieces[-1][1])
        fit = max(1, int(MOST_CELLS / (draws * longest)))
        batch, pieces = pieces[-fit:], pieces[:-fit]
        yield np.array([s for s, _ in batch]), [rows for _, rows in batch]


def _noise(question: Question, z: np.ndarray, sd: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws of a raw row's relative deviation from its curve."""
    problem = question.problem
    if problem.layout.likelihood == "curves":
        own = question.series["row_noise"].to_numpy(float)[question.code]
        return np.hypot(sd, own) * rng.standard_normal(sd.shape)
    where = next(where for slot, where in problem.layout.placed() if slot.name == "noise:nu")
    prior = problem.data["prior"]
    nu = np.exp(prior["loc"][where] + prior["scale"][where] * z[:, where])
    return sd * rng.standard_t(nu, sd.shape)
