"""Runs that could be trained next: where they stand, what they cost, and what each draw expects of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.data.settle import HIGH_LOSS
from bayeslaw.data.units import human, parse
from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit
from bayeslaw.plan.costs import Cost, cost_of
from bayeslaw.plan.surface import Surface, plannable

#: variance of a Student-t with fewer degrees of freedom is infinite, or as good as
LEAST_NU = 2.5
#: FLOP of a candidate over what its N and D cost by the fit's own count, at least and at most. A count of one's own
#: adds attention and embeddings, which come to some three times the rest at 25M parameters; hardly any leaves half out.
LEAST_RATIO, MOST_RATIO = 0.5, 4.0


@dataclass(frozen=True)
class Candidates:
    """Candidate runs under every draw.

    Attributes
    ----------
    frame : one row per candidate: run, n_params, tokens, recurrence, group where known, and ``flops``, its cost.
    log_loss : (S, c) log loss that each draw's surface expects.
    noise : (c,) sd of a run's log loss about the surface, its size's shift left out; root mean square of the draws.
    block : (c,) candidates of the same block share their size's shift, whose sd is ``shift``.
    """

    frame: pd.DataFrame
    log_loss: np.ndarray
    noise: np.ndarray
    block: np.ndarray
    shift: float

    def __len__(self) -> int:
        return len(self.frame)

    def covariance(self) -> np.ndarray:
        """(c, c): of the noise of the candidates' log losses; runs of one size share its shift."""
        same = self.block[:, None] == self.block[None, :]
        return np.diag(self.noise**2) + self.shift**2 * same

    @property
    def cost(self) -> np.ndarray:
        """(c,) FLOP."""
        return self.frame["flops"].to_numpy(float)


def candidates(
    fit: Fit,
    table: pd.DataFrame,
    surfaces: dict[str | None, Surface] | None = None,
    draws: int = 2000,
    z: np.ndarray | None = None,
    seed: int = 0,
) -> Candidates:
    """Candidates from a table with n_params and tokens, or n_params and flops, or tokens and flops.

    The missing one of C, N and D follows from the group's own measured cost of a token. ``group`` and ``recurrence``
    are read where the table has them; each group that was not fitted is a new one with deviations of its own, and rows
    without a group are of the new group that has no name. ``surfaces`` (group → surface) may share draws with other
    parts of a plan; ``z`` (S, dim) are the draws and ``seed`` the seed of those that are made here.

    Raises
    ------
    PlanError
        The table is empty, has too few columns, or a number that is not above zero; a name stands there twice; a row's
        n_params, tokens and flops cannot all be true; a recurrence is none, or the law knows none; or the law expects
        a loss there that no language model has.
    """
    frame = read_table(fit, table)
    found = surfaces if surfaces is not None else {}
    groups = pd.Series(group_names(frame), dtype=object)
    pooled, new = [str(g) for g in fit.problem.levels.get("group", [])], unknown_groups(fit, frame)
    log_loss, noise = np.empty((0, 0)), np.empty(len(frame))
    for group in groups.unique():
        key = group if group in (*pooled, *new) else None
        if key not in found:
            found[key] = Surface(fit, key if key in pooled else None, draws=draws, seed=seed, z=z, new=key or "")
        surface = found[key]
        if not log_loss.size:
            log_loss = np.empty((surface.count, len(frame)))
        mine = np.flatnonzero((groups == group) if group is not None else groups.isna())
        cost = cost_of(surface)
        for i in mine:
            _complete(frame, int(i), surface, cost)
        same = [surface.budgets(frame.loc[mine]), frame.loc[mine, "recurrence"].to_numpy(float)]
        alike: Any = pd.Series(mine).groupby(same, sort=False)
        for (budget, r), part in alike:
            at = part.to_numpy()
            n, d = (frame.loc[at, c].to_numpy(float)[None, :] for c in ("n_params", "tokens"))
            log_loss[:, at] = np.log(surface.loss(n, d, r, budget)) + surface.shift(budget)[:, None]
            noise[at] = _noise(surface, n, d)
    _refuse_high(frame, np.exp(np.median(log_loss, axis=0)))
    size = np.round(np.log(frame["n_params"].to_numpy(float)) / 0.02).astype(int)
    shift = next(iter(found.values())).values.get("offset:size:tau")
    return Candidates(frame, log_loss, noise, size, float(np.sqrt(np.mean(shift**2))) if shift is not None else 0.0)


def read_table(fit: Fit, table: Any) -> Any:
    """The candidates' frame: a name each, numbers (also written "1B") for n_params, tokens, flops and recurrence.

    PlanError as of ``candidates``, for all that the table alone tells.
    """
    frame: Any = frame_of(table).reset_index(drop=True).copy()
    if not len(frame):
        raise PlanError("There is no candidate run: give at least one row with two of n_params, tokens and flops.")
    columns = ", ".join(map(str, frame.columns))
    if "run" not in frame:
        frame["run"] = [f"candidate {i + 1}" for i in range(len(frame))]
    _refuse_twins(frame["run"].astype(str))
    for name, least in (("n_params", 0.0), ("tokens", 0.0), ("flops", 0.0), ("recurrence", 1.0)):
        given = frame[name] if name in frame else pd.Series(1.0 if least else np.nan, frame.index)
        values = frame[name] = pd.Series([_number(v, name) for v in given], frame.index)
        wrong = (values < 1) | values.isna() if least else (values <= 0) | (values == np.inf)
        if wrong.any():
            at, should = int(wrong.argmax()), "at least 1" if least else "above 0 and finite"
            raise PlanError(f"Candidate {frame['run'].iloc[at]!r} has {name} {values[at]:g}: it must be {should}.")
    if "recurrence" not in plannable(fit).covariates and (frame["recurrence"] != 1).any():
        raise PlanError("The fit's law knows no recurrence: fit iso-depth or looped-total, or leave the column out.")
    short = frame[["n_params", "tokens", "flops"]].notna().sum(axis=1) < 2
    if short.any():
        name = frame["run"].iloc[int(short.argmax())]
        raise PlanError(f"Candidate {name!r} needs two of n_params, tokens and flops; the table has {columns}.")
    return frame


