"""``forecast``: bands for rows of seen, partly seen and unseen runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.columns import ONE_PER_RUN, TEXT
from bayeslaw.data.runs import Runs
from bayeslaw.data.settle import HIGH_LOSS
from bayeslaw.data.table import as_frame
from bayeslaw.data.units import exact
from bayeslaw.engine.conditioning import conditioned
from bayeslaw.errors import DataError, FitError
from bayeslaw.fit import Fit, check_named, checked, whole
from bayeslaw.laws import Schedule
from bayeslaw.reach import untested

IDENTITY = (
    "run",
    "group",
    "n_params",
    "n_params_once",
    "n_params_recurrent",
    "recurrence",
    "exit_step",
    "step",
    "tokens",
    "lr",
    "flops",
)


@dataclass(frozen=True, eq=False, repr=False)
class Band:
    """A forecast.

    Attributes
    ----------
    frame : one row per row asked for, in their order: identity columns, ``mean`` (of ``bounded`` draws) and ``median``
        of an observed loss, ``lo50, hi50, lo90, hi90`` (bounds of an observed loss at those levels, in per cent),
        ``curve_mean`` and ``curve_lo90, ...`` (bounds of the smooth curve beneath the noise). Nats per token. The
        median is taken of the curve's draws: noise lies as often above a curve as below, and would add its own scatter.
    curve : (S, rows) draws of the curve; ``observed`` : (S, rows) draws of a loss. Columns of one draw belong together.
    levels : the levels of the bands, as fractions.
    notes : sentences a reader of the band should know.
    row_share : (rows,) the share of the variance of a loss about the curve that is the row's own, and that a mean over
        neighbouring rows averages away; what is left is misfit. None if unknown.
    """

    frame: pd.DataFrame
    curve: np.ndarray
    observed: np.ndarray
    levels: tuple[float, ...]
    notes: tuple[str, ...] = ()
    row_share: np.ndarray | None = None

    def averaged(self, count: Any) -> np.ndarray:
        """Draws (S, rows) of a mean over neighbouring losses, which scatters less about the curve than one of them.

        ``count`` : how many independent losses each mean is worth, a number or one per row, from 1. Where ``row_share``
        is not known all scatter is taken for the rows' own.
        """
        share = np.ones(self.curve.shape[1]) if self.row_share is None else self.row_share
        return averaged(self.curve, self.observed, share, count)

    def __repr__(self) -> str:
        levels = ", ".join(f"{100 * level:g} %" for level in self.levels)
        return f"<Band: {len(self.frame):,} rows of {self.frame['run'].nunique():,} runs, bands at {levels}>"


def averaged(curve: np.ndarray, observed: np.ndarray, share: np.ndarray, count: Any) -> np.ndarray:
    """Draws (S, rows) of means over ``count`` losses, from those of the curve and of one loss (``Band.averaged``)."""
    left = np.sqrt(1 - share + share / np.asarray(count, float))
    return curve * (observed / curve) ** left


def forecast(
    fit: Fit,
    at: Runs | pd.DataFrame,
    given: Runs | pd.DataFrame | None = None,
    *,
    levels: Sequence[float] = (0.5, 0.9),
    schedules: Mapping[str, Schedule | str] | None = None,
    draws: int = 1000,
    seed: int = 0,
    backtest: Any = None,
) -> Band:
    """Forecast losses at the rows of ``at``.

    Parameters
    ----------
    fit : the posterior.
    at : rows to forecast: covariates, no loss (a loss column is not looked at). A run that was fitted is continued
        from its data; any other is a new one of its group, size and schedule.
    given : what is known so far of some of those runs: rows with losses. Conditions on them without running NUTS
        again: exactly for the run's own deviation, by importance weights for what runs share. For a run that was
        fitted, ``given`` replaces the rows that it was fitted on.
    levels : levels of the bands, each between 0 and 1.
    schedules : run → learning-rate schedule for laws that need one; by default read off ``lr`` in ``given`` and
        ``at`` together. It may name runs of ``at``, of ``given`` and of the fit.
    draws : posterior draws used, at most as many as the fit has.
    seed : the same seed gives the same band.
    backtest : a ``Backtest`` of the same model; the band's notes then say how often bands have held as far out as
        these rows, and where they lie farther out than anything tested. Without one they say that nothing was
        tested, and how far out the rows lie; False says nothing of this.

    Returns
    -------
    Band, whose frame has exactly one row per row of ``at``, in its order, with a fresh index; nats per token.

    Raises
    ------
    FitError
        The rows lack a column that the law needs, a level is not between 0 and 1, ``schedules`` names a run that is
        nowhere, or ``draws`` or ``seed`` is no whole number from 1 or 0.
    DataError
        ``at`` or ``given`` breaks the data contract, or gives a run another size or group than it is known to have.
    """
    import jax

    checked(fit)
    levels = _levels(levels)
    seed, draws = whole("seed", seed, 0), whole("draws", draws, 1)
    known = None if given is None else (given if isinstance(given, Runs) else Runs.from_frame(given, source="given"))
    rows = _rows(at, fit, known)
    check_named(schedules, rows.frame["run"], () if known is None else known.frame["run"], fit.runs)
    rng = np.random.default_rng(seed)
    # where the noise has heavy tails, a draw of a loss may be beyond all numbers: it is infinite then, as it should be
    with jax.enable_x64(True), np.errstate(over="ignore"):
        curve, observed, own, notes = conditioned(fit.problem, fit.draws(draws), rows, known, schedules or {}, rng)
    frame = _summary(rows.frame, curve, observed, levels)
    notes = [*notes, *_high(frame)]
    if backtest is not False:
        seen = None if known is None else known.frame
        said = untested(fit, frame, seen) if backtest is None else backtest.told(fit, frame, seen)
        notes = [*notes, *said]
    return Band(frame, curve, observed, levels, tuple(notes), own)


def _high(frame: Any) -> list[str]:
    """A sentence on rows whose loss is none of a language model: the law has left where it holds."""
    tall = frame.loc[frame["median"] > HIGH_LOSS, "run"]
    if tall.empty:
        return []
    runs = [str(run) for run in dict.fromkeys(tall)]
    more = f" and {len(runs) - 1:,} more" if len(runs) > 1 else ""
    return [
        f"Run {runs[0]!r}{more}: a median above {HIGH_LOSS:g} nats a token is more than a guess among all tokens has "
        "(about 11). No law holds there."
    ]


def _levels(levels: Any) -> tuple[float, ...]:
    try:
        found = tuple(float(level) for level in (levels if np.ndim(levels) else [levels]))
    except (TypeError, ValueError):
        raise FitError(f"levels are fractions between 0 and 1, such as (0.5, 0.9); got {levels!r}.") from None
    if not found or not all(0 < level < 1 for level in found):
        raise FitError(f"levels are fractions between 0 and 1, such as (0.5, 0.9); got {found}.")
    return found


def _rows(at: Any, fit: Fit, known: Runs | None) -> Runs:
    """``at`` as Runs. DataError where it gives a run another size or group than it is known to have."""
    rows = at
    if not isinstance(at, Runs):
        # rows to forecast may carry a loss (held-out rows do): it is not looked at, so it need not be valid either
        table = as_frame(at, "at").drop(columns=["loss"], errors="ignore")
        rows = Runs.from_frame(table, need_loss=False, source="at")
    problem = _contradiction(rows, fit, known)
    if problem is None:
        return rows
    if "run" in rows.mapping:
        raise DataError(problem)
    # a name that nobody gave is no claim to be the run that was called so when it was fitted without one
    return replace(rows, frame=rows.frame.assign(run="new " + rows.frame["run"]))


def _contradiction(rows: Runs, fit: Fit, known: Runs | None) -> str | None:
    """A sentence where a run of ``at`` is another model, or on another corpus, than what is known of that run.

    What is known of a run counts for the rows asked for under its name, so that a mistyped size would be told the
    wrong run's deviations. An empty cell says nothing, and does not contradict.
    """
    asked = rows.frame.groupby("run", sort=False).first()
    there = {"the fit": fit.problem.bins} if known is None else {"the fit": fit.problem.bins, "given": known.frame}
    for where, frame in there.items():
        told = frame.groupby("run", sort=False).first()
        both = asked.index.intersection(told.index)
        for name in [c for c in ONE_PER_RUN if c in asked and c in told]:
            mine, theirs = asked.loc[both, name], told.loc[both, name]
            alike = mine == theirs if name in TEXT else np.isclose(mine, theirs, rtol=1e-6)
            apart = both[np.asarray(~alike & mine.notna() & theirs.notna(), bool)]
            if len(apart):
                run = apart[0]
                return (
                    f"Run {run!r}: {name} is {exact(asked.at[run, name])} in at, but {exact(told.at[run, name])} in "
                    f"{where}. A run of that name is continued: give another run another name."
                )
    return None


def bounded(draws: np.ndarray) -> np.ndarray:
    """Draws (S, rows) of a loss, those beyond a factor of five of their median put there.

    Heavy-tailed noise of log losses has no mean, and now and then a draw beyond all numbers: out there a forecast says
    no more.
    """
    usual = np.median(draws, axis=0)
    return np.clip(draws, usual / 5, usual * 5)


def _summary(frame: pd.DataFrame, curve: np.ndarray, observed: np.ndarray, levels: tuple[float, ...]) -> pd.DataFrame:
    out: dict[str, Any] = {name: frame[name].to_numpy() for name in IDENTITY if name in frame}
    if "tokens" not in out:
        out["tokens"] = np.full(len(frame), np.nan)
    # noise is symmetric about the curve's logarithm: its draws would add their own scatter to the median, row by row
    out["mean"], out["median"] = bounded(observed).mean(axis=0), np.median(curve, axis=0)
    out["curve_mean"] = curve.mean(axis=0)
    tails = np.array([[(1 - level) / 2, (1 + level) / 2] for level in levels])
    for prefix, draws in (("", observed), ("curve_", curve)):
        quantiles = np.quantile(draws, tails.ravel(), axis=0)
        for i, level in enumerate(levels):
            out[f"{prefix}lo{100 * level:g}"], out[f"{prefix}hi{100 * level:g}"] = (
                quantiles[2 * i],
                quantiles[2 * i + 1],
            )
    return pd.DataFrame(out)
