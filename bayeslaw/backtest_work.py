"""One unit of a backtest's work: fit what may be seen, forecast what is held back, score it. A pure function.

A unit carries all that it needs and nothing else, so that it can run in another process or on another machine, and
the same unit gives the same numbers wherever it runs.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw import scores
from bayeslaw.backtest_code import code_digest, law_digest
from bayeslaw.backtest_parts import Frame, Part, plain
from bayeslaw.baselines import Ask, NotApplicable, get_baseline
from bayeslaw.cards import Card
from bayeslaw.data.columns import is_canonical
from bayeslaw.data.runs import Runs
from bayeslaw.forecast import averaged, bounded
from bayeslaw.laws import LAWS, Schedule, get_law

#: draws (S, rows) of the curve and of a loss, the point forecast (rows,), the rows' own share of the scatter (rows,)
Answered = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class Unit:
    """One contestant on the splits that share a fit. ``card`` is the model, or None for the baseline ``model``."""

    model: str
    card: Card | None
    learn: Runs
    parts: tuple[Part, ...]
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    approx: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        """With the card's law, which may be one of the user's own: no other process has registered that."""
        return {**self.__dict__, "law": None if self.card is None else get_law(self.card.law)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        law = state["law"]
        if law is not None:
            LAWS.setdefault(law.name, law)
        self.__dict__.update({k: v for k, v in state.items() if k != "law"})

    @functools.cached_property
    def key(self) -> str:
        """SHA-256 over everything that the numbers depend on, the code included."""
        from bayeslaw.storage import versions

        rows = [
            [p.name, p.fold, p.origin, p.given.fingerprint if p.given else None, _digest(p.rows)] for p in self.parts
        ]
        lr = {run: [s.steps.tolist(), s.rates.tolist(), s.warmup] for run, s in sorted(self.schedules.items())}
        what = {
            "model": self.model,
            "card": None if self.card is None else dict(self.card.source),
            "learn": self.learn.fingerprint,
            "parts": rows,
            "schedules": hashlib.sha256(json.dumps(lr).encode()).hexdigest(),
            "settings": dict(self.settings),
            "approx": self.approx,
            "code": code_digest(),
            "law": "" if self.card is None else law_digest(get_law(self.card.law)),
            "versions": versions(),
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Scored:
    """The answer: ``points``, one row per scored row, and ``info``: seconds, notes, checks, or why it was skipped."""

    points: Frame
    info: dict[str, Any]


def _digest(frame: Frame) -> str:
    return hashlib.sha256(frame.to_csv(index=False, float_format="%.12g").encode()).hexdigest()


def run_unit(unit: Unit) -> Scored:
    """Fit, forecast and score one unit."""
    start = time.perf_counter()
    try:
        answers, info = _by_model(unit) if unit.card is not None else _by_baseline(unit)
    except NotApplicable as error:
        return Scored(pd.DataFrame(), {"key": unit.key, "model": unit.model, "skipped": str(error)})
    tables = []
    for part, answer in zip(unit.parts, answers, strict=True):
        table = score_rows(part.rows, *answer)
        table.insert(0, "model", unit.model)
        table.insert(1, "split", part.name)
        table.insert(2, "fold", part.fold)
        table.insert(3, "origin", part.origin)
        tables.append(table)
    info |= {"key": unit.key, "model": unit.model, "splits": [p.name for p in unit.parts]}
    info["seconds"] = time.perf_counter() - start
    return Scored(pd.concat(tables, ignore_index=True), info)


def _asked(rows: Frame) -> Frame:
    """The covariates alone: no loss, and no rate, which the schedules tell."""
    return rows[[c for c in rows.columns if is_canonical(c) and c not in ("loss", "lr")]]


def _by_model(unit: Unit) -> tuple[list[Answered], dict[str, Any]]:
    from bayeslaw.fit import fit
    from bayeslaw.forecast import forecast

    assert unit.card is not None
    settings = dict(unit.settings)
    draws = int(settings.pop("forecast_draws"))
    lr = unit.schedules if "schedule" in get_law(unit.card.law).covariates else None
    info: dict[str, Any] = {}
    if unit.approx:
        made = at_mode(unit.card, unit.learn, lr, draws, settings)
    else:
        made = fit(unit.learn, unit.card, schedules=_of(lr, unit.learn.frame), **settings)
        check = made.check()
        info = {"ok": check.ok, "check": {r["test"]: r["value"] for r in check.frame.to_dict(orient="records")}}
    answers, notes = [], list(made.problem.notes)
    for part in unit.parts:
        asked = [unit.learn.frame, part.rows, *([] if part.given is None else [part.given.frame])]
        band = forecast(
            made,
            _asked(part.rows),
            part.given,
            levels=(0.9,),
            schedules=_of(lr, *asked),
            draws=draws,
            seed=settings["seed"],
            backtest=False,
        )
        answers.append((band.curve, band.observed, band.curve.mean(axis=0), band.row_share))
        notes += [f"{part.name}: {note}" for note in band.notes]
    return answers, {**info, "notes": notes}


def _of(schedules: Mapping[str, Schedule] | None, *frames: Frame) -> dict[str, Schedule] | None:
    """Of all runs' schedules those of the runs in some tables: no other run may be named to them."""
    there = {str(run) for frame in frames for run in frame["run"].unique()}
    return None if schedules is None else {run: s for run, s in schedules.items() if run in there}


