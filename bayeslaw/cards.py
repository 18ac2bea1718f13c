"""Model cards: a law, what is pooled over what, every prior with its reason. Read from TOML.

A card of one's own takes a few lines: ``extends = "chinchilla"`` and the tables that differ. Shipped cards lie in
``models/`` and are found by name; a path to a ``.toml`` file works wherever a name does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayeslaw.cards_prior import Parameter, Prior, Reasoned
from bayeslaw.cards_tables import (
    LEVELS,
    check_around,
    check_taken_out,
    clock_of,
    merged,
    parameter,
    process,
    reasoned,
    refuse_others,
    table_of,
)
from bayeslaw.errors import CardError, meant, nearest
from bayeslaw.laws import get_law

__all__ = ["Card", "Parameter", "Prior", "Reasoned", "card_names", "load_card"]

_TOP = ("name", "extends", "law", "summary", "reference")
_TOP += ("parameters", "offset", "run", "noise", "discrepancy", "exits", "shared", "schedule")
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
class Card:
    """A model card. ``offset`` maps a level to the prior of the spread of its members' shifts of the whole log loss;
    ``run`` maps run-level effects ("level" or a positive symbol) to the prior of their relative sd;
    ``discrepancy`` has ``scale`` and ``length`` (in e-folds of tokens) or is empty, and so have ``exits``, what
    the exits of one run stray together, and ``shared``, what runs of one data order do; ``*_step``, the distance of
    their knots, is in e-folds;
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
    exits: Mapping[str, Reasoned]
    shared: Mapping[str, Reasoned]
    knot_step: float = 0.5
    exits_step: float = 0.5
    shared_step: float = 0.25
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
        own, inherited = raw, {}
        if "extends" in raw:
            parent = raw["extends"]
            if not isinstance(parent, str):
                raise CardError(f"{where}: extends is a model's name or the path of a .toml file, not {parent!r}.")
            inherited = _load(parent, above).source
            raw = merged(inherited, {k: v for k, v in raw.items() if k != "extends"})
        raw = merged(DEFAULTS, raw)
        refuse_others(raw, _TOP, where, "A card")
        for key in ("name", "law"):
            if not isinstance(raw.get(key), str):
                raise CardError(f'{where}: a card needs {key} = "...".')
        law = get_law(raw["law"])
        given = table_of(raw, "parameters", where)
        symbols = {s.name: s for s in law.symbols}
        names = {*_TOP, *symbols, *table_of(inherited, "parameters", where), "level", *DEFAULTS["noise"]}
        check_taken_out(own, names, where)
        for name in given:
            if name not in symbols:
                hint = meant(nearest(name, symbols))
                raise CardError(f"{where}: law {law.name} has no symbol {name!r}.{hint} It has {', '.join(symbols)}.")
        parameters = {}
        for name, symbol in symbols.items():
            if name not in given:
                raise CardError(
                    f"{where}: no prior for {name} ({symbol.meaning}). Add [parameters.{name}] with a prior and a "
                    f'reason, or start the card with extends = "{law.name}".'
                )
            parameters[name] = parameter(given[name], symbol, f"{where}, [parameters.{name}]")
        check_around(parameters, symbols, where)
        positive = [s.name for s in law.symbols if s.link == "log"]
        offset = reasoned(raw, "offset", where, list(LEVELS))
        run = reasoned(raw, "run", where, ["level", *positive])
        noise = reasoned(raw, "noise", where, list(DEFAULTS["noise"]))
        discrepancy, step = process(raw, "discrepancy", where, 0.5)
        exits, exits_step = process(raw, "exits", where, 0.5)
        shared, shared_step = process(raw, "shared", where, 0.25)
        clock, sd, why = clock_of(raw, law, where)
        text = {k: str(raw.get(k, "")) for k in ("name", "law", "summary", "reference")}
        return cls(**text, parameters=parameters, offset=offset, run=run, noise=noise, discrepancy=discrepancy,
                   exits=exits, shared=shared, knot_step=step,
                   exits_step=exits_step, shared_step=shared_step,
                   clock=clock, clock_sd=sd, clock_reason=why, source=dict(raw))  # fmt: skip

    def __str__(self) -> str:
        from bayeslaw.cards_text import describe

        return describe(self)


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
            hint = meant(nearest(name, card_names(), most=3, cutoff=0.4))
            raise CardError(
                f"No model is called {str(name)!r}.{hint} There are {', '.join(card_names())}; a card of your own is "
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
