"""A model card in print: formula, every prior with its reason, and what is pooled over what. Plain text, 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from bayeslaw.laws import Law, get_law

if TYPE_CHECKING:
    from bayeslaw.cards import Card
    from bayeslaw.cards_prior import Parameter, Prior, Reasoned

WIDTH = 80
EFFECTS = {"level": "relative shift of the whole curve"}
NOISE = {
    "sigma": "relative sd of the noise",
    "early": "curves: power of x by which it grows towards the start",
    "nu": "single points: degrees of freedom of its Student-t tails",
    "by_x": "single points: change of its log per e-fold of tokens",
    "by_n": "single points: change of its log per e-fold of N",
}
DISCREPANCY = {"scale": "relative sd", "length": "e-folds of tokens over which it forgets itself"}
KINDS = {
    "lognormal": "lognormal(median, sd of the log)",
    "logitnormal": "logitnormal(median, sd of the logit)",
    "normal": "normal(mean, sd)",
}


@dataclass(frozen=True)
class _Row:
    """A line of a table: a name, its prior and what hangs below it, what it is, and why the prior is what it is."""

    name: str
    priors: list[str]
    meaning: str
    reason: str


def describe(card: Card) -> str:
    """The whole card, no line wider than 80 columns, without a newline at the end."""
    law = get_law(card.law)
    tables = {
        "Parameters": [_parameter(law, name, p) for name, p in card.parameters.items()],
        "Offsets: a level's members shift the whole loss": _rows(card.offset, {}, "relative spread over {}"),
        "Run effects: what a curve has of its own": _rows(card.run, EFFECTS, "relative shift of {}"),
        "Noise": _rows(card.noise, NOISE),
        f"Discrepancy: smooth misfit of a curve, knots every {card.knot_step:g} e-folds": _rows(
            card.discrepancy, DISCREPANCY
        ),
        f"Shared by the exits of a run: a path, knots every {card.exits_step:g} e-folds": _rows(
            card.exits, DISCREPANCY
        ),
        f"Shared by runs of one data order: a path, knots every {card.shared_step:g} e-folds": _rows(
            card.shared, DISCREPANCY
        ),
    }
    rows = [row for part in tables.values() for row in part]
    widths = (max(len("symbol"), *(len(r.name) for r in rows)), max(len(p) for r in rows for p in r.priors))
    blocks = [_head(card, law), _pooling(card)]
    blocks += ["\n".join(_table(title, part, widths)) for title, part in tables.items() if part]
    return "\n\n".join([*blocks, _legend(card)])


def _head(card: Card, law: Law) -> str:
    title = f"{law.title} (model {card.name})"
    lines = [*_wrap(title), *_wrap(card.summary), "", *_wrap(law.formula, "  ", "      "), "", *_wrap(card.reference)]
    if card.clock != 1 or card.clock_sd:
        power = f"normal({card.clock:g}, {card.clock_sd:g})" if card.clock_sd else f"{card.clock:g}"
        lines += ["", *_wrap(f"Progress is summed with rates to the power {power}: {card.clock_reason}")]
    return "\n".join(lines)


def _parameter(law: Law, name: str, spec: Parameter) -> _Row:
    symbol = law.symbol(name)
    amplitude = symbol.kind == "amplitude"
    unit = "" if amplitude or symbol.unit == "1" else f" ({symbol.unit})"
    unit = f" (share of the reference row's {symbol.share_of})" if symbol.share_of else unit
    priors = [_show(spec.prior)]
    priors += [f"  slope {_show(spec.slope)}"] if spec.slope else []
    priors += [f"  {level} {_show(spread)}" for level, spread in spec.pool.items()]
    return _Row(f"{name} *" if amplitude else name, priors, symbol.meaning + unit, spec.reason)


def _rows(part: Mapping[str, Reasoned], meanings: Mapping[str, str], other: str = "") -> list[_Row]:
    return [_Row(k, [_show(v.prior)], meanings.get(k, other.format(k)), v.reason) for k, v in part.items()]


def _show(prior: Prior) -> str:
    return str(prior).replace("e+0", "e").replace("e+", "e")


def _table(title: str, rows: list[_Row], widths: tuple[int, int]) -> Iterator[str]:
    first, second = widths
    if title == "Parameters":
        yield f"{'symbol':{first}}  {'prior':{second}}  what it is, and why this prior"
    else:
        yield title
    yield "-" * WIDTH
    room = WIDTH - first - second - 4
    for row in rows:
        why = f"why: {row.reason}" if row.reason else ""
        text = [*textwrap.wrap(row.meaning, room), *textwrap.wrap(why, room)]
        for name, prior, words in zip_longest([row.name], row.priors, text, fillvalue=""):
            yield f"{name:{first}}  {prior:{second}}  {words}".rstrip()


def _pooling(card: Card) -> str:
    over: dict[str, list[str]] = {}
    for name, spec in card.parameters.items():
        for level in spec.pool:
            over.setdefault(level, []).append(name)
    for level in card.offset:
        over.setdefault(level, []).append("the whole loss")
    if card.run:
        over["run"] = ["the whole loss" if name == "level" else name for name in card.run]
    sloped = [name for name, spec in card.parameters.items() if spec.slope]
    lines = ["Pooled:" if over else "Nothing is pooled: all runs share every parameter."]
    for level, names in over.items():
        lines += _wrap(f"over {level}: {', '.join(names)}", "  ", "    ")
    if sloped:
        lines += _wrap(f"along log N, by slopes: {', '.join(sloped)}", "  ", "    ")
    return "\n".join(lines)


def _legend(card: Card) -> str:
    sloped = any(spec.slope for spec in card.parameters.values())
    pooled = any(spec.pool for spec in card.parameters.values())
    used = {prior.kind for prior in _priors(card)}
    text = "Priors read " + ", ".join(words for kind, words in KINDS.items() if kind in used) + "."
    text += " * is an amplitude: its prior is on its term's nats at the data's reference row, the geometric means of"
    text += " the covariates."
    if any(prior.around for prior in _priors(card)):
        text += " A symbol for a median is that symbol's value above all levels."
    if sloped:
        text += " Below a prior, slope is the change per e-fold of N, on the prior's own (log or logit) scale."
    if pooled:
        text += " Below a prior, a level is the spread of its members about the value above it, on that same scale."
    text += " A level of which the data have one member, or none, is left out of the fit."
    return "\n".join(_wrap(text))


def _priors(card: Card) -> Iterator[Prior]:
    for spec in card.parameters.values():
        yield spec.prior
        yield from spec.pool.values()
        if spec.slope:
            yield spec.slope
    for part in (card.offset, card.run, card.noise, card.discrepancy, card.exits, card.shared):
        yield from (reasoned.prior for reasoned in part.values())


def _wrap(text: str, first: str = "", later: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)
