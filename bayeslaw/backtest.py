"""``backtest``: forecasts of what is known already, scored: are the bands as honest and as narrow as they could be?

result = bl.backtest(runs, model="chinchilla", by="run")
print(result)                 # coverage, sharpness and skill against the baselines
result.frame                  # one row per contestant, split, run and level
result.save("fit.backtest.json")
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bayeslaw.backtest_parts import parts_of
from bayeslaw.backtest_result import Backtest
from bayeslaw.backtest_store import Store
from bayeslaw.backtest_work import Scored, Unit, run_unit
from bayeslaw.baselines import BASELINES, get_baseline
from bayeslaw.cards import Card, load_card
from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError, FitError, meant, nearest
from bayeslaw.fit import WARMUP, check_named
from bayeslaw.laws import Schedule, get_law
from bayeslaw.progress import Report, reporting
from bayeslaw.splits import Split, check_options, make_splits

LEVELS = ("raw", "curve")
APPROX = (None, "laplace")
Model = str | Path | Card | Mapping[str, Any]


def backtest(
    runs: Runs,
    model: Model | Sequence[Model] = "chinchilla",
    *,
    by: str = "origin",
    splits: Sequence[Split] | None = None,
    baselines: Sequence[str] | None = None,
    schedules: Mapping[str, Schedule | str] | None = None,
    levels: Sequence[str] = LEVELS,
    seed: int = 0,
    chains: int = 4,
    warmup: int | None = None,
    draws: int | None = None,
    max_bins: int = 40,
    forecast_draws: int = 1000,
    most_rows: int = 200,
    most_bins: int = 20,
    approx: str | None = None,
    jobs: int | None = None,
    folder: str | Path | None = None,
    progress: Report | bool | None = None,
    **options: Any,
) -> Backtest:
    """Hold parts of the runs back, forecast them, and score the forecasts beside baselines.

    Parameters
    ----------
    runs : runs with losses.
    model : a model card, or several.
    by : what is held back: ``"origin"`` (the rest of each run after its first 10, 20, 30, 50, 70, 90 %, all other runs
        known), ``"run"``, ``"size"``, ``"largest"`` size, ``"group"``, or ``"split"`` (a column of the user's own).
    splits : the splits themselves instead, see ``bayeslaw.splits``.
    baselines : names in ``bayeslaw.baselines.BASELINES``; by default all, and those that cannot answer are left out.
    schedules : run → learning-rate schedule where ``lr`` does not tell it, as in ``fit``.
    levels : ``"raw"``: observed losses; ``"curve"``: the held-out curves smoothed to ``most_bins`` stretches each.
    seed, chains, warmup, draws, max_bins : as in ``fit``.
    forecast_draws : draws of each forecast.
    most_rows : raw rows scored per run, evenly spaced with the last among them.
    approx : ``"laplace"`` replaces NUTS by a normal posterior at its mode. Quick and rough, for exploring; the
        contestant's name then says so.
    jobs : units worked on at once, through joblib (-1: one per core). Under ``joblib.parallel_config(backend="dask")``
        or another backend the units run there instead.
    folder : keeps finished units, so that a backtest that was stopped goes on; results of other data, settings or
        code are never taken for this one's.
    progress : called as ``progress(stage, done, total)``; True draws a bar with the time left on stderr.
    **options : to the way of splitting, see ``bayeslaw.splits``: ``origins=``, ``only=``, ``refit=`` for ``"origin"``,
        ``only=`` for ``"run"``, ``column=``, ``fit=``, ``test=`` for ``"split"``. None where ``splits`` are given.

    Returns
    -------
    Backtest. ``print`` it; ``frame`` has the scores of each run, coverage as fractions, errors in nats per token.

    Raises
    ------
    DataError
        Nothing can be held back that way, the way has no such option, or the runs have no such column.
    FitError, CardError
        As ``fit``; or an unknown baseline, level or approximation, two contestants of one name, or ``schedules`` of a
        run that is not there.
    """
    if not isinstance(runs, Runs):
        raise FitError(f"backtest takes Runs, got {type(runs).__name__}: read a file with bayeslaw.load(path).")
    if approx not in APPROX:
        raise FitError(f"approx is None (NUTS) or 'laplace', not {approx!r}.")
    if not levels or not set(levels) <= set(LEVELS):
        raise FitError(f"levels are among {', '.join(LEVELS)}; got {', '.join(map(str, levels)) or 'none'}.")
    models = [model] if isinstance(model, str | Path | Card | Mapping) else list(model)
    cards = [load_card(m) for m in models]
    names = list(BASELINES) if baselines is None else list(baselines)
    for name in names:
        get_baseline(name)
    titles = [f"{card.name} ({approx})" if approx else card.name for card in cards]
    apart([*titles, *names], [*models, *(f"baseline {name}" for name in names)])
    _check_options(by, splits, options)
    check_named(schedules, runs.frame["run"])
    held = list(splits) if splits is not None else make_splits(runs, by, **options)
    settings = {
        "seed": int(seed),
        "chains": int(chains),
        "warmup": WARMUP if warmup is None else int(warmup),
        "draws": None if draws is None else int(draws),
        "max_bins": int(max_bins),
        "forecast_draws": int(forecast_draws),
    }
    lr = _schedules(runs, schedules, cards)
    units = []
    for together in _sharing(held):
        parts = parts_of(runs, together, levels, most_rows, most_bins)
        learn = runs.where(together[0].learn)
        for title, card in zip(titles, cards, strict=True):
            units.append(Unit(title, card, learn, parts, lr, settings, approx))
        units += [Unit(name, None, learn, parts, lr, settings) for name in names]
    # the longest first, so that no worker is left alone with one at the end
    units.sort(key=lambda unit: unit.card is None)
    scored = _work(units, Store(folder), jobs, progress)
    meta = {
        "models": {u.model: dict(u.card.source) for u in units if u.card is not None},
        "by": by if splits is None else "splits",
        "settings": settings,
        "fingerprint": runs.fingerprint,
        "source": runs.source,
    }
    return Backtest.of(scored, meta)


def apart(names: Sequence[str], given: Sequence[Any]) -> None:
    """FitError if two contestants bear one name; ``given`` is what each of them was asked for as."""
    for i, name in enumerate(names):
        first = names.index(name)
        if first < i:
            said = [str(m) if isinstance(m, str | Path) else f"a {type(m).__name__}" for m in (given[first], given[i])]
            raise FitError(
                f"Two contestants are called {name!r} ({' and '.join(said)}), so their scores could not be told apart. "
                f'Leave one out, or give one card a name of its own: name = "..." in its TOML file.'
            )


def _check_options(by: str, splits: Sequence[Split] | None, options: Mapping[str, Any]) -> None:
    """DataError names the first option that neither the backtest nor its way of splitting takes."""
    mine = [name for name in inspect.signature(backtest).parameters if name not in ("runs", "model", "options")]
    if splits is None:
        check_options(by, options, also=mine)
    elif options:
        name = next(iter(options))
        hint = meant(nearest(name, mine), "{}=")
        raise DataError(
            f"backtest has no option {name}=.{hint} Options of a way of splitting go with by=, not with splits=."
        )


def _sharing(splits: Sequence[Split]) -> list[list[Split]]:
    """The splits, those together that fit the same rows."""
    found: dict[bytes, list[Split]] = {}
    for split in splits:
        found.setdefault(split.learn.tobytes(), []).append(split)
    return list(found.values())


def _schedules(runs: Runs, declared: Mapping[str, Schedule | str] | None, cards: Sequence[Card]) -> dict[str, Schedule]:
    """Every run's schedule, its future included: a schedule is decided before a run. Empty where nobody needs one."""
    from bayeslaw.engine.rows import schedules_of

    needed = any("schedule" in get_law(card.law).covariates for card in cards)
    if not needed and not declared and not ("lr" in runs.frame and "step" in runs.frame):
        return {}
    try:
        return schedules_of(runs, declared)
    except FitError:
        if needed:
            raise
        return {}


def _work(units: Sequence[Unit], store: Store, jobs: int | None, progress: Report | bool | None) -> list[Scored]:
    from joblib import Parallel, delayed

    found = {unit.key: store.get(unit.key) for unit in units}
    todo = [unit for unit in units if found[unit.key] is None]
    done = len(units) - len(todo)
    with reporting(progress, "units") as report:
        report("backtest", done, len(units))
        if todo:
            parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
            finished: Any = parallel(delayed(run_unit)(unit) for unit in todo)
            for scored in finished:
                store.put(scored)
                found[scored.info["key"]] = scored
                done += 1
                report("backtest", done, len(units))
    return [scored for unit in units if (scored := found[unit.key]) is not None]
