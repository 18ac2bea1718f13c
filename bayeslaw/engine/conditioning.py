"""Forecast draws for the rows of a table, given the fitted runs and, where there is one, a prefix.

A series' own coefficients (run effects, discrepancy) are conditioned exactly. What series share was settled by the
fit; a prefix of a run tells a little more about it, which goes in as importance weights over the draws:
``p(prefix | draw)``, for a run that was fitted divided by ``p(its fitted rows | draw)``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.engine.assemble import COLUMN_OF_LEVEL, Problem, member_index, row_noise, series_table, usable
from bayeslaw.engine.budgets import with_budgets
from bayeslaw.engine.layout import Layout
from bayeslaw.engine.predict import curve_draws, evidence_draws
from bayeslaw.engine.rows import padded_rows, schedules_of
from bayeslaw.errors import FitError
from bayeslaw.laws import Law, Schedule, get_law

#: padded rows × draws worked on in one call
MOST_CELLS = 8_000_000
#: rows of one series in one call
MOST_ROWS = 1024
FORECAST_SEGMENTS = 128
#: Pareto k above which importance weights are not to be trusted (Vehtari et al. 2024, arXiv 1507.02646)
MOST_K = 0.7


@dataclass(frozen=True)
class _Question:
    """The rows asked for and what is known of their series: what every step below reads and none changes.

    Attributes
    ----------
    target, code : the rows to forecast, and the series of each.
    series : one row per series, with its ``{level}_index``.
    known, known_code : binned rows with losses, and the series of each; ``from_given`` (series,): whether a series has
        them from ``given`` and not from the fit.
    layout, data : as the problem's, the discrepancy's knots continued to all rows.
    """

    problem: Problem
    law: Law
    target: pd.DataFrame
    code: np.ndarray
    series: pd.DataFrame
    known: pd.DataFrame
    known_code: np.ndarray
    from_given: np.ndarray
    schedules: Mapping[str, Schedule]
    layout: Layout
    data: dict[str, Any]

    def rows(self, frame: pd.DataFrame, code: np.ndarray, series: pd.DataFrame, segments: int) -> dict[str, Any]:
        """Some rows of some series as padded arrays."""
        p = self.problem
        return padded_rows(
            self.law, frame, code, series, list(p.levels), p.reference, p.axis, self.schedules, segments=segments
        )


@dataclass(frozen=True)
class _Draws:
    """Posterior draws: coordinates ``z`` (S, d), and standard normals (S, extra) for members that the fit never saw."""

    z: np.ndarray
    fresh: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.z)


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
    law = get_law(problem.layout.law)
    target = usable(law, at.frame, "rows to forecast")
    _need_step(law, target)
    if "budget" in problem.levels:
        target = with_budgets(target, problem.levels["budget"])
    series, code = series_table(target)
    known, from_given = _known(problem, series, given, notes)
    schedules = _schedules(law, problem, at, given, declared)
    draws = _Draws(z, _members(problem, series, rng, len(z)))
    layout, data = _reaching(problem, target, known)
    known_code = known["code"].to_numpy(int)
    question = _Question(
        problem, law, target, code, series, known, known_code, from_given, schedules, layout, data
    )  # fmt: skip
    if from_given.any() and layout.likelihood == "curves":
        draws = _weighted(question, draws, rng, notes)
    elif from_given.any():
        notes.append(
            "What is given was not used: the fit is of single points, which have nothing of their own to condition on. "
            "Fit again with these rows among the runs."
        )
    return *_draw(question, draws, rng), notes


def _reaching(problem: Problem, *frames: pd.DataFrame) -> tuple[Layout, dict[str, Any]]:
    """The problem's layout and data with the discrepancy's knots continued to all rows."""
    layout, grid = problem.layout, dict(problem.data["grid"])
    if layout.knots and problem.axis:
        x = np.concatenate([frame[problem.axis].to_numpy(float) for frame in frames])
        log_x = np.log(x[x > 0]) - problem.reference["log_x"]
        before = max(0, math.ceil((grid["start"] - log_x.min()) / grid["step"]))
        after = max(0, math.ceil((log_x.max() - grid["start"]) / grid["step"]) + 1 - layout.knots)
        grid["start"] -= before * grid["step"]
        layout = replace(layout, knots=4 * math.ceil((layout.knots + before + after) / 4))
    return layout, {**problem.data, "grid": grid}


def _need_step(law: Any, frame: pd.DataFrame) -> None:
    if "schedule" in law.covariates and ("step" not in frame or bool(frame["step"].isna().any())):
        raise FitError(f"Law {law.name} forecasts along steps: the rows to forecast need a step column without gaps.")


def _known(
    problem: Problem, series: pd.DataFrame, given: Runs | None, notes: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Bins known of each target series (``code`` says which), and whether each series takes them from ``given``."""
    keys = _keys(series)
    place = {key: i for i, key in enumerate(keys)}
    parts = []
    from_given = np.zeros(len(series), bool)
    if given is not None:
        asked = given.frame["run"].isin(series["run"]).to_numpy()
        strangers = [name for name in given.names if name not in set(series["run"])]
        if strangers:
            notes.append(
                f"Not used: {len(strangers):,} runs of given that are not in at, for example {strangers[0]!r}."
            )
        if asked.any():
            mine = given.where(asked)
            bins = usable(get_law(problem.layout.law), mine.bins(max_bins=problem.max_bins).frame, "given rows").copy()
            bins["code"] = [place.get(key, -1) for key in _keys(bins)]
            bins = bins[bins["code"] >= 0]
            from_given[np.asarray(bins["code"], int)] = True
            parts.append(bins)
    fitted = problem.bins.copy()
    fitted["code"] = [place.get(key, -1) for key in _keys(fitted)]
    parts.append(fitted[(fitted["code"] >= 0) & ~from_given[fitted["code"]]])
    known = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0].reset_index(drop=True)
    return known, from_given


