"""A card's tables, read from what its TOML says; CardError names the table and key that is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bayeslaw.cards_prior import PRIOR, Parameter, Prior, Reasoned
from bayeslaw.errors import CardError, meant, nearest

LEVELS = ("group", "size", "recurrence", "exit_step", "budget")
_PARAMETER = ("prior", "reason", "slope", "pool")
_PROCESS = ("scale", "length", "step")
_SCHEDULE = ("clock", "reason")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with what ``over`` says put in its place, table by table."""
    out = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping):
            below = out.get(key)
            value = merged(below if isinstance(below, Mapping) else {}, value)
        out[key] = value
    # a card takes something inherited out by setting it to false
    return {k: v for k, v in out.items() if v is not False}


def check_taken_out(raw: Mapping[str, Any], known: set[str], where: str, place: str = "") -> None:
    """CardError where ``false`` stands for a name that is none: it would leave what was meant in, and not say so.

    ``known`` has the names of the top level and of symbols; ``raw`` is the card's own, without what it extends.
    """
    names = {*known, *LEVELS, *_PARAMETER, *_PROCESS, *_SCHEDULE}
    for key, value in raw.items():
        if isinstance(value, Mapping):
            check_taken_out(value, known, where, f"{place}.{key}".lstrip("."))
        elif value is False and key not in names:
            table, hint = f", [{place}]" if place else "", meant(nearest(key, sorted(names)))
            raise CardError(f"{where}{table}: {key} = false takes nothing out: a card has no {key!r}.{hint}")


def table_of(raw: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """The table ``key`` of a card, empty where there is none; ``where`` names the card in the CardError."""
    table = raw.get(key, {})
    if not isinstance(table, Mapping):
        raise CardError(f"{where}: {key} is a table ([{key}...]), not {table!r}.")
    return table


def parameter(raw: object, symbol: Any, where: str) -> Parameter:
    """What [parameters.<symbol>] says; CardError where the prior is not of the kind that the symbol's range needs."""
    if not isinstance(raw, Mapping) or "prior" not in raw:
        raise CardError(f'{where}: needs prior = "..." and reason = "...".')
    refuse_others(raw, _PARAMETER, where)
    prior = Prior.parse(raw["prior"], where)
    expected = {"log": "lognormal", "logit": "logitnormal", "identity": "normal"}[symbol.link]
    if prior.kind != expected:
        raise CardError(
            f"{where}: {symbol.name} lies between {symbol.low:g} and {symbol.high:g}: its prior is a {expected}."
        )
    slope = Prior.parse(raw["slope"], f"{where}, slope") if "slope" in raw else None
    if slope and slope.kind != "normal":
        raise CardError(f"{where}, slope: a slope may have either sign: write normal(mean, sd).")
    pool = {}
    for level, text in table_of(raw, "pool", where).items():
        if level not in LEVELS:
            hint = meant(nearest(level, LEVELS))
            raise CardError(f"{where}, pool: unknown level {level!r}.{hint} The levels are {', '.join(LEVELS)}.")
        pool[level] = Prior.parse(text, f"{where}, pool.{level}")
        if pool[level].kind != "lognormal" or pool[level].around:
            raise CardError(f"{where}, pool.{level}: a spread is positive: write lognormal(median, sd of the log).")
    return Parameter(prior, str(raw.get("reason", "")), slope, pool)


def clock_of(raw: Mapping[str, Any], law: Any, where: str) -> tuple[float, float, str]:
    """What [schedule] says: the clock, the sd of its prior (0: it is fixed), and why."""
    table = table_of(raw, "schedule", where)
    refuse_others(table, _SCHEDULE, f"{where}, [schedule]")
    if table and "schedule" not in law.covariates:
        raise CardError(f"{where}, [schedule]: law {law.name} reads no learning-rate schedule.")
    clock, sd = table.get("clock", 1.0), 0.0
    if isinstance(clock, str) and PRIOR.match(clock):
        prior = Prior.parse(clock, f"{where}, [schedule]")
        if prior.kind == "normal" and 3 * prior.sd < prior.centre:
            clock, sd = prior.centre, prior.sd
    if isinstance(clock, bool) or not isinstance(clock, int | float) or not 0 < clock <= 2:
        raise CardError(
            f"{where}, [schedule]: clock is a power of the learning rate between 0 and 2, or its prior, normal(mean, "
            f"sd) with a mean more than three sd above 0; not {clock!r}."
        )
    return float(clock), sd, str(table.get("reason", ""))


def process(raw: Mapping[str, Any], key: str, where: str, step: float) -> tuple[dict[str, Reasoned], float]:
    """What [discrepancy], [exits] or [shared] says of a path over log-tokens: priors of its scale and length, neither
    or both, and the distance of its knots, ``step`` where it does not say."""
    table = dict(table_of(raw, key, where))
    step = table.pop("step", step)
    if isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step < math.inf:
        raise CardError(f"{where}, [{key}]: step is the knots' distance in e-folds of tokens, above 0: {step!r}.")
    found = reasoned({key: table}, key, where, _PROCESS)
    if found and len(found) < 2:
        raise CardError(f"{where}: [{key}] needs both scale and length.")
    return found, float(step)


def check_around(parameters: Mapping[str, Parameter], symbols: Mapping[str, Any], where: str) -> None:
    """A prior around another symbol: both are positive shapes, and the other's own prior is of numbers."""
    shapes = [name for name, s in symbols.items() if s.kind == "shape" and s.link == "log"]
    for name, spec in parameters.items():
        other = spec.prior.around
        if other and (other == name or name not in shapes or other not in shapes or parameters[other].prior.around):
            raise CardError(
                f"{where}, [parameters.{name}]: the prior {spec.prior} has a symbol for its median. Both it and {name} "
                f"must be positive shapes of the law ({', '.join(shapes) or 'it has none'}), and the prior of the "
                f"other one of numbers."
            )


def refuse_others(raw: Mapping[str, Any], allowed: Sequence[str], where: str, what: str = "It") -> None:
    """CardError for the first key of ``raw`` that is not ``allowed``, with the nearest that is."""
    for key in raw:
        if key not in allowed:
            hint = meant(nearest(key, allowed))
            raise CardError(f"{where}: unknown key {key!r}.{hint} {what} has {', '.join(allowed)}.")


def reasoned(raw: Mapping[str, Any], key: str, where: str, allowed: Sequence[str]) -> dict[str, Reasoned]:
    """The priors of a table such as [noise], each with its reason; CardError for a name that is not ``allowed``."""
    out = {}
    for name, value in table_of(raw, key, where).items():
        place = f"{where}, [{key}.{name}]"
        if name not in allowed:
            hint = meant(nearest(name, allowed))
            raise CardError(f"{place}: unknown.{hint} [{key}] has {', '.join(allowed)}.")
        if not isinstance(value, Mapping) or "prior" not in value:
            raise CardError(f'{place}: needs prior = "..." and reason = "...".')
        prior = Prior.parse(value["prior"], place)
        expected = "normal" if name in ("by_x", "by_n") else "lognormal"
        if prior.kind != expected or prior.around:
            what = f"{expected} of numbers" if prior.around else expected
            raise CardError(f"{place}: its prior is a {what}, not {value['prior']!r}.")
        out[name] = Reasoned(prior, str(value.get("reason", "")))
    return out
