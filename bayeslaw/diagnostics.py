"""Whether a fit can be trusted, in plain words, and how well its law predicts its own data point by point."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslaw.engine import convergence
from bayeslaw.engine.convergence import ESS, RHAT
from bayeslaw.errors import FitError

if TYPE_CHECKING:
    from bayeslaw.fit import Fit

#: least E-BFMI (Betancourt 2016, arXiv 1604.00695), and the steps of a full tree
EBFMI, MAX_STEPS = 0.3, 1023


@dataclass(frozen=True, eq=False)
class Check:
    """The verdict on a fit's sampling.

    Attributes
    ----------
    ok : True if every test passed.
    frame : one row per test: ``test``; ``value`` (NaN if it cannot be had); ``relation``, ``<=`` or ``>=``, in which it
        should stand to ``threshold``; ``unit`` of both ("" for a plain number; tree depth is the share of draws whose
        tree was full); ``ok``; ``where``, the worst coordinate ("" if none); ``remedy``, what to do ("" if passed).
    notes : what was dropped from the card when it met the data.
    """

    ok: bool
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.ok:
            head = "The sampling can be trusted: all checks passed."
        else:
            failed = ", ".join(self.frame.loc[~self.frame["ok"], "test"])
            head = f"Do not trust this fit yet: {failed} failed."
        lines = [head]
        for row in self.frame.to_dict(orient="records"):
            mark, where = "ok  " if row["ok"] else "FAIL", f", at {row['where']}" if row["where"] else ""
            spell, limit = _SPELL.get(row["test"], ("{:.0f}", "{:g}"))
            value = "-" if np.isnan(row["value"]) else spell.format(row["value"])
            if not row["ok"] and value in (limit.format(row["threshold"]), spell.format(row["threshold"])):
                # short of the threshold by less than is usually written
                value = f"{row['value']:.3%}" if "%" in spell else f"{row['value']:.6g}"
            wanted = f"{row['relation']} {limit.format(row['threshold'])}"
            lines.append(f"  {mark} {row['test']:<12} {value:>10} (wanted {wanted}){where}")
            lines += textwrap.wrap(row["remedy"], 80, initial_indent=" " * 7, subsequent_indent=" " * 7)
        return "\n".join(lines)


#: how a test's value and its threshold are written, where not as a whole number
_SPELL = {"R-hat": ("{:.3f}", "{:g}"), "E-BFMI": ("{:.2f}", "{:g}"), "tree depth": ("{:.1%}", "{:.0%} full")}


def check(
    fit: Fit, *, rhat: float = RHAT, ess: float = ESS, divergences: float = 0, ebfmi: float = EBFMI, depth: float = 0.01
) -> Check:
    """Judge the sampling of a fit.

    Parameters
    ----------
    rhat : largest split, rank-normalised R-hat allowed (needs two chains).
    ess : smallest bulk and tail effective sample size allowed, over all coordinates.
    divergences : most divergent draws allowed.
    ebfmi : smallest energy Bayesian fraction of missing information allowed, per chain.
    depth : largest share of draws that may reach the tree's full depth.
    """
    names = fit.problem.layout.coordinate_names()
    z = fit.z
    worst_rhat = _worst(names, convergence.rhat(z), np.argmax)
    bulk = _worst(names, convergence.ess(z), np.argmin)
    worst_tail = _worst(names, convergence.ess(z, "tail"), np.argmin)
    with np.errstate(divide="ignore", invalid="ignore"):
        energy = np.asarray(fit.stats["energy"])
        fraction = np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1)
    diverged = int(np.sum(fit.stats["diverging"]))
    full = float(np.mean(np.asarray(fit.stats["steps"]) >= MAX_STEPS))
    longer = "Sample more: draws (and warm-up) at twice the number, draws= or --draws."
    rows = [
        ("R-hat", worst_rhat[0], "<=", rhat, "", worst_rhat[1],
         "The chains disagree. " + longer + " If it stays, the data do not settle this parameter: give it a tighter "
         "prior or take it out of the card."),
        ("ESS bulk", bulk[0], ">=", ess, "draws", bulk[1], longer),
        ("ESS tail", worst_tail[0], ">=", ess, "draws", worst_tail[1], longer),
        ("divergences", diverged, "<=", divergences, "draws", "",
         "NUTS met a corner that it cannot follow, and the draws may leave it out. Try another seed and warmup=1000; "
         "if they stay, tighten the prior of a spread (pool, offset or run)."),
        ("E-BFMI", fraction.min(), ">=", ebfmi, "", "",
         "The energy moves too slowly: heavy tails. Tighten the priors of spreads, or sample longer."),
        ("tree depth", full, "<=", depth, "share of draws", "", "Draws are cut short and slow, not wrong. " + longer),
    ]  # fmt: skip
    if z.shape[0] < 2:
        lone = "One chain cannot be checked against another: fit with four, chains=4 or --chains 4."
        rows[0] = ("R-hat", np.nan, "<=", rhat, "", "", lone)
    frame = pd.DataFrame(rows, columns=["test", "value", "relation", "threshold", "unit", "where", "remedy"])
    frame = frame.astype({"value": float, "threshold": float})
    # what cannot be computed has not passed
    up = frame["relation"] == ">="
    passed = np.where(up, frame["value"] >= frame["threshold"], frame["value"] <= frame["threshold"])
    frame.insert(5, "ok", passed)
    frame.loc[passed, "remedy"] = ""
    return Check(bool(passed.all()), frame, fit.problem.notes)


def _worst(names: list[str], values: np.ndarray, pick: Any) -> tuple[float, str]:
    i = int(pick(values))
    return float(values[i]), names[i]


def summary(fit: Fit) -> pd.DataFrame:
    """Population parameters in published units: mean, sd, lo90, hi90, ess, rhat; index: symbol."""
    from bayeslaw.laws import get_law

    rows = {}
    for symbol in get_law(fit.card.law).symbols:
        draws = fit.posterior[symbol.name].to_numpy()
        lo, hi = np.quantile(draws, [0.05, 0.95])
        ess = float(convergence.ess(draws[..., None])[0])
        rhat = float(convergence.rhat(draws[..., None])[0]) if len(draws) > 1 else np.nan
        rows[symbol.name] = (draws.mean(), draws.std(), lo, hi, ess, rhat)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "sd", "lo90", "hi90", "ess", "rhat"])


def counted(count: int, thing: str) -> str:
    """``1 run``, ``1,200 runs``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def describe(fit: Fit) -> str:
    """What was fitted, the population parameters with 90 % intervals, and the verdict; lines of some 80 characters."""
    from bayeslaw.laws import get_law

    law, problem = get_law(fit.card.law), fit.problem
    chains, draws = fit.z.shape[:2]
    lines = [
        f"{fit.card.name}: {law.formula}" if len(law.formula) < 64 else f"{fit.card.name}: {law.title}",
        f"{counted(len(fit.runs), 'run')}, {counted(len(problem.bins), 'point')}; {counted(chains, 'chain')} of "
        f"{draws:,} draws",
        "",
        f"{'':<10}{'mean':>12}{'sd':>12}   90 % interval",
    ]
    for name, row in fit.summary().iterrows():
        lines.append(f"{name:<10}{row['mean']:>12.5g}{row['sd']:>12.3g}   {row['lo90']:.5g} - {row['hi90']:.5g}")
    if any(e.slope for e in problem.layout.entries):
        size = np.exp(problem.reference["log_n"])
        lines.append(f"(symbols that move with log N are given at N = {size:.4g})")
    for note in problem.notes:
        lines += textwrap.wrap(note, 80)
    return "\n".join([*lines, "", str(fit.check())])