def _keys(frame: pd.DataFrame) -> list[tuple[str, float]]:
    exits = frame["exit_step"].fillna(-1.0).to_numpy(float) if "exit_step" in frame else np.full(len(frame), -1.0)
    return list(zip(frame["run"].astype(str), exits, strict=True))


def _schedules(law: Any, problem: Problem, at: Runs, given: Runs | None, declared: Mapping[str, Schedule | str]):
    if "schedule" not in law.covariates:
        return {}
    tables = [t for t in (given, at) if t is not None and "lr" in t.frame]
    asked = set(at.frame["run"])
    undeclared = [run for run in asked if run not in declared]
    # a run continued under rates of its own keeps the history that the fit knows, unless given tells it anew
    past = {
        run: problem.schedules[run]
        for run in undeclared
        if run in problem.schedules and (given is None or run not in given.names)
    }
    own = schedules_of(tables, declared, history=past) if tables else {}
    found = {**past, **own, **{r: s if isinstance(s, Schedule) else Schedule.parse(s) for r, s in declared.items()}}
    missing = [run for run in at.frame["run"].unique() if run not in found]
    if missing:
        raise FitError(
            f"Law {law.name} needs the learning rate over the steps of run {missing[0]!r}: give at an lr column, or "
            f"declare it: schedules={{{missing[0]!r}: 'wsd:peak=3e-4,total=24000,warmup=2000,decay=0.2'}}."
        )
    return found


def _members(problem: Problem, series: pd.DataFrame, rng: np.random.Generator, draws: int):
    """Levels with the members that the fit did not see behind its own, and standard normals for those."""
    extra: dict[str, int] = {}
    for level, members in problem.levels.items():
        column = COLUMN_OF_LEVEL[level]
        if column not in series or bool(series[column].isna().any()):
            raise FitError(f"The model pools over {level}: the rows to forecast need {column} in every row.")
        index = member_index(level, members, series)
        new = {value: len(members) + i for i, value in enumerate(dict.fromkeys(series.loc[index < 0, column]))}
        series[f"{level}_index"] = [new[v] if i < 0 else i for i, v in zip(index, series[column], strict=True)]
        extra[level] = len(new)
    fresh = {}
    for slot, _ in problem.layout.placed():
        level = slot.name.rpartition(":")[2]
        if slot.kind in ("deviation", "scaled") and extra[level]:
            fresh[slot.name] = rng.standard_normal((draws, extra[level]))
    return fresh