def _by_baseline(unit: Unit) -> tuple[list[Answered], dict[str, Any]]:
    predict, answers = get_baseline(unit.model), []
    learn = plain(unit.learn)
    for i, part in enumerate(unit.parts):
        if "exit_step" in part.rows and part.rows["exit_step"].notna().any():
            raise NotApplicable("No baseline knows losses at several exit steps.")
        rng = np.random.default_rng([int(unit.settings["seed"]), 2, i])
        given = plain(part.given) if part.given is not None else learn.iloc[:0]
        at = _asked(part.rows).reset_index(drop=True)
        found = predict(Ask(learn, given, at, int(unit.settings["forecast_draws"]), rng, unit.schedules))
        answers.append((found.curve, found.observed, found.centre, None))
    return answers, {}


def at_mode(
    card: Card, runs: Runs, schedules: Mapping[str, Schedule] | None, draws: int, settings: Mapping[str, Any]
) -> Any:
    """A ``Fit`` whose draws are normal around the mode, for exploration only: it is quick, and its bands are not those
    of the posterior."""
    import jax

    from bayeslaw.engine.assemble import assemble
    from bayeslaw.engine.mode import find_mode
    from bayeslaw.engine.warp import to_z
    from bayeslaw.fit import Fit

    seed = int(settings["seed"])
    with jax.enable_x64(True):
        problem = assemble(card, runs, schedules, int(settings.get("max_bins", 40)))
        data = jax.tree.map(jax.numpy.asarray, problem.data)
        mode, factor = find_mode(problem.layout, data, seed)
        y = mode + np.random.default_rng(seed).standard_normal((draws, len(mode))) @ factor.T
        z = np.asarray(jax.vmap(lambda one: to_z(problem.layout, data["prior"], one))(jax.numpy.asarray(y)))
    return Fit(card, problem, z[None], {}, {"seed": seed})


def _measured_share(rows: Frame, deviations: np.ndarray) -> np.ndarray:
    """Of the variance of ``deviations`` (S, rows) of single losses, what a run's own scatter accounts for: (rows,).

    Of a whole run together, for a stretch of two or three rows does not tell its own scatter.
    """
    per_run = rows.assign(foretold=deviations.var(axis=0), measured=rows["noise"] ** 2).groupby("run")
    foretold, measured = (per_run[name].transform("mean").to_numpy(float) for name in ("foretold", "measured"))
    return np.clip(measured / np.maximum(foretold, 1e-300), 0.0, 1.0)


def score_rows(
    rows: Frame,
    curve: np.ndarray,
    observed: np.ndarray,
    centre: np.ndarray,
    share: np.ndarray | None = None,
) -> Frame:
    """Score each row of one split: identity columns, then the scores; losses and widths in nats.

    On the raw level the forecast is of an observed loss. On the curve level the truth is a mean over a stretch of rows,
    and the forecast is of such a mean (``Band.averaged``): ``share`` (rows,) of a loss's variance about the curve is
    the row's own. A contestant who does not say is granted what is measured of it along the run.
    """
    draws = observed.copy()
    smooth = (rows["level"] == "curve").to_numpy()
    if smooth.any():
        mine = rows[smooth]
        one, at = np.maximum(observed[:, smooth], 1e-6), np.maximum(curve[:, smooth], 1e-6)
        own = _measured_share(mine, np.log(one / at)) if share is None else share[smooth]
        draws[:, smooth] = averaged(at, one, own, mine["n_eff"].to_numpy(float))
    draws = bounded(draws)
    truth = rows["loss"].to_numpy(float)
    names = ("run", "group", "n_params", "step", "tokens", "level", "final", "reach", "reach_n", "seen")
    out = rows[[c for c in names if c in rows]].reset_index(drop=True)
    out = out.assign(loss=truth, mean=centre, sd=draws.std(axis=0), crps=scores.crps(draws, truth))
    out = out.assign(log_score=scores.log_score(draws, truth), pit=scores.pit(draws, truth))
    for level in scores.LEVELS:
        low, high = scores.interval(draws, level)
        out[f"lo{100 * level:g}"], out[f"hi{100 * level:g}"] = low, high
    out["curve_error"] = np.nan
    code = out.groupby(["run", "level"], sort=False).ngroup().to_numpy()
    for i in range(code.max() + 1):
        mine = code == i
        # how many predictive sd the curve as a whole is off by: of the mean over its rows, errors and all
        means = draws[:, mine].mean(axis=1)
        out.loc[mine, "curve_error"] = (truth[mine].mean() - means.mean()) / max(float(means.std()), 1e-12)
    return out
