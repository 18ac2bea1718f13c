"""Model cards: a law, what is pooled over what, every prior with its reason. Read from TOML.

A card of one's own takes a few lines: ``extends = "chinchilla"`` and the tables that differ. Shipped cards lie in
``models/`` and are found by name; a path to a ``.toml`` file works wherever a name does.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayeslaw.errors import CardError
from bayeslaw.laws import get_law

LEVELS = ("group", "size", "recurrence", "exit_step", "budget")
_PRIOR = re.compile(r"^\s*(lognormal|logitnormal|normal)\s*\(\s*([^,()]+)\s*,\s*([^,()]+)\s*\)\s*$")
_TOP = ("name", "extends", "law", "summary", "reference")
_TOP += ("parameters", "offset", "run", "noise", "discrepancy", "schedule")
_SYMBOL = re.compile(r"(?!(?i:inf|infinity|nan)$)[A-Za-z]\w*")
#: what a card that says nothing about errors gets
DEFAULTS: dict[str, Any] = {
    "noise": {
        "sigma": {"prior": "lognormal(0.005, 1)", "reason": "published laws leave 0.1-2 % of the loss unexplained"},
        "early": {"prior": "lognormal(0.3, 0.7)", "reason": "laws fit the first tenth of a run worst"},
        "nu": {"prior": "lognormal(4, 0.6)", "reason": "a few runs of every published table lie far off"},
        "by_x": {
            "prior": "normal(0, 0.1)",
            "reason": "scatter of final losses rarely changes by half over ten times the tokens",
        },
        "by_n": {"prior": "normal(0, 0.1)", "reason": "nor over ten times the parameters"},
    }
}


@dataclass(frozen=True)
class Prior:
    """``lognormal(median, sd of the log)``, ``logitnormal(median, sd of the logit)`` or ``normal(mean, sd)``.

    The median of a lognormal may be another symbol of the law, ``lognormal(alpha, 0.1)``: ``around`` is then its name
    and ``centre``, the median of their ratio, is 1.
    """

    kind: str
    centre: float
    sd: float
    around: str = ""

    @classmethod
    def parse(cls, text: object, where: str) -> Prior:
        """Read the prior that ``text`` states; CardError names the place, ``where``, what came and what would do."""
        found = _PRIOR.match(text) if isinstance(text, str) else None
        try:
            if found is None:
                raise ValueError
            kind, sd = found[1], float(found[3])
            around = found[2] if kind == "lognormal" and _SYMBOL.fullmatch(found[2]) else ""
            centre = 1.0 if around else float(found[2])
        except ValueError:
            raise CardError(
                f"{where}: cannot read the prior {text!r}. Write lognormal(median, sd of the log), "
                f"logitnormal(median, sd of the logit) or normal(mean, sd), for example lognormal(0.35, 0.4)."
            ) from None
        bad_centre = (kind == "lognormal" and centre <= 0) or (kind == "logitnormal" and not 0 < centre < 1)
        if bad_centre or not sd > 0 or not math.isfinite(centre + sd):
            raise CardError(
                f"{where}: {text!r} is not a distribution: its sd must be above 0, the median of a lognormal above 0 "
                f"and that of a logitnormal between 0 and 1."
            )
        return cls(kind, centre, sd, around)

    @property
    def location(self) -> float:
        """The centre on the link scale (log, logit or as is)."""
        if self.kind == "lognormal":
            return math.log(self.centre)
        return math.log(self.centre / (1 - self.centre)) if self.kind == "logitnormal" else self.centre

    def __str__(self) -> str:
        return f"{self.kind}({self.around or format(self.centre, 'g')}, {self.sd:g})"


@dataclass(frozen=True)
class Reasoned:
    """A prior and the reason for it."""

    prior: Prior
    reason: str


@dataclass(frozen=True)
class Parameter:
    """How one symbol of the law is modelled.

    ``prior`` is on the symbol itself for a shape, and on **its term's nats at the data's reference row** (geometric
    means of the covariates) for an amplitude. A shape's prior may have another shape's population value for its
    median. ``slope`` is the prior of its change per e-fold of N, on the link
    scale. ``pool`` maps a level to the prior of the spread of that level's deviations, on the link scale.
    """

    prior: Prior
    reason: str
    slope: Prior | None = None
    pool: Mapping[str, Prior] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """A model card. ``offset`` maps a level to the prior of the spread of its members' shifts of the whole log loss;
    ``run`` maps run-level effects ("level" or an amplitude) to the prior of their relative sd;
    ``discrepancy`` has ``scale`` and ``length`` (in e-folds of tokens) or is empty; ``knot_step`` is in e-folds;
    ``clock`` is the power of the learning rate that counts as progress (``laws/schedule.py``): as it is where
    ``clock_sd`` is 0, else the mean of its normal prior; ``clock_reason`` says why."""

    name: str
    law: str
    summary: str
    reference: str
    parameters: Mapping[str, Parameter]
    offset: Mapping[str, Reasoned]
    run: Mapping[str, Reasoned]
    noise: Mapping[str, Reasoned]
    discrepancy: Mapping[str, Reasoned]
    knot_step: float = 0.5
    clock: float = 1.0
    clock_sd: float = 0.0
    clock_reason: str = ""
    source: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], where: str = "the card", *, above: tuple[str, ...] = ()) -> Card:
        """Build a card from ``raw``, what its TOML says; CardError names the table and key that is wrong.

        ``where`` names the card in messages, ``above`` the files of the cards that extend this one, so that a circle is
        noticed.
        """
        if "extends" in raw:
            parent = raw["extends"]
            if not isinstance(parent, str):
                raise CardError(f"{where}: extends is a model's name or the path of a .toml file, not {parent!r}.")
            raw = _merge(_load(parent, above).source, {k: v for k, v in raw.items() if k != "extends"})
        raw = _merge(DEFAULTS, raw)
        unknown = [key for key in raw if key not in _TOP]
        if unknown:
            raise CardError(f"{where}: unknown key {unknown[0]!r}. A card has {', '.join(_TOP)}.")
        for key in ("name", "law"):
            if not isinstance(raw.get(key), str):
                raise CardError(f'{where}: a card needs {key} = "...".')
        law = get_law(raw["law"])
        given = _table(raw, "parameters", where)
        symbols = {s.name: s for s in law.symbols}
        for name in given:
            if name not in symbols:
                near = difflib.get_close_matches(name, symbols, n=2)
                meant = f" Did you mean {' or '.join(near)}?" if near else ""
                raise CardError(f"{where}: law {law.name} has no symbol {name!r}.{meant} It has {', '.join(symbols)}.")
        parameters = {}
        for name, symbol in symbols.items():
            if name not in given:
                raise CardError(
                    f"{where}: no prior for {name} ({symbol.meaning}). Add [parameters.{name}] with a prior and a "
                    f'reason, or start the card with extends = "{law.name}".'
                )
            parameters[name] = _parameter(given[name], symbol, f"{where}, [parameters.{name}]")
        _check_around(parameters, symbols, where)
        amplitudes = [s.name for s in law.symbols if s.kind == "amplitude"]
        offset = _reasoned(raw, "offset", where, list(LEVELS))
        run = _reasoned(raw, "run", where, ["level", *amplitudes])
        noise = _reasoned(raw, "noise", where, list(DEFAULTS["noise"]))
        table = dict(_table(raw, "discrepancy", where))
        step = table.pop("step", 0.5)
        if isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step < math.inf:
            raise CardError(
                f"{where}, [discrepancy]: step is the knots' distance in e-folds of tokens, above 0: {step!r}."
            )
        discrepancy = _reasoned({"discrepancy": table}, "discrepancy", where, ["scale", "length"])
        if discrepancy and len(discrepancy) < 2:
            raise CardError(f"{where}: a discrepancy needs both scale and length.")
        clock, sd, why = _clock(raw, law, where)
        text = {k: str(raw.get(k, "")) for k in ("name", "law", "summary", "reference")}
        return cls(**text, parameters=parameters, offset=offset, run=run, noise=noise, discrepancy=discrepancy,
                   knot_step=float(step), clock=clock, clock_sd=sd, clock_reason=why, source=dict(raw))  # fmt: skip

    def __str__(self) -> str:
        from bayeslaw.cards_text import describe

        return describe(self)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping):
            below = merged.get(key)
            value = _merge(below if isinstance(below, Mapping) else {}, value)
        merged[key] = value
    # a card takes something inherited out by setting it to false
    return {k: v for k, v in merged.items() if v is not False}


def _table(raw: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    table = raw.get(key, {})
    if not isinstance(table, Mapping):
        raise CardError(f"{where}: {key} is a table ([{key}...]), not {table!r}.")
    return table


def _parameter(raw: object, symbol: Any, where: str) -> Parameter:
    if not isinstance(raw, Mapping) or "prior" not in raw:
        raise CardError(f'{where}: needs prior = "..." and reason = "...".')
    unknown = [k for k in raw if k not in ("prior", "reason", "slope", "pool")]
    if unknown:
        raise CardError(f"{where}: unknown key {unknown[0]!r}. It has prior, reason, slope, pool.")
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
    for level, text in _table(raw, "pool", where).items():
        if level not in LEVELS:
            raise CardError(f"{where}, pool: unknown level {level!r}. The levels are {', '.join(LEVELS)}.")
        pool[level] = Prior.parse(text, f"{where}, pool.{level}")
        if pool[level].kind != "lognormal" or pool[level].around:
            raise CardError(f"{where}, pool.{level}: a spread is positive: write lognormal(median, sd of the log).")
    return Parameter(prior, str(raw.get("reason", "")), slope, pool)


def _clock(raw: Mapping[str, Any], law: Any, where: str) -> tuple[float, float, str]:
    """What [schedule] says: the clock, the sd of its prior (0: it is fixed), and why."""
    table = _table(raw, "schedule", where)
    unknown = [k for k in table if k not in ("clock", "reason")]
    if unknown:
        raise CardError(f"{where}, [schedule]: unknown key {unknown[0]!r}. It has clock, reason.")
    if table and "schedule" not in law.covariates:
        raise CardError(f"{where}, [schedule]: law {law.name} reads no learning-rate schedule.")
    clock, sd = table.get("clock", 1.0), 0.0
    if isinstance(clock, str) and _PRIOR.match(clock):
        prior = Prior.parse(clock, f"{where}, [schedule]")
        if prior.kind == "normal" and 3 * prior.sd < prior.centre:
            clock, sd = prior.centre, prior.sd
    if isinstance(clock, bool) or not isinstance(clock, int | float) or not 0 < clock <= 2:
        raise CardError(
            f"{where}, [schedule]: clock is a power of the learning rate between 0 and 2, or its prior, normal(mean, "
            f"sd) with a mean more than three sd above 0; not {clock!r}."
        )
    return float(clock), sd, str(table.get("reason", ""))


def _check_around(parameters: Mapping[str, Parameter], symbols: Mapping[str, Any], where: str) -> None:
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


def _reasoned(raw: Mapping[str, Any], key: str, where: str, allowed: list[str]) -> dict[str, Reasoned]:
    out = {}
    for name, value in _table(raw, key, where).items():
        place = f"{where}, [{key}.{name}]"
        if name not in allowed:
            raise CardError(f"{place}: unknown. [{key}] has {', '.join(allowed)}.")
        if not isinstance(value, Mapping) or "prior" not in value:
            raise CardError(f'{place}: needs prior = "..." and reason = "...".')
        prior = Prior.parse(value["prior"], place)
        expected = "normal" if name in ("by_x", "by_n") else "lognormal"
        if prior.kind != expected or prior.around:
            what = f"{expected} of numbers" if prior.around else expected
            raise CardError(f"{place}: its prior is a {what}, not {value['prior']!r}.")
        out[name] = Reasoned(prior, str(value.get("reason", "")))
    return out


def _folder() -> Path:
    here = Path(__file__).resolve().parent
    # in a wheel the cards lie in the package, in a checkout beside it
    return here / "models" if (here / "models").is_dir() else here.parent / "models"


def card_names() -> tuple[str, ...]:
    """Names of the shipped cards, in alphabetical order."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


