"""``fit``: runs and a model card in, a posterior out; and the ``Fit`` record that everything downstream reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslaw.cards import Card, load_card
from bayeslaw.data.runs import Runs
from bayeslaw.engine.assemble import Problem, assemble
from bayeslaw.errors import FitError, meant, nearest
from bayeslaw.laws import Schedule
from bayeslaw.progress import Report, reporting

if TYPE_CHECKING:
    import xarray as xr

    from bayeslaw.diagnostics import Check

#: warm-up iterations of a chain
WARMUP = 300


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """A posterior and all that is needed to use it.

    Attributes
    ----------
    card : the model card.
    problem : the model as fitted: layout, bins, levels, reference row, what was dropped and why.
    z : (chains, draws, dim) the sampler's coordinates, each standard normal a priori (levels' deviations apart).
    stats : per draw (chains, draws): diverging, steps, energy, lp, accept.
    meta : seed, warmup, source and fingerprint of the data, versions of the packages.
    """

    card: Card
    problem: Problem
    z: np.ndarray
    stats: Mapping[str, np.ndarray]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def posterior(self) -> xr.Dataset:
        """Draws of the parameters, dims (chain, draw[, group | size | recurrence | series]).

        Plain symbols (``E``, ``alpha``) are population level, in the units of the published formula; ``E_group``,
        ``E_size`` a level's members; ``E_run`` one per run, indexed by ``series`` with coordinate ``run``.
        """
        from bayeslaw.storage import posterior_dataset

        return posterior_dataset(self)

    @cached_property
    def tree(self) -> xr.DataTree:
        """Everything as an ArviZ tree: posterior, sample_stats, observed_data (the bins), unconstrained coordinates."""
        from bayeslaw.storage import to_tree

        return to_tree(self)

    def check(self, **thresholds: float) -> Check:
        """Whether the sampling can be trusted, in plain words; see ``bayeslaw.diagnostics.check``."""
        from bayeslaw.diagnostics import check

        return check(self, **thresholds) if thresholds else self._verdict

    @cached_property
    def _verdict(self) -> Check:
        """The verdict at the usual thresholds, which an answer asks for more than once."""
        from bayeslaw.diagnostics import check

        return check(self)

    def loo(self, unit: str = "bin") -> Any:
        """Leave-one-out score of the model on its own data; see ``bayeslaw.diagnostics.loo``."""
        from bayeslaw.diagnostics import loo

        return loo(self, unit=unit)

    def save(self, path: str | Path) -> None:
        """Write to one netCDF file, whole or not at all. FileError if the place cannot be written."""
        from bayeslaw.storage import save

        save(self, path)

    def draws(self, most: int | None = 1000) -> np.ndarray:
        """Draws of all chains in the sampler's unconstrained coordinates, (S, dim), thinned to ``most`` or fewer."""
        flat = self.z.swapaxes(0, 1).reshape(-1, self.z.shape[-1])
        if most is None or len(flat) <= most:
            return flat
        return flat[np.linspace(0, len(flat) - 1, most).astype(int)]

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs fitted."""
        return tuple(dict.fromkeys(map(str, self.problem.series["run"])))

    def summary(self) -> pd.DataFrame:
        """Population parameters, one row each, in the units of the published formula (N in parameters, D in tokens).

        Columns: mean, sd, lo90 and hi90 (the 90 % interval), ess (bulk effective sample size) and rhat.
        """
        from bayeslaw.diagnostics import summary

        return summary(self)

    def __str__(self) -> str:
        from bayeslaw.diagnostics import describe

        return describe(self)

    def __repr__(self) -> str:
        chains, draws = self.z.shape[:2]
        return f"<Fit: {self.card.name} on {len(self.runs):,} runs, {chains} chains of {draws:,} draws>"


def fit(
    runs: Runs,
    model: str | Path | Card | Mapping[str, Any] = "chinchilla",
    *,
    seed: int = 0,
    chains: int = 4,
    warmup: int | None = None,
    draws: int | None = None,
    schedules: Mapping[str, Schedule | str] | None = None,
    max_bins: int = 40,
    progress: Report | bool | None = None,
) -> Fit:
    """Fit a model card to runs with NUTS.

    Parameters
    ----------
    runs : the training runs, losses in nats per token, see ``bayeslaw.load``.
    model : a card's name, its TOML file, a ``Card``, or a mapping in a card's form.
    seed : same seed, data, card and machine give the same draws.
    chains, warmup : 4 chains of 300 warm-up iterations by default.
    draws : kept iterations of a chain; by default as many as the checks of R-hat and ESS need, 200 to 2,000, and
        up to 4,000 if at 2,000 they are on the way to meeting them.
    schedules : run → learning-rate schedule, where it is not to be read off the ``lr`` column; only for laws that
        need one. A ``Schedule`` or a line such as ``"cosine:peak=3e-4,total=24000,warmup=2000"``.
    max_bins : points to which each curve is reduced.
    progress : called as ``progress(stage, done, total)``; True draws a bar on stderr.

    Returns
    -------
    Fit; ``print`` it to hear whether to trust it.

    Raises
    ------
    CardError
        There is no such card, or it breaks the rules.
    FitError
        The runs lack a column that the law needs, ``schedules`` names a run that is not there, or no parameters
        explain them at all.
    """
    import jax

    from bayeslaw.engine.sampler import sample
    from bayeslaw.storage import versions

    if not isinstance(runs, Runs):
        raise FitError(
            f"fit takes Runs, got {type(runs).__name__}. Read a file with bayeslaw.load(path), or a table with "
            f"bayeslaw.Runs.from_frame(table)."
        )
    card = load_card(model)
    seed, chains = whole("seed", seed, 0), whole("chains", chains, 1)
    warmup = whole("warmup", WARMUP if warmup is None else warmup, 50)
    draws = None if draws is None else whole("draws", draws, 4)
    check_named(schedules, runs.frame["run"])
    with reporting(progress) as report, jax.enable_x64(True):
        report("preparing the data", 0, 1)
        problem = assemble(card, runs, schedules, max_bins)
        found = sample(
            problem.layout,
            problem.data,
            seed=seed,
            chains=chains,
            warmup=warmup,
            draws=draws,
            report=report,
        )
    meta = {
        "seed": seed,
        "warmup": found.warmup,
        "source": runs.source,
        "fingerprint": runs.fingerprint,
        "step_size": found.step_size,
        "versions": versions(),
    }
    return Fit(card, problem, found.z, found.stats, meta)


def checked(fit: Any) -> Fit:
    """``fit`` itself; FitError for what is none, such as the path of one."""
    if not isinstance(fit, Fit):
        raise FitError(
            f"A Fit is needed here, not {type(fit).__name__}. Make one with bayeslaw.fit(runs), or read a saved one "
            f"with bayeslaw.load_fit(path)."
        )
    return fit


def whole(name: str, value: Any, least: int) -> int:
    """``value`` as an int; FitError unless it is a whole number from ``least`` to below 2^63."""
    if (
        not isinstance(value, int | float | np.integer | np.floating)
        or not float(value).is_integer()
        or not least <= value < 2**63
    ):
        top = "" if name != "seed" else " and below 2^63"
        raise FitError(f"{name} is a whole number of at least {least}{top}, not {value!r}.")
    return int(value)


def check_named(schedules: Mapping[str, Any] | None, *there: Iterable[str]) -> None:
    """FitError if ``schedules`` is no mapping, or names a run that is none of ``there``; the nearest are offered."""
    if schedules is None:
        return
    if not isinstance(schedules, Mapping):
        raise FitError(
            f"schedules is a mapping from run to schedule, such as {{'my-run': 'cosine:peak=3e-4,total=24000'}}, not "
            f"{type(schedules).__name__}."
        )
    names = list(dict.fromkeys(str(name) for some in there for name in some))
    for run in schedules:
        if run not in names:
            hint = meant(nearest(run, names), "{!r}")
            shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
            raise FitError(f"schedules names run {run!r}, and there is no such run.{hint} There are {shown}.")
