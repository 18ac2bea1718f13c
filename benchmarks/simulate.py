"""Parameters and data drawn from the model as its card states it, in plain NumPy.

Nothing of the engine's density, links or Gaussian algebra is used here, so that calibration compares two writings of
one model. What a fit holds fixed is held fixed: which rows there are, the reference row, each bin's measured sampling
variance, the knots' grid, and spreads of levels too small to learn one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.cards import Card, Prior
from bayeslaw.engine.assemble import Problem
from bayeslaw.engine.levels import COLUMN_OF_LEVEL, orders_of
from bayeslaw.laws import get_law


@dataclass(frozen=True)
class Simulated:
    """``values``: the truth under the names of a posterior, scalars and vectors; ``slots``: the same under those of
    the layout's slots, on their scales; ``log_y``: log loss of every bin; ``curve`` and ``observed``: log loss of every
    held-out row beneath the noise, and with it."""

    values: dict[str, Any]
    slots: dict[str, Any]
    log_y: np.ndarray
    curve: np.ndarray
    observed: np.ndarray


def simulate(card: Card, problem: Problem, held: pd.DataFrame, rng: np.random.Generator) -> Simulated:
    """One draw from the prior and the data it makes. ``held``: rows to forecast, of fitted runs or of new ones."""
    series, held_code = _all_series(problem, held)
    members, index = _members(problem, series)
    bins = problem.bins
    frame = pd.concat([bins, held], ignore_index=True)
    code = np.concatenate([problem.code, held_code])
    fitted = np.arange(len(frame)) < len(bins)
    learned = {slot.name for slot in problem.layout.slots()}
    values: dict[str, Any] = {}
    slots: dict[str, Any] = {}

    def deviations(owner: str, level: str, prior: Prior) -> np.ndarray:
        """Of a level's members, those that the fit will not see last."""
        slot, spread = f"{owner}:{level}", prior.centre
        if f"{slot}:tau" in learned:
            spread = values[f"{owner}_{level}_sd"] = slots[f"{slot}:tau"] = positive(prior, rng)
        drawn = spread * rng.standard_normal(len(members[level]))
        slots[slot] = drawn[: len(problem.levels[level])]
        return drawn

    # the law: every symbol on its link scale, then per series
    linked: dict[str, np.ndarray] = {}
    population: dict[str, float] = {}
    by_level: dict[str, dict[str, np.ndarray]] = {}
    for entry in problem.layout.entries:
        spec = card.parameters[entry.symbol]
        centre = slots[entry.symbol] = spec.prior.location + spec.prior.sd * rng.standard_normal()
        u = np.full(len(series), centre)
        if entry.slope:
            slope = values[f"{entry.symbol}_slope"] = slots[f"{entry.symbol}:slope"] = plain(spec.slope, rng)
            u += slope * (np.log(series["n_params"].to_numpy(float)) - problem.reference["log_n"])
        for level, _ in entry.levels:
            mine = deviations(entry.symbol, level, spec.pool[level])
            u += mine[index[level]]
            by_level.setdefault(level, {})[entry.symbol] = centre + mine
        population[entry.symbol], linked[entry.symbol] = centre, u
    values |= published(problem, {k: np.array([v]) for k, v in population.items()})
    for level, own in by_level.items():
        count = len(problem.levels[level])
        whole = {k: own[k][:count] if k in own else np.full(count, population[k]) for k in population}
        values |= {f"{k}_{level}": v for k, v in published(problem, whole).items() if k in own}
    log_f, shares = curve(problem, linked, frame, code)

    for level, _ in problem.layout.offsets:
        shift = deviations("offset", level, card.offset[level].prior)
        values[f"offset_{level}"] = shift[: len(problem.levels[level])]
        log_f += shift[index[level]][code]

    # errors, all relative to the loss
    log_x = np.log(frame[problem.axis]) - problem.reference["log_x"]
    log_x = log_x.to_numpy(float)
    if problem.layout.likelihood == "points":
        names = {"sigma": positive, "nu": positive, "by_x": plain, "by_n": plain}
        noise = {name: draw(card.noise[name].prior, rng) for name, draw in names.items()}
        log_n = np.log(series["n_params"].to_numpy(float)) - problem.reference["log_n"]
        scale = noise["sigma"] * np.exp(noise["by_x"] * log_x + noise["by_n"] * log_n[code])
        y = log_f + scale * rng.standard_t(noise["nu"], len(frame))
    else:
        noise = {name: positive(card.noise[name].prior, rng) for name in ("sigma", "early")}
        for effect in problem.layout.effects:
            sd = values[f"effect_{effect}_sd"] = slots[f"effect:{effect}"] = positive(card.run[effect].prior, rng)
            shift = sd * rng.standard_normal(len(series))
            log_f += shift[code] * (1.0 if effect == "level" else shares[effect])
            if effect == "level":
                values["level_run"] = shift[: len(problem.series)]
        if problem.layout.knots:
            scale, length = (positive(card.discrepancy[k].prior, rng) for k in ("scale", "length"))
            values |= {"discrepancy_scale": scale, "discrepancy_length": length}
            slots |= {"discrepancy:scale": scale, "discrepancy:length": length}
            log_f += wander(problem.data["grid"], log_x, code, scale, length, rng)
        for path in problem.layout.paths:
            priors = getattr(card, path.name)
            scale, length = (positive(priors[k].prior, rng) for k in ("scale", "length"))
            values |= {f"{path.name}_scale": scale, f"{path.name}_length": length}
            slots |= {f"{path.name}:scale": scale, f"{path.name}:length": length}
            log_f += wander(problem.data["paths"][path.name], log_x, index[path.level][code], scale, length, rng)
        variance = noise["sigma"] ** 2 * (0.5 + 0.5 * np.exp(-2 * noise["early"] * log_x))
        # a bin's mean has its measured variance; a single row to come has that of one raw row of its run
        own = problem.series["row_noise"].to_numpy(float)
        row = np.append(own, np.full(len(series) - len(own), np.nanmedian(own)))[code] ** 2
        measured = (bins["spread"] / bins["loss"]) ** 2 / bins["n_eff"]
        variance[fitted] += np.nan_to_num(measured.to_numpy(float))
        variance[~fitted] += np.nan_to_num(row[~fitted])
        y = log_f + np.sqrt(variance) * rng.standard_normal(len(frame))
    values |= {f"noise_{name}": v for name, v in noise.items()}
    slots |= {f"noise:{name}": v for name, v in noise.items()}
    scalars = {k: float(np.squeeze(v)) if np.size(v) == 1 else np.asarray(v) for k, v in values.items()}
    return Simulated(scalars, slots, y[fitted], log_f[~fitted], y[~fitted])


