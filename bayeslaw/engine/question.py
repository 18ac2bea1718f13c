"""What a forecast is asked: the rows, what is known of their series, and the arrays that the engine needs of both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.engine.assemble import Problem
from bayeslaw.engine.budgets import with_budgets
from bayeslaw.engine.covariates import fill_sizes, name_orders, need_axis, need_steps, noise_of
from bayeslaw.engine.exits import keys_of, unread_ahead, with_other_exits
from bayeslaw.engine.layout import Layout
from bayeslaw.engine.levels import COLUMN_OF_LEVEL, member_index
from bayeslaw.engine.rows import bucket, padded_rows, schedules_of
from bayeslaw.engine.series import series_table, usable
from bayeslaw.errors import FitError
from bayeslaw.laws import Law, Schedule, get_law


@dataclass(frozen=True)
class Question:
    """The rows asked for and what is known of their series: what every step below reads and none changes.

    Attributes
    ----------
    target, code : the rows to forecast, and the series of each.
    series : one row per series, with its ``{level}_index`` and ``row_noise`` (relative sd of one raw row about the
        curve): those asked for, then what ``given`` has of their runs' other exits.
    known, known_code : binned rows with losses, and the series of each; ``from_given`` (series,): whether a series has
        them from ``given`` and not from the fit.
    layout, data : as the problem's, for rows ahead, the discrepancy's knots continued to all rows.
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


def asked(
    problem: Problem, at: Runs, given: Runs | None, declared: Mapping[str, Schedule | str], notes: list[str]
) -> tuple[Question, dict[str, int]]:
    """The question, and of every level how many members the fit never saw; ``notes`` is told what was not used.

    Raises FitError if the rows lack a column that the law or a level needs, naming it.
    """
    law = get_law(problem.layout.law)
    target = usable(law, at.frame, "rows to forecast")
    need_steps(law, target)
    need_axis(problem, target, "rows to forecast")
    if "budget" in problem.levels:
        target = with_budgets(target, problem.levels["budget"])
    series, code = series_table(target)
    unread_ahead(problem, series, notes)
    series = with_other_exits(problem, series, given)
    name_orders(problem, series, given)
    fill_sizes(problem, series)
    known, from_given = _known(problem, series, given, notes)
    series["row_noise"] = noise_of(problem, series, known, from_given)
    schedules = _schedules(law, problem, at, given, declared, notes)
    extra = _members(problem, series, notes)
    layout, data = _reaching(problem, series, target, known)
    known_code = known["code"].to_numpy(int)
    question = Question(
        problem, law, target, code, series, known, known_code, from_given, schedules, layout, data
    )  # fmt: skip
    return question, extra


def everything(question: Question) -> dict[str, Any]:
    """Rows of all series of which something is known: the fitted ones, those given in the place of what was fitted."""
    q, problem = question, question.problem
    place = {key: i for i, key in enumerate(keys_of(problem.series))}
    keys = keys_of(q.series)
    new = [i for i, key in enumerate(keys) if key not in place and q.from_given[i]]
    place |= {keys[i]: len(problem.series) + n for n, i in enumerate(new)}
    series = pd.concat([problem.series, q.series.iloc[new]], ignore_index=True)
    given = q.from_given[q.known_code]
    told = np.array([place[keys[i]] for i in q.known_code[given]], int)
    fitted = ~np.isin(problem.code, told)
    bins = pd.concat([problem.bins.loc[fitted], q.known.loc[given].drop(columns="code")], ignore_index=True)
    everything = replace(q, schedules={**problem.schedules, **q.schedules})
    return everything.rows(bins, np.concatenate([problem.code[fitted], told]), series, problem.segments)


def told_of(question: Question) -> Layout:
    """The layout with room for the paths of those members alone that something is known of: grids of runs may ask for
    thousands that nothing is known of, whose paths are their priors'."""
    q, paths = question, []
    for path in q.layout.paths:
        name = f"{path.level}_index"
        last = max([*q.problem.series[name], *q.series.loc[q.from_given, name]])
        paths.append(replace(path, members=bucket(1 + int(last))))
    return replace(q.layout, paths=tuple(paths))


def _reaching(problem: Problem, series: pd.DataFrame, *frames: pd.DataFrame) -> tuple[Layout, dict[str, Any]]:
    """The problem's layout and data with the knots of discrepancy and shared paths continued to all rows, and room for
    the paths of members that the fit did not see."""
    layout, grid = replace(problem.layout, ahead=True), dict(problem.data["grid"])
    grids = {name: dict(one) for name, one in problem.data["paths"].items()}
    if problem.axis:
        x = np.concatenate([frame[problem.axis].to_numpy(float) for frame in frames])
        log_x = np.log(x[x > 0]) - problem.reference["log_x"]
        paths = []
        for path in layout.paths:
            members = bucket(max(path.members, 1 + max(series[f"{path.level}_index"])))
            paths.append(replace(path, knots=_continued(grids[path.name], path.knots, log_x), members=members))
        layout = replace(layout, knots=_continued(grid, layout.knots, log_x), paths=tuple(paths))
    return layout, {**problem.data, "grid": grid, "paths": grids}