def _weighted(question: _Question, draws: _Draws, rng: np.random.Generator, notes: list[str]) -> _Draws:
    """The draws, resampled by how well each explains what ``given`` tells beyond the fit."""
    q, from_given = question, question.from_given
    mine = from_given[q.known_code]
    rows = q.rows(q.known.loc[mine], q.known_code[mine], q.series, q.problem.segments)
    log_w = evidence_draws(q.layout, q.data, draws.z, rows, draws.fresh)[:, : len(q.series)][:, from_given].sum(axis=1)
    keys = _keys(q.series)
    place = {key: i for i, key in enumerate(_keys(q.problem.series))}
    again = [place[key] for key, mine in zip(keys, from_given, strict=True) if mine and key in place]
    if again:
        log_w -= evidence_draws(q.layout, q.data, draws.z, q.problem.data["rows"], {})[:, again].sum(axis=1)
    pick, worth, k = resampled(log_w, rng)
    if k > MOST_K or worth < min(100, len(draws) / 2):
        tail = "" if np.isnan(k) else f", Pareto k {k:.2f}"
        notes.append(
            f"What is given moves the shared parameters far from the fit ({worth:.0f} of {len(draws):,} draws carry "
            f"the weight{tail}). Fit again with these rows among the runs for bands to rely on."
        )
    return _Draws(draws.z[pick], {name: value[pick] for name, value in draws.fresh.items()})


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


def _draw(question: _Question, draws: _Draws, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws of the curve and of a loss at every row, some series and at most ``MOST_ROWS`` rows of each at a time; and
    the rows' own share of what parts the two, the rest being misfit that neighbours have in common."""
    q, count = question, len(draws)
    noise = rng.standard_normal((count, len(q.series), q.layout.effect_count))
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
        log_curve, scale = curve_draws(q.layout, q.data, draws.z, past, rows, draws.fresh, own)
        position = np.concatenate([np.arange(len(p)) for p in pieces])
        curve[:, take], sd[:, take] = log_curve[:, piece_code, position], scale[:, piece_code, position]
    own = _row_noise(question)[q.code] if q.layout.likelihood == "curves" else np.zeros(len(q.target))
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


def _row_noise(question: _Question) -> np.ndarray:
    """Relative sd of one raw row about the curve, per series.

    A fitted run's own, else the median of the fitted runs. Where rows are given they are measured too, and count
    against that as ``assemble.row_noise`` says: n rows of the later half of the prefix against 30.
    """
    fitted = question.problem.series["row_noise"].to_numpy(float)
    own = dict(zip(_keys(question.problem.series), fitted, strict=True))
    usual = float(np.nanmedian(fitted)) if np.isfinite(fitted).any() else np.nan
    found = np.array([own.get(key, usual) for key in _keys(question.series)])
    mine = question.from_given[question.known_code]
    if mine.any():
        found = row_noise(question.known.loc[mine], question.known_code[mine], found)
    return np.where(np.isfinite(found), found, 0.0)


def _noise(question: _Question, z: np.ndarray, sd: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws of a raw row's relative deviation from its curve."""
    problem = question.problem
    if problem.layout.likelihood == "curves":
        return np.hypot(sd, _row_noise(question)[question.code]) * rng.standard_normal(sd.shape)
    where = next(where for slot, where in problem.layout.placed() if slot.name == "noise:nu")
    prior = problem.data["prior"]
    nu = np.exp(prior["loc"][where] + prior["scale"][where] * z[:, where])
    return sd * rng.standard_t(nu, sd.shape)
