"""Runs that could be trained next: where they stand, what they cost, and what each draw expects of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit
from bayeslaw.plan.costs import SIX_N, Cost, cost_of
from bayeslaw.plan.surface import Surface

#: variance of a Student-t with fewer degrees of freedom is infinite, or as good as
LEAST_NU = 2.5


@dataclass(frozen=True)
class Candidates:
    """Candidate runs under every draw.

    Attributes
    ----------
    frame : one row per candidate: run, n_params, tokens, recurrence, group where known, and ``flops``, its cost.
    log_loss : (S, c) log loss that each draw's surface expects.
    noise : (c,) sd of a run's log loss about the surface, its size's shift left out; root mean square of the draws.
    block : (c,) candidates of the same block share their size's shift, whose sd is ``shift``.
    misfit : (c, c) covariance of what the law misses at the candidates beyond ``log_loss``; None: nothing.
    """

    frame: pd.DataFrame
    log_loss: np.ndarray
    noise: np.ndarray
    block: np.ndarray
    shift: float
    misfit: np.ndarray | None = None

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
) -> Candidates:
    """Candidates from a table with n_params and tokens, or n_params and flops, or tokens and flops.

    The missing one of C, N and D follows from the group's own measured cost of a token. ``group`` and ``recurrence``
    are read where the table has them; ``surfaces`` (group → surface) may share draws with other parts of a plan, and
    ``z`` (S, dim) are the draws of those that are made here.

    Raises
    ------
    PlanError
        The table is empty, has too few columns, or a number that is not above zero.
    """
    frame: Any = pd.DataFrame(table).reset_index(drop=True).copy()
    if not len(frame):
        raise PlanError("There is no candidate run: give at least one row with two of n_params, tokens and flops.")
    if "run" not in frame:
        frame["run"] = [f"candidate {i + 1}" for i in range(len(frame))]
    for name in ("n_params", "tokens", "flops"):
        if name not in frame:
            frame[name] = np.nan
        values = frame[name].to_numpy(float)
        wrong = np.isfinite(values) & (values <= 0)
        if wrong.any():
            at = int(wrong.argmax())
            raise PlanError(f"Candidate {frame['run'].iloc[at]!r} has {name} {values[at]:g}: it must be above 0.")
    if "recurrence" not in frame:
        frame["recurrence"] = 1.0
    found = surfaces if surfaces is not None else {}
    groups = frame["group"].astype(str) if "group" in frame else pd.Series([None] * len(frame))
    log_loss, noise = np.empty((0, 0)), np.empty(len(frame))
    for group in groups.unique():
        known = group if _is_group(fit, group) else None
        if known not in found:
            found[known] = Surface(fit, known, draws=draws, z=z)
        surface = found[known]
        if not log_loss.size:
            log_loss = np.empty((surface.count, len(frame)))
        mine = np.flatnonzero((groups == group) if group is not None else groups.isna())
        short = mine[frame.loc[mine, ["n_params", "tokens", "flops"]].isna().any(axis=1)]
        cost = cost_of(surface) if len(short) else SIX_N
        for i in short:
            _complete(frame, int(i), surface, cost)
        same = [surface.budgets(frame.loc[mine]), frame.loc[mine, "recurrence"].to_numpy(float)]
        alike: Any = pd.Series(mine).groupby(same, sort=False)
        for (budget, r), part in alike:
            at = part.to_numpy()
            n, d = (frame.loc[at, c].to_numpy(float)[None, :] for c in ("n_params", "tokens"))
            log_loss[:, at] = np.log(surface.loss(n, d, r, budget)) + surface.shift(budget)[:, None]
            noise[at] = _noise(surface, n, d)
    size = np.round(np.log(frame["n_params"].to_numpy(float)) / 0.02).astype(int)
    shift = next(iter(found.values())).values.get("offset:size:tau")
    return Candidates(frame, log_loss, noise, size, float(np.sqrt(np.mean(shift**2))) if shift is not None else 0.0)


def _is_group(fit: Fit, group: str | None) -> bool:
    return group is not None and group in [str(g) for g in fit.problem.levels.get("group", [])]


def _complete(frame: Any, i: int, surface: Surface, cost: Cost) -> None:
    n, d, c = (float(frame[name][i]) for name in ("n_params", "tokens", "flops"))
    r = float(frame["recurrence"][i])
    if np.isfinite([n, d, c]).sum() < 2:
        raise PlanError(f"Candidate {frame['run'][i]!r} needs two of n_params, tokens and flops.")
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