def loo(fit: Fit, unit: str = "bin") -> Any:
    """Expected log predictive density by leave-one-out, Pareto-smoothed (Vehtari et al. 2017, arXiv 1507.04544).

    Parameters
    ----------
    unit : ``"bin"``: each bin given all others, its own curve's included, in closed form per draw; how well gaps are
        filled. ``"run"``: each curve given the other curves; how well a new run is foretold. Single points are both.

    Returns
    -------
    arviz_stats ``ELPDData``; ``arviz_stats.compare({name: elpd, ...})`` ranks several.

    Raises FitError if the unit is neither.
    """
    import arviz_base
    import jax
    from arviz_stats.loo import loo as smoothed

    from bayeslaw.engine.pointwise import pointwise

    if unit not in ("bin", "run"):
        raise FitError(f"unit is 'bin' or 'run', not {unit!r}.")
    chains, draws = fit.z.shape[:2]
    with jax.enable_x64(True):
        values = pointwise(fit.problem, fit.z.reshape(chains * draws, -1), unit)
    data = arviz_base.from_dict({"log_likelihood": {"loss": values.reshape(chains, draws, -1)},
                                 "posterior": {"lp": np.asarray(fit.stats["lp"])}})  # fmt: skip
    return smoothed(data, pointwise=True)