def _number(value: Any, name: str) -> float:
    """A cell of the table, NaN where it is empty."""
    if value is None or value is pd.NA or (isinstance(value, str) and not value.strip()):
        return np.nan
    return parse(value, name) if isinstance(value, str) else float(value)


def frame_of(table: Any) -> pd.DataFrame:
    """The table of candidates as a frame, of Runs too."""
    return table.frame if isinstance(table, Runs) else pd.DataFrame(table)


def _refuse_high(frame: Any, loss: np.ndarray) -> None:
    """PlanError for a candidate whose expected loss (c,) is none: what the law says there is nothing to learn from."""
    if (loss > HIGH_LOSS).any():
        at = int(loss.argmax())
        n, d = (human(float(frame[name][at])) for name in ("n_params", "tokens"))
        raise PlanError(
            f"Candidate {frame['run'].iloc[at]!r} (row {at + 1}): {n} parameters on {d} tokens are no language model. "
            f"The law expects {loss[at]:.3g} nats a token there, more than a guess among all tokens has (about 11). "
            "n_params is in parameters and tokens in tokens, neither in millions or billions."
        )


def _refuse_twins(names: pd.Series) -> None:
    """PlanError if two candidates have one name: what is chosen is told by it."""
    twice = np.flatnonzero(names.duplicated())
    if len(twice):
        name = names.iloc[twice[0]]
        first = int((names == name).to_numpy().argmax())
        raise PlanError(
            f"Candidate {name!r} stands in row {first + 1} and again in row {twice[0] + 1}: every candidate needs a "
            "name of its own in column run. Rename one, or leave it out."
        )


def group_names(frame: pd.DataFrame) -> list[str | None]:
    """The group of every row; None where it has none, or an empty one."""
    if "group" not in frame:
        return [None] * len(frame)
    return [None if pd.isna(g) or not str(g).strip() else str(g) for g in frame["group"]]


def of_target(table: pd.DataFrame | Runs, group: str | None) -> pd.DataFrame:
    """The table, rows without a group taken for runs of the target's, where that is named."""
    frame = frame_of(table)
    if group is None:
        return frame
    return frame.assign(group=pd.Series([g or group for g in group_names(frame)], frame.index, dtype=object))


def unknown_groups(fit: Fit, frame: pd.DataFrame) -> list[str]:
    """Groups of a table that are none of the fit's, in its order; none where the fit's runs have no groups."""
    bins: Any = fit.problem.bins
    if "group" not in bins:
        return []
    seen = set(bins["group"].astype(str))
    return [g for g in dict.fromkeys(group_names(frame)) if g is not None and g not in seen]


def _complete(frame: Any, i: int, surface: Surface, cost: Cost) -> None:
    n, d, c = (float(frame[name][i]) for name in ("n_params", "tokens", "flops"))
    r = float(frame["recurrence"][i])
    if np.isfinite([n, d, c]).all():
        _agree(str(frame["run"][i]), i, n, d, c, cost, float(cost.per_token(surface.unrolled(n, r))) * d)
        return
    if np.isnan(n):
        # the size whose tokens cost the budget: FLOP per token rises with size
        low, high = np.log(1e3), np.log(1e16)
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if float(cost.per_token(surface.unrolled(np.exp(middle), r))) * d < c else (low, middle)
            )
        n = float(np.exp(low))
    per = float(cost.per_token(surface.unrolled(n, r)))
    frame.loc[i, "n_params"] = n
    frame.loc[i, "tokens"] = c / per if np.isnan(d) else d
    frame.loc[i, "flops"] = per * d if np.isnan(c) else c


def _agree(name: str, i: int, n: float, d: float, c: float, cost: Cost, usual: float) -> None:
    """PlanError if ``n`` parameters on ``d`` tokens, which usually cost ``usual`` FLOP, cannot have cost ``c``."""
    if LEAST_RATIO <= c / usual <= MOST_RATIO:
        return
    raise PlanError(
        f"Candidate {name!r} (row {i + 1}): {human(n)} parameters on {human(d)} tokens take {human(usual)} FLOP, where "
        f"a token costs {cost.said}; its flops are {human(c)}, {c / usual:.2g} times that. {LEAST_RATIO:g} to "
        f"{MOST_RATIO:g} times are expected: what attention, embeddings and ways of counting make of it. Correct one "
        "of n_params, tokens and flops, or leave one out."
    )


def _noise(surface: Surface, n_params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Root mean square (n,) over the draws of one run's sd of log loss, the shift of its size left out; of (1, n)."""
    v = surface.values
    if surface.layout.likelihood == "points":
        scale = surface.point_scale(n_params, tokens)
        nu = np.maximum(v["noise:nu"], LEAST_NU)[:, None]
        return np.sqrt(np.mean(scale**2 * nu / (nu - 2), axis=0))
    total = v["noise:sigma"] ** 2 / 2
    for name in ("effect:level", "discrepancy:scale"):
        total = total + v.get(name, 0.0) ** 2
    return np.full(n_params.shape[1], np.sqrt(np.mean(total)))
