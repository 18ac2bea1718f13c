"""The loss surface of a fit: draws of the law's coefficients, and the loss of every draw anywhere in (N, D, r).

All in numpy, for a plan asks for a few million losses and no gradient. The law's own ``terms`` are what is evaluated.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.engine.budgets import with_budgets
from bayeslaw.engine.layout import STEEPEST
from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit, checked, whole
from bayeslaw.laws import get_law
from bayeslaw.laws.base import Law

#: what a plan can choose, or derive from what it chooses
CHOICES = {"n_params", "tokens", "recurrence", "n_params_once", "n_params_recurrent"}
#: what a plan's seed is spent on beside new members of levels
NOISE, MISFIT, STRAYED, OUTCOMES = "noise of one run", "law under a misfit", "misfit itself", "outcomes imagined"


def stream(seed: int, use: str) -> np.random.Generator:
    """Random numbers of a seed for one use of them, independent of those for any other."""
    return np.random.default_rng([seed, zlib.crc32(use.encode())])


def plannable(fit: Fit) -> Law:
    """The law of a fit that can be planned with; PlanError if it reads what no budget decides, FitError for no fit."""
    law = get_law(checked(fit).problem.layout.law)
    sizes = {"n_params", "n_params_once"} & set(law.covariates)
    if not sizes or "tokens" not in law.covariates or not set(law.covariates) <= CHOICES:
        raise PlanError(
            f"Model {fit.card.name} cannot be planned with: its law reads {', '.join(law.covariates)}, and a plan "
            "needs one of parameters and tokens: chinchilla, chinchilla-interaction, isoflop, iso-depth, looped-total."
        )
    return law


def untrusted(fit: Fit) -> list[str]:
    """The verdict on a fit in a sentence if a check of its sampling failed; none is asked of draws made otherwise."""
    return [] if not fit.stats or fit.check().ok else [f"{str(fit.check()).splitlines()[0]} print(fit) tells more."]


class Surface:
    """Draws of the loss surface for one group of a fit.

    Parameters
    ----------
    fit : a fit of a law of parameters, tokens and recurrence.
    group : the member of the group level to plan for. None with several groups is a new group: its deviations are
        drawn from their population, which widens everything.
    recurrent_share : of a looped model's parameters, those in the loop; by default as in the runs fitted.
    draws : posterior draws used, at most as many as the fit has.
    seed : of what is drawn anew. Surfaces of one seed draw the same for the same new member, else independently.
    new : name of the new group where ``group`` is None.

    Raises
    ------
    PlanError
        The law reads something that no budget decides (a schedule, an exit step), the group was not fitted, or the
        share is none.
    """

    def __init__(
        self, fit: Fit, group: str | None = None, *, recurrent_share: float | None = None, draws: int = 2000,
        seed: int = 0, z: np.ndarray | None = None, new: str = "",
    ) -> None:  # fmt: skip
        self.fit, self.group, self.seed, self.new = fit, group, whole("seed", seed, 0), new
        self.law, self.layout, self.problem = plannable(fit), fit.problem.layout, fit.problem
        self.z = fit.draws(whole("draws", draws, 1)) if z is None else np.atleast_2d(z)
        self.looped = "recurrence" in self.law.covariates
        self.notes = untrusted(fit)
        if recurrent_share is not None and not 0 <= recurrent_share <= 1:
            raise PlanError(f"recurrent_share is a share of the parameters, from 0 to 1, not {recurrent_share!r}.")
        self._share_given, self._centred = recurrent_share, False
        split = {"n_params_once", "n_params_recurrent"} <= set(self.problem.bins)
        if self.looped and recurrent_share is None and not split:
            self.notes.append(
                "The runs do not say how many of their parameters are looped: all are taken to be. If not, "
                "say so with recurrent_share=."
            )
        self.values, self.members = self._values(), self._members(group)
        self._cache: dict[tuple[float, str], tuple[dict[str, np.ndarray], dict[str, np.ndarray]]] = {}

    @property
    def count(self) -> int:
        """Number of draws S."""
        return len(self.z)

    def _values(self) -> dict[str, np.ndarray]:
        """Slot name → (S,) on the link scale, (S,) positive, or (S, members) deviations: ``params.values`` of draws."""
        import jax

        from bayeslaw.engine.params import values

        with jax.enable_x64(True):
            prior = jax.tree.map(np.asarray, self.problem.data["prior"])
            found = jax.vmap(lambda z: values(self.layout, prior, z))(np.asarray(self.z, float))
            return {name: np.asarray(value) for name, value in found.items()}

    def _members(self, group: str | None) -> dict[str, int | None]:
        """Level → the position of its member that is planned for; None for a new one."""
        out: dict[str, int | None] = {}
        groups = [str(g) for g in self.problem.levels.get("group", [])]
        seen = groups
        if not seen and "group" in self.problem.bins:
            seen = list(dict.fromkeys(map(str, self.problem.bins["group"])))
        if group is not None and group not in seen:
            raise PlanError(
                f"The fit has no group {group!r}: it has {', '.join(map(repr, seen)) or 'no groups'}. Name one of them."
            )
        if groups:
            out["group"] = None if group is None else groups.index(group)
            if group is None:
                self.notes.append(
                    f"Planned for a new group, whose deviations are drawn from those of the {len(groups)} fitted: name "
                    f"one with group= (--group) for a plan of its own: {', '.join(groups)}."
                )
        return out

    def _deviation(self, symbol: str, level: str, member: int | None, key: str) -> np.ndarray:
        """Deviation (S,) of the member at a position, or drawn for a new one, named ``key``."""
        name = f"{symbol}:{level}"
        if member is not None:
            return self.values[name][:, member]
        if self._centred:
            return np.zeros(self.count)
        return self.values[f"{name}:tau"] * stream(self.seed, f"{name} of {key}").standard_normal(self.count)

    @property
    def sloped(self) -> bool:
        """Whether coefficients move with log N."""
        return any(entry.slope for entry in self.layout.entries)

    def coefficients(self, recurrence: float = 1.0, budget: str = "", n_params: Any = None) -> dict[str, np.ndarray]:
        """Symbol → (S, 1) in published units, for models of this recurrence.

        ``budget`` names one of the fit's budgets, or a new one (``engine.budgets``); "" is the budget planned for,
        which is new too: its deviations are drawn. Of a card with slopes in log N they are those of models of
        ``n_params`` (by default the reference size), broadcast against (S, 1).
        """
        linked, published = self._at_reference(recurrence, budget)
        if n_params is None or not self.sloped:
            return published
        log_n = np.log(n_params) - self.problem.reference["log_n"]
        moved = {e.symbol: self.values[f"{e.symbol}:slope"][:, None] * log_n for e in self.layout.entries if e.slope}
        there = {name: u + moved.get(name, 0.0) for name, u in linked.items()}
        steep = {e.symbol: np.minimum(there[e.symbol], np.log(STEEPEST)) for e in self.layout.entries if e.moving}
        return self._published(there | steep)

    def _published(self, linked: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Symbol → its values in published units, from those on its link scale."""
        undo = {"log": np.exp, "logit": lambda u: 1 / (1 + np.exp(-u))}
        base = {e.symbol: undo.get(e.link, np.asarray)(linked[e.symbol]) for e in self.layout.entries}
        return {s: np.asarray(v) for s, v in self.law.published(base, self.problem.data["ref"]).items()}

    def _at_reference(self, recurrence: float, budget: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Symbol → (S, 1) at the reference size, on its link scale and in published units; worked out once."""
        if (recurrence, budget) in self._cache:
            return self._cache[recurrence, budget]
        linked: dict[str, np.ndarray] = {}
        for entry in self.layout.entries:
            u = self.values[entry.symbol]
            for level, _ in entry.levels:
                if level == "recurrence":
                    there = [float(m) for m in self.problem.levels["recurrence"]]
                    member = there.index(float(recurrence)) if float(recurrence) in there else None
                    u = u + self._deviation(entry.symbol, level, member, f"{recurrence:g}")
                elif level == "budget":
                    u = u + self._deviation(entry.symbol, level, *self._budget(budget))
                else:
                    u = u + self._deviation(entry.symbol, level, self.members.get(level), self.group or self.new)
            linked[entry.symbol] = u[:, None]
        self._cache[recurrence, budget] = linked, self._published(linked)
        return self._cache[recurrence, budget]

    def budgets(self, frame: pd.DataFrame) -> list[str]:
        """Names of the budgets of rows (n_params, tokens, flops), for a card that pools over budgets; else "" each."""
        if "budget" not in self.problem.levels:
            return [""] * len(frame)
        mine = self.group or self.new or None
        bins: Any = self.problem.bins
        if mine is None and "group" in bins and bins["group"].nunique() == 1:
            mine = str(bins["group"].iloc[0])
        named = frame.drop(columns="group", errors="ignore") if mine is None else frame.assign(group=mine)
        return [str(b) for b in with_budgets(named, self.problem.levels["budget"])["budget"]]

    def _budget(self, name: str) -> tuple[int | None, str]:
        """Position among the fit's budgets, None if it is new, and its name; "" is the group's that is planned for."""
        known = self.problem.levels.get("budget", [])
        return known.index(name) if name in known else None, name or f"{self.group or self.new} @ plan"

    def shift(self, budget: str) -> np.ndarray:
        """Shift (S,) of the log losses of a budget's runs, drawn for one that is new; 0 where the card has none."""
        if "budget" not in dict(self.layout.offsets):
            return np.zeros(self.count)
        return self._deviation("offset", "budget", *self._budget(budget))

    def share(self, recurrence: float) -> float:
        """Share of the parameters inside the loop, of models of this recurrence: as given, or as in the runs fitted."""
        if not self.looped:
            return 1.0 if recurrence != 1 else 0.0
        if self._share_given is not None:
            return self._share_given
        if self._by_loops is None:
            return 1.0
        loops, shares = self._by_loops
        return float(np.interp(np.log(recurrence), np.log(loops), shares))

    @functools.cached_property
    def _by_loops(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Recurrences of the runs, and the median share inside the loop at each; None if the runs do not say it."""
        bins: Any = self.problem.bins
        if not {"n_params_once", "n_params_recurrent", "recurrence"} <= set(bins):
            return None
        part = bins["n_params_recurrent"] / (bins["n_params_once"] + bins["n_params_recurrent"])
        by = part.groupby(bins["recurrence"]).median()
        # of a model that is passed once no parameter need be called looped
        loops = by[by.index > 1] if (by.index > 1).any() else by.iloc[:1]
        return loops.index.to_numpy(float), loops.to_numpy(float)

    def unrolled(self, n_params: Any, recurrence: float) -> Any:
        """N_once + r N_rec: the parameters that a token's forward pass multiplies with."""
        share = self.share(recurrence)
        return n_params * (1 - share + share * recurrence)

    def loss(self, n_params: Any, tokens: Any, recurrence: float = 1.0, budget: str = "") -> np.ndarray:
        """Loss (S, ...) of every draw, nats per token; ``n_params`` and ``tokens`` broadcast against (S, 1)."""
        share = self.share(recurrence)
        n = np.asarray(n_params)
        x = {"n_params": n_params, "tokens": tokens, "recurrence": float(recurrence),
             "n_params_once": n * (1 - share), "n_params_recurrent": n * share}  # fmt: skip
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return np.asarray(sum(self.law.terms(self.coefficients(recurrence, budget, n_params), x).values()))

    def scatter(self, n_params: np.ndarray, tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draws (S,) of one new run's deviation of log loss from the surface: its size's shift, its own, noise."""
        v, out = self.values, np.zeros(self.count)
        for level, _ in self.layout.offsets:
            member = self.members.get(level)
            known = v[f"offset:{level}"][:, member] if member is not None else None
            out += v[f"offset:{level}:tau"] * rng.standard_normal(self.count) if known is None else known
        if self.layout.likelihood == "points":
            return out + self.point_scale(n_params, tokens) * rng.standard_t(v["noise:nu"])
        for name in ("effect:level", "discrepancy:scale"):
            if name in v:
                out += v[name] * rng.standard_normal(self.count)
        return out + v["noise:sigma"] * np.sqrt(0.5) * rng.standard_normal(self.count)

    def point_scale(self, n_params: Any, tokens: Any) -> np.ndarray:
        """Scale of a final loss's Student-t noise, relative; (S,) or broadcast against (S, 1)."""
        reference, v = self.problem.reference, self.values
        many = np.ndim(n_params) > 1 or np.shape(n_params) != (self.count,)
        sigma, by_x, by_n = (v[k][:, None] if many else v[k] for k in ("noise:sigma", "noise:by_x", "noise:by_n"))
        log_x = np.log(tokens) - reference["log_x"] if self.problem.axis == "tokens" else 0.0
        return sigma * np.exp(by_x * log_x + by_n * (np.log(n_params) - reference["log_n"]))

    def at_centre(self) -> Surface:
        """One draw: the mean of the sampler's coordinates, what a point fit would plan with."""
        one = Surface(self.fit, self.group, recurrent_share=self._share_given, z=self.z.mean(axis=0))
        one._centred = True
        return one
