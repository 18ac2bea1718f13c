"""``forecast``: bands for rows of seen, partly seen and unseen runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.engine.conditioning import conditioned
from bayeslaw.errors import FitError
from bayeslaw.fit import Fit, whole
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
    frame : one row per row asked for, in their order: identity columns, ``mean`` and ``median`` of an observed loss,
        ``lo50, hi50, lo90, hi90`` (bounds of an observed loss at those levels, in per cent), ``curve_mean`` and
        ``curve_lo90, ...`` (bounds of the smooth curve beneath the noise). Nats per token.
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
        ``at`` together.
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
        The rows lack a column that the law needs, a level is not between 0 and 1, or ``draws`` or ``seed`` is no
        whole number from 1 or 0.
    DataError
        ``at`` or ``given`` breaks the data contract.
    """
    import jax

    levels = tuple(float(level) for level in levels)
    if not levels or not all(0 < level < 1 for level in levels):
        raise FitError(f"levels are fractions between 0 and 1, such as (0.5, 0.9); got {levels}.")
    seed, draws = whole("seed", seed, 0), whole("draws", draws, 1)
    rows = _rows(at)
    known = None if given is None else (given if isinstance(given, Runs) else Runs.from_frame(given))
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        curve, observed, own, notes = conditioned(fit.problem, fit.draws(draws), rows, known, schedules or {}, rng)
    frame = _summary(rows.frame, curve, observed, levels)
    if backtest is not False:
        seen = None if known is None else known.frame
        said = untested(fit, frame, seen) if backtest is None else backtest.told(fit, frame, seen)
        notes = [*notes, *said]
    return Band(frame, curve, observed, levels, tuple(notes), own)


def _rows(at: Runs | pd.DataFrame) -> Runs:
    if isinstance(at, Runs):
        return at
    table = pd.DataFrame(at)
    # rows to forecast may carry a loss (held-out rows do): it is not looked at, so it need not be valid either
    return Runs.from_frame(table.drop(columns=["loss"], errors="ignore"), need_loss=False, source="at")


def _summary(frame: pd.DataFrame, curve: np.ndarray, observed: np.ndarray, levels: tuple[float, ...]) -> pd.DataFrame:
    out: dict[str, Any] = {name: frame[name].to_numpy() for name in IDENTITY if name in frame}
    if "tokens" not in out:
        out["tokens"] = np.full(len(frame), np.nan)
    out["mean"], out["median"] = observed.mean(axis=0), np.median(observed, axis=0)
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