def positive(prior: Prior, rng: np.random.Generator) -> float:
    """A draw of a lognormal prior."""
    return float(prior.centre * np.exp(prior.sd * rng.standard_normal()))


def plain(prior: Prior, rng: np.random.Generator) -> float:
    """A draw of a normal prior."""
    return float(prior.centre + prior.sd * rng.standard_normal())


def coordinates(problem: Problem, slots: dict[str, Any]) -> np.ndarray:
    """The sampled coordinates (dim,) of a truth, each standard normal a priori (centred deviations apart)."""
    prior = problem.data["prior"]
    z = np.empty(problem.layout.dim)
    for slot, place in problem.layout.placed():
        value = np.asarray(slots[slot.name], float)
        if slot.kind == "scaled":
            z[place] = value / slots.get(f"{slot.name}:tau", prior["scale"][place])
        else:
            u = np.log(value) if slot.kind == "positive" else value
            z[place] = (u - prior["loc"][place]) / prior["scale"][place]
    return z


def natural(problem: Problem, linked: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """From the link scale: shapes as they are, amplitudes in nats and offsets as shares of the reference row."""
    undo = {"log": np.exp, "logit": lambda u: 1 / (1 + np.exp(-u)), "identity": np.asarray}
    return {e.symbol: undo[e.link](linked[e.symbol]) for e in problem.layout.entries}


def published(problem: Problem, linked: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Symbols in the published formula's units: an amplitude is its nats over its term's basis at the reference."""
    law, p = get_law(problem.layout.law), natural(problem, linked)
    p |= {s.name: p[s.name] * problem.reference[s.share_of] for s in law.symbols if s.share_of}
    kinds = {e.symbol: e.kind for e in problem.layout.entries}
    basis = law.terms({k: np.ones_like(v) if kinds[k] == "amplitude" else v for k, v in p.items()}, problem.reference)
    return {k: v / basis[k] if kinds[k] == "amplitude" else v for k, v in p.items()}


def curve(
    problem: Problem, linked: dict[str, np.ndarray], frame: pd.DataFrame, code: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Log of the law's loss at every row, and its terms' shares of it."""
    law = get_law(problem.layout.law)
    x = {name: frame[name].to_numpy(float) for name in law.covariates}
    terms = law.terms({k: v[code] for k, v in published(problem, linked).items()}, x)
    total = sum(terms.values())
    return np.log(total), {name: term / total for name, term in terms.items()}


def wander(
    grid: dict[str, float],
    log_x: np.ndarray,
    code: np.ndarray,
    scale: float,
    length: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Per member of ``code`` an Ornstein-Uhlenbeck path over the knots of the grid, straight between them."""
    start, step = grid["start"], grid["step"]
    knots = start + step * np.arange(int(np.ceil((log_x.max() - start) / step)) + 1)
    keep = np.exp(-step / length)
    out = np.empty(len(log_x))
    for i in np.unique(code):
        u = scale * rng.standard_normal(len(knots))
        for k in range(1, len(knots)):
            u[k] = keep * u[k - 1] + np.sqrt(1 - keep**2) * u[k]
        out[code == i] = np.interp(log_x[code == i], knots, u)
    return out


def with_losses(problem: Problem, log_y: np.ndarray) -> Problem:
    """The same problem with other losses in its bins, whose relative spread, and so variance, stays as it was."""
    bins = problem.bins.copy()
    loss = np.exp(log_y)
    bins["spread"] *= loss / bins["loss"]
    bins["loss"] = loss
    rows = dict(problem.data["rows"])
    rows["log_y"] = np.zeros(rows["mask"].shape)
    # the bins of a series stand in its row in their order
    column = pd.Series(problem.code).groupby(problem.code).cumcount().to_numpy()
    rows["log_y"][problem.code, column] = log_y
    return dataclasses.replace(problem, bins=bins, data={**problem.data, "rows": rows})


def _all_series(problem: Problem, held: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Fitted series and, behind them, the runs that only ``held`` has; and the series of every row of ``held``."""
    new = held[~held["run"].isin(problem.series["run"])].drop_duplicates("run")
    series = pd.concat([problem.series, new.assign(order=list(orders_of(new).values()))], ignore_index=True)
    place = {run: i for i, run in enumerate(series["run"])}
    return series, held["run"].map(place).to_numpy(int)


def _members(problem: Problem, series: pd.DataFrame) -> tuple[dict[str, list], dict[str, np.ndarray]]:
    """Every level's members, those that only held-out runs have last, and each series' place among them."""
    members, index = {}, {}
    for level, known in problem.levels.items():
        own = problem.series[f"{level}_index"].to_numpy(int)
        others = series[COLUMN_OF_LEVEL[level]].tolist()[len(own) :]
        near = [i for value in others for i in _same(value, known)]
        fresh = list(dict.fromkeys(v for v in others if not _same(v, known)))
        members[level] = [*known, *fresh]
        places = iter(near)
        rest = [next(places) if _same(v, known) else len(known) + fresh.index(v) for v in others]
        index[level] = np.concatenate([own, np.array(rest, int)])
    return members, index


def _same(value: Any, known: list) -> list[int]:
    """Place of a value among members, sizes within a percent counting as one."""
    if isinstance(value, float):
        return [i for i, k in enumerate(known) if abs(value / k - 1) < 0.01][:1]
    return [i for i, k in enumerate(known) if k == value][:1]