def _continued(grid: dict[str, float], knots: int, log_x: np.ndarray) -> int:
    """Knots with which the grid, whose start may move, covers ``log_x``; 0 stays 0."""
    if not knots:
        return 0
    before = max(0, math.ceil((grid["start"] - log_x.min()) / grid["step"]))
    after = max(0, math.ceil((log_x.max() - grid["start"]) / grid["step"]) + 1 - knots)
    grid["start"] -= before * grid["step"]
    return 4 * math.ceil((knots + before + after) / 4)


def _known(
    problem: Problem, series: pd.DataFrame, given: Runs | None, notes: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Bins known of each target series (``code`` says which), and whether each series takes them from ``given``."""
    keys = keys_of(series)
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
            need_axis(problem, mine.frame.loc[mine.frame["kept"]], "given rows")
            bins = usable(get_law(problem.layout.law), mine.bins(max_bins=problem.max_bins).frame, "given rows").copy()
            bins["code"] = [place.get(key, -1) for key in keys_of(bins)]
            bins = bins[bins["code"] >= 0]
            from_given[np.asarray(bins["code"], int)] = True
            parts.append(bins)
    fitted = problem.bins.copy()
    fitted["code"] = [place.get(key, -1) for key in keys_of(fitted)]
    parts.append(fitted[(fitted["code"] >= 0) & ~from_given[fitted["code"]]])
    known = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0].reset_index(drop=True)
    return known, from_given


def _schedules(
    law: Any,
    problem: Problem,
    at: Runs,
    given: Runs | None,
    declared: Mapping[str, Schedule | str],
    notes: list[str],
) -> dict[str, Schedule]:
    """Run → its learning-rate schedule; ``notes`` is told where one is guessed between far rows."""
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
    guesses: dict[str, str] = {}
    own = schedules_of(tables, declared, past, guesses) if tables else {}
    notes += [guesses[run] for run in at.frame["run"].unique() if run in guesses][:1]
    found = {**past, **own, **{r: s if isinstance(s, Schedule) else Schedule.parse(s) for r, s in declared.items()}}
    missing = [run for run in at.frame["run"].unique() if run not in found]
    if missing:
        raise FitError(
            f"Law {law.name} needs the learning rate over the steps of run {missing[0]!r}: give at an lr column, or "
            f"in Python declare it: schedules={{{missing[0]!r}: 'wsd:peak=3e-4,total=24000,warmup=2000,decay=0.2'}}."
        )
    notes += _held(found, at)
    return found


def _held(schedules: Mapping[str, Schedule], at: Runs) -> list[str]:
    """A sentence if rows are asked for that lie beyond what is known of a run's learning rate."""
    last: Any = at.frame.groupby("run", sort=False)["step"].max()
    beyond = [str(run) for run, step in last.items() if step > schedules[str(run)].steps[-1]]
    if not beyond:
        return []
    known = schedules[beyond[0]]
    others = f", as are those of {len(beyond) - 1:,} other runs" if len(beyond) > 1 else ""
    return [
        f"The learning rate of run {beyond[0]!r} is known up to step {known.steps[-1]:,.0f}, where it is "
        f"{known.rates[-1]:.3g}: from there on it was held{others}. Give at an lr column, or declare a schedule, if it "
        f"goes elsewhere."
    ]


def _members(problem: Problem, series: pd.DataFrame, notes: list[str]) -> dict[str, int]:
    """Places each series among its levels' members, those that the fit did not see last; how many those are. ``notes``
    is told of groups among them: a name may be misspelt."""
    extra: dict[str, int] = {}
    for level, members in problem.levels.items():
        column = COLUMN_OF_LEVEL[level]
        if column not in series or bool(series[column].isna().any()):
            raise FitError(f"The model pools over {level}: the rows to forecast need {column} in every row.")
        index = member_index(level, members, series)
        new = {value: len(members) + i for i, value in enumerate(dict.fromkeys(series.loc[index < 0, column]))}
        series[f"{level}_index"] = [new[v] if i < 0 else i for i, v in zip(index, series[column], strict=True)]
        extra[level] = len(new)
        if level == "group" and new:
            notes.append(
                f"No run of group {next(iter(new))!r} was fitted, so that its band is as wide as groups differ. "
                f"Fitted: {', '.join(map(repr, members[:5]))}{' ...' if len(members) > 5 else ''}."
            )
    return extra
