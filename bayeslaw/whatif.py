"""``what_if``: where a run ends under learning-rate schedules that it has not run yet.

    bl.what_if(fit, "my-run", schedules=["wsd:decay=0.2", "cosine:total=40000"])

A schedule is written as ``Schedule.parse`` reads it, and may leave out what the run has settled already, its rate and
its warm-up: see ``laws/schedule_ahead.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.engine.rows import schedules_of
from bayeslaw.errors import FitError
from bayeslaw.fit import Fit
from bayeslaw.forecast import Band, forecast
from bayeslaw.laws import Schedule, get_law
from bayeslaw.laws.schedule_ahead import joined, short_decay, still_ahead
from bayeslaw.onward import counted_on, lasting
from bayeslaw.reach import fitted_rows

#: rows of a continued curve, from now to the end
ROWS = 40
#: a jump of the rate at the seam that is worth telling
JUMP = 0.02


@dataclass(frozen=True, eq=False, repr=False)
class WhatIf:
    """What would come of each schedule.

    Attributes
    ----------
    frame : one row per schedule: ``run``, ``schedule`` (as asked), ``step``, ``tokens``, ``lr`` at the end, ``mean``,
        ``median``, ``lo50, hi50, lo90, hi90`` of the final observed loss, ``curve_*`` of the curve, and ``gain``: the
        first schedule's final curve less this one's, mean and 90 % interval, ``gain_lo90``, ``gain_hi90``: of the same
        draws, so that what they share cancels. Nats per token.
    bands : schedule → ``Band`` from now to its end.
    notes : what the reader should know.
    past : the run up to now, its last row: ``step``, ``loss`` (as given, or in the bins of the fit; NaN where now has
        none) and ``lr``. None if unknown.
    """

    frame: pd.DataFrame
    bands: Mapping[str, Band]
    notes: tuple[str, ...] = ()
    past: pd.DataFrame | None = None

    def __repr__(self) -> str:
        return f"<WhatIf: {len(self.frame)} schedules of {self.frame['run'].iloc[0]}>"


def what_if(
    fit: Fit,
    run: str | None = None,
    *,
    schedules: Sequence[str | Schedule],
    given: Runs | pd.DataFrame | None = None,
    levels: Sequence[float] = (0.5, 0.9),
    rows: int = ROWS,
    draws: int = 1000,
    seed: int = 0,
    backtest: Any = None,
) -> WhatIf:
    """Forecast the end of a run under schedules not yet run.

    Parameters
    ----------
    fit : a fit whose law reads schedules (cards ``multi-power``, ``annealed``).
    run : the run to continue; may be left out where the fit (or ``given``) has one only.
    schedules : lines such as ``"wsd:decay=0.2"`` (a share of the whole; above 1 it is a number of steps), or
        ``Schedule`` records, which are taken as they are.
    given : what is known of the run so far, in place of what was fitted.
    levels, draws, seed, backtest : as in ``forecast``.
    rows : rows of each band, evenly spaced from now to the end.

    Returns
    -------
    WhatIf, whose ``frame`` has one row per schedule: the final loss and the gain over the first, nats per token.

    Raises
    ------
    FitError
        The law reads no schedule, there is no such run, or a schedule ends before now.
    DataError
        A schedule's line cannot be read.
    """
    law = get_law(fit.card.law)
    if "schedule" not in law.covariates:
        raise FitError(
            f"The law of this fit ({law.name}) reads no learning rates, so every schedule would end alike. "
            f"Fit a card that does: multi-power or annealed."
        )
    if not schedules:
        raise FitError('Name at least one schedule: schedules=["wsd:decay=0.2"].')
    known = given if isinstance(given, Runs) or given is None else Runs.from_frame(given)
    name = _pick(fit, run, known)
    past, now = _past(fit, name, known)
    mine = _rows(fit, name, known)
    bands: dict[str, Band] = {}
    notes: list[str] = []
    table, first = [], None
    before = float(past.rate(now))
    for asked in schedules:
        title = asked if isinstance(asked, str) else f"schedule {len(bands) + 1}"
        ahead = still_ahead(asked, title, past, now, name)
        whole = joined(past, ahead, now)
        after = float(whole.rate(now + 1))
        if abs(after - before) > JUMP * max(before, whole.eta_peak):
            notes.append(f"{title}: the rate jumps from {before:.3g} to {after:.3g} at step {now:,}.")
        notes += short_decay(asked)
        steps = np.unique(np.round(np.linspace(now, ahead.total, rows + 1)[1:]))
        at = pd.DataFrame({"run": name, "step": steps, **lasting(mine)})
        tokens = counted_on(mine, "step", "tokens", steps)
        if tokens is not None:
            at["tokens"] = tokens
        band = forecast(
            fit, at, known, levels=levels, schedules={name: whole}, draws=draws, seed=seed, backtest=backtest
        )
        band.frame["lr"] = whole.rate(steps)
        bands[title] = band
        notes += band.notes
        end = band.curve[:, -1]
        first = end if first is None else first
        gain = first - end
        low, high = np.quantile(gain, [0.05, 0.95])
        row = band.frame.iloc[-1].to_dict()
        table.append(
            {"run": name, "schedule": title} | row | {"gain": gain.mean(), "gain_lo90": low, "gain_hi90": high}
        )
    two = counted_on(mine, "step", "tokens", np.array([now, now + 1.0]))
    if two is not None:
        notes.append(f"Tokens ahead are counted at {np.diff(two)[0]:,.0f} a step, as lately.")
    return WhatIf(pd.DataFrame(table), bands, tuple(dict.fromkeys(notes)), _so_far(fit, name, known, past, now))


def _pick(fit: Fit, run: str | None, known: Runs | None) -> str:
    there = list(known.names) if known is not None else list(fit.runs)
    if run is None and len(there) == 1:
        return there[0]
    if run is None or run not in {*there, *fit.runs}:
        some = ", ".join(map(repr, there[:5])) + (" ..." if len(there) > 5 else "")
        raise FitError(f"{'Say which run to continue' if run is None else f'There is no run {run!r}'}: {some}.")
    return run


def _past(fit: Fit, run: str, known: Runs | None) -> tuple[Schedule, int]:
    """The schedule so far and the last step known."""
    if known is not None and run in known.names:
        step: Any = known.curve(run)["step"] if "step" in known.frame else pd.Series(dtype=float)
        if not len(step) or step.isna().any():
            raise FitError(f"Run {run!r} has no steps in given: a schedule goes by steps.")
        history = {run: fit.problem.schedules[run]} if run in fit.problem.schedules else None
        return schedules_of(known.select(run), history=history)[run], int(step.max())
    bins = fitted_rows(fit)
    return fit.problem.schedules[run], round(bins.loc[bins["run"] == run, "step"].max())


def _so_far(fit: Fit, run: str, known: Runs | None, past: Schedule, now: int) -> pd.DataFrame:
    """Steps, losses and rates of the run up to now: its rows where they are given, else the bins of the fit."""
    rows: Any = known.curve(run) if known is not None and run in known.names else fit.problem.bins
    rows = rows.loc[rows["run"] == run, ["step", "loss"]].sort_values("step", ignore_index=True)
    if rows["step"].iloc[-1] < now:  # a bin stands at the middle of its rows
        rows.loc[len(rows)] = [now, np.nan]
    return rows.assign(lr=past.rate(rows["step"].to_numpy(float)))


def _rows(fit: Fit, run: str, known: Runs | None) -> Any:
    """The rows of the run so far: as they are given, else the bins of the fit, each at its last row."""
    frame: Any = known.curve(run) if known is not None and run in known.names else fitted_rows(fit)
    return frame[frame["run"] == run]