def load_card(name: str | Path | Card | Mapping[str, Any]) -> Card:
    """The card of that name, or in that ``.toml`` file; a Card or a mapping in a card's form is taken as it is.

    Raises CardError: unknown name (nearest names offered), unreadable file, or a card that breaks the rules.
    """
    if isinstance(name, Card):
        return name
    if isinstance(name, Mapping):
        return Card.from_dict(name)
    if not isinstance(name, str | Path):
        raise CardError(f"A model is a card's name, the path of its .toml file, a Card or a mapping, not {name!r}.")
    return _load(name, ())


def _load(name: str | Path, above: tuple[str, ...]) -> Card:
    """The card of that name or file, which the cards in the files ``above`` extend."""
    path = Path(name)
    if path.suffix != ".toml":
        if str(name) not in card_names():
            near = difflib.get_close_matches(str(name).lower().replace("_", "-"), card_names(), n=3, cutoff=0.4)
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            raise CardError(
                f"No model is called {str(name)!r}.{meant} There are {', '.join(card_names())}; a card of your own is "
                f"given as the path of its .toml file."
            )
        path = _folder() / f"{name}.toml"
    file = str(path.resolve())
    if file in above:
        circle = " -> ".join(Path(each).name for each in (*above[above.index(file) :], file))
        raise CardError(f"{path.name}: the card extends itself ({circle}). Let one of them extend a shipped card.")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardError(f"Cannot read the card {path}: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CardError(f"{path} is not a TOML file: {error}.") from None
    return Card.from_dict(raw, where=path.name, above=(*above, file))
