"""Where runs go from here: which model card suits a log, and the rows that lie ahead of it.

choice = bl.suggest(runs)                       # print(choice) says which card, and why
fit = bl.fit(runs, model=choice.model)
band = bl.forecast(fit, at=bl.ahead(runs, tokens="2T"))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.data.units import human, parse
from bayeslaw.errors import DataError
from bayeslaw.fit import Fit
from bayeslaw.reach import fitted_rows

#: rows of a run ahead, evenly spaced in the log of its axis
ROWS = 30
#: fewest rows of a curve that may be continued
FEWEST = 10
#: a rate below this share of its peak is falling
FALLING = 0.98
#: what stays as it is while a run goes on
LASTING = ("group", "n_params", "n_params_once", "n_params_recurrent", "recurrence", "exit_step")


@dataclass(frozen=True)
class Choice:
    """A model card for a log.

    Attributes
    ----------
    model : the card's name.
    why : one sentence: what of the log decided.
    together : True if the runs inform one another in one fit, False if each is to be fitted by itself.
    notes : what the card cannot know, and what to give so that a better one can be taken.
    """

    model: str
    why: str
    together: bool
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([f"Model {self.model}: {self.why}", *self.notes])


def suggest(runs: Runs, *, schedule: bool = False) -> Choice:
    """Choose a model card by what a log holds. A rule of thumb; ``bayeslaw.compare`` measures instead.

    Parameters
    ----------
    runs : runs with losses.
    schedule : whether the learning rate ahead is known, so that a law that reads it can be used.

    Raises
    ------
    DataError
        The log has neither tokens nor steps; or ``schedule`` is asked for and the log lacks steps or learning rates.
    """
    frame: Any = runs.frame[runs.frame["kept"]]
    known = {c for c in frame.columns if frame[c].notna().all()}
    number = len(runs.names)
    sizes = frame["n_params"].nunique() if "n_params" in known else 0
    loops = frame["recurrence"].nunique() if "recurrence" in known else 0
    if schedule:
        missing = [c for c in ("step", "lr") if c not in known]
        if missing:
            raise DataError(
                f"A schedule ahead goes with a log of the rate so far, and {runs.source} has no "
                f"{' and no '.join(missing)} in every row. Log it, or name its column with --column {missing[0]}=..."
            )
        return Choice("multi-power", "the log has learning rates, and what they do ahead is given.", True)
    if "tokens" not in known and "step" not in known:
        raise DataError(f"{runs.source} has neither tokens nor steps, so nothing says how far along its rows are.")
    if "tokens" in known and loops > 1:
        if {"n_params_once", "n_params_recurrent"} <= known:
            return Choice("iso-depth", f"looped models of {loops} recurrences, with the parameters of the loop.", True)
        if sizes:
            stops = "exit_step" in frame and bool(frame["exit_step"].notna().any())
            name = "looped-stepwise" if stops else "looped-total"
            return Choice(name, f"looped models of {loops} recurrences{', with exit steps' if stops else ''}.", True)
    if "tokens" in known and sizes > 1 and number > 2:
        return Choice("chinchilla", f"{number} runs of {sizes} sizes with tokens.", True, _of_rate(frame, known))
    if "tokens" in known:
        name, axis, notes = "power-law", "tokens", ()
    else:
        name, axis = "power-law-steps", "steps"
        notes = ("Tokens are not known: --batch-tokens 4M would make them of the steps.",)
    if number == 1:
        why, together = f"one run, whose curve settles a power law in its {axis} and no more.", True
    elif sizes == 1:
        why, together = f"{number} runs of one size: one power law in {axis}, and each its own level.", True
    else:
        why, together = f"{number} runs and nothing that ties them: each gets a power law in its {axis}.", False
        if not sizes:
            notes = (*notes, "With n_params, runs of several sizes would inform one another.")
    return Choice(name, why, together, (*notes, *_of_rate(frame, known)))


def _of_rate(frame: Any, known: set[str]) -> tuple[str, ...]:
    """What a law without learning rates does not know of them."""
    if not {"lr", "step"} <= known:
        return ("The learning rate is not in the log: if it is lowered towards the end, the loss ends below the band.",)
    falling = []
    for _, rows in frame.groupby("run", sort=False):
        rates = rows.sort_values("step")["lr"].to_numpy(float)
        falling.append(bool(rates[-1] < FALLING * rates.max()))
    say = "say how it goes on with --schedule, e.g. "
    if any(falling):
        return (f"The learning rate is falling, which this law does not know: {say}cosine:total=50000.",)
    return (f"The learning rate is taken to stay as it is; else {say}wsd:decay=0.2.",)


def ahead(
    runs: Runs | Fit,
    *,
    tokens: float | str | None = None,
    step: float | str | None = None,
    names: Sequence[str] | None = None,
    rows: int = ROWS,
) -> pd.DataFrame:
    """The rows from where runs stand to a target: covariates without losses, for ``bl.forecast(at=)``.

    Of a looped run with losses at several exits they are of the total loss, where it is logged, else of the last exit.

    Parameters
    ----------
    runs : the log, or a fit (its runs then go on from the last row that was fitted).
    tokens, step : the target, one of the two: ``"2T"`` tokens, or 50,000 steps. The other is counted on as in the last
        half of the run, where it is known.
    names : the runs to continue; by default all that have not reached the target.
    rows : rows of each run, evenly spaced in the log, the target the last; fewer where there are fewer steps ahead.

    Raises
    ------
    DataError
        Not one target was given, ``rows`` is below 1, the log does not count that way, there is no such run, a run is
        too short to be continued or a single point, or all have reached the target.
    """
    if (tokens is None) == (step is None):
        raise DataError('Give one target: tokens="2T", or step=50000.')
    if rows < 1:
        raise DataError(f"rows is how many rows each run gets, at least 1; got {rows}.")
    axis, other = ("tokens", "step") if step is None else ("step", "tokens")
    target = parse(tokens if step is None else step, axis)  # type: ignore[arg-type]
    if target <= 0:
        raise DataError(f"A target of {target:g} {axis} is none: it lies ahead of the runs, as in 2T tokens.")
    frame, source = _so_far(runs)
    if axis not in frame or not frame[axis].notna().any():
        hint = (
            'say how many a step takes (batch_tokens="4M", or --batch-tokens 4M), or aim at a step (step=, --to-step)'
            if axis == "tokens"
            else 'aim at tokens (tokens="2T", or --to 2T)'
        )
        raise DataError(f"{source} does not count {axis}: {hint}.")
    if _of_points(runs):
        raise DataError(
            f"Every run of {source} is a single point, which says nothing of where its run goes. Give rows to forecast "
            f"instead (at=, or --at FILE), or ask where a budget goes (bl.plan, or bayeslaw plan)."
        )
    there = [str(name) for name in frame["run"].unique()]
    wanted = list(names) if names else there
    for name in wanted:
        if name not in there:
            some = ", ".join(map(repr, there[:5])) + (" ..." if len(there) > 5 else "")
            raise DataError(f"There is no run {name!r} in {source}: {some}.")
    out, reached = [], []
    for name in wanted:
        # of a looped run's losses the total comes last, or else the last exit, whichever was logged last of all
        mine = frame[frame["run"] == name].sort_values([c for c in ("exit_step", axis) if c in frame])
        last = float(mine[axis].max())
        if not last < target:
            reached.append(f"{name} is at {_count(last, axis)}")
            continue
        # a bin of a fit stands for several rows
        count = len(mine) if isinstance(runs, Runs) else int(mine["count"].sum())
        if count < FEWEST:
            raise DataError(
                f"Run {name!r} has {count} row{'s' * (count > 1)}, and a curve of fewer than {FEWEST} says nothing of "
                f"where it goes. Give rows to forecast instead (at=, or --at FILE)."
            )
        x = np.geomspace(last, target, rows + 1)[1:]
        x[-1] = target
        if axis == "step":
            x = np.unique(np.append(np.round(x), target))
            x = x[(x > last) & (x <= target)]
        table = pd.DataFrame({"run": name, axis: x, **lasting(mine)})
        counted = counted_on(mine, axis, other, x)
        out.append(table if counted is None else table.assign(**{other: counted}))
    if not out:
        raise DataError(f"Nothing lies ahead: {'; '.join(reached[:3])}, and the target is {_count(target, axis)}.")
    return pd.concat(out, ignore_index=True)


def lasting(rows: Any) -> dict[str, Any]:
    """What stays as it is while a run goes on, from the last of its ``rows``; without what they lack."""
    return {name: rows[name].iloc[-1] for name in LASTING if name in rows and pd.notna(rows[name].iloc[-1])}


def counted_on(rows: Any, axis: str, other: str, x: np.ndarray) -> np.ndarray | None:
    """``other`` (tokens or steps) at ``x`` (n,) of ``axis``, counted on from the last of a run's ``rows``.

    It is counted as in the last half of the run, for batches may have grown before; of one row, as from the start. None
    where it is not known.
    """
    if other not in rows or rows[other].isna().any():
        return None
    last, reached = float(rows[axis].max()), float(rows[other].max())
    late = rows[rows[axis] >= 0.5 * last]
    late = late if len(late) > 1 else rows
    gone, counted = np.ptp(late[axis].to_numpy(float)), np.ptp(late[other].to_numpy(float))
    return reached + (x - last) * counted / gone if gone > 0 else reached * x / last


def _of_points(runs: Runs | Fit) -> bool:
    """Whether every run is one point: a table of final losses, of which none goes on."""
    return runs.one_point if isinstance(runs, Runs) else runs.problem.layout.likelihood == "points"


def _so_far(runs: Runs | Fit) -> tuple[Any, str]:
    if isinstance(runs, Runs):
        return runs.frame[runs.frame["kept"]], runs.source
    return fitted_rows(runs), "the fit"


def _count(number: float, axis: str) -> str:
    return f"{human(number)} tokens" if axis == "tokens" else f"step {number:,.0f}"
