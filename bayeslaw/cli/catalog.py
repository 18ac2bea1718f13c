"""``bayeslaw models`` and ``bayeslaw laws``: what there is to choose from."""

from __future__ import annotations

import textwrap
from typing import Any

import click

from bayeslaw.cli.output import emit_json, emit_table, json_option


@click.command(short_help="List the model cards, or show one with its priors.")
@click.argument("name", required=False)
@json_option
def models(name: str | None, as_json: bool) -> None:
    """List the model cards, or show one: its law, what is pooled over what, and every prior.

    NAME may also be a TOML file of your own.
    """
    from bayeslaw.cards import card_names, load_card

    cards = [load_card(each) for each in ([name] if name else card_names())]
    if as_json:
        emit_json("models", [], models=[_card(card) for card in cards])
    elif name:
        click.echo(str(cards[0]))
    else:
        emit_table(["model", "what it is"], [[card.name, card.summary] for card in cards], left=2, wrap=1)


@click.command(short_help="List the loss laws, or show one with its symbols.")
@click.argument("name", required=False)
@json_option
def laws(name: str | None, as_json: bool) -> None:
    """List the loss laws, or show one: formula, symbols with units, columns it needs, and the paper."""
    from bayeslaw.laws import LAWS, get_law

    chosen = [get_law(each) for each in ([name] if name else LAWS)]
    if as_json:
        emit_json("laws", [], laws=[_record(law) for law in chosen])
    elif name:
        _show(chosen[0])
    else:
        emit_table(["law", "formula"], [[law.name, law.formula] for law in chosen], left=2, wrap=1)


def _card(card: Any) -> dict[str, Any]:
    fields = ("name", "law", "summary", "reference")
    return {**{name: getattr(card, name) for name in fields}, "text": str(card)}


def _record(law: Any) -> dict[str, Any]:
    symbols = [{"name": s.name, "meaning": s.meaning, "unit": s.unit, "kind": s.kind} for s in law.symbols]
    return {
        "name": law.name,
        "title": law.title,
        "formula": law.formula,
        "reference": law.reference,
        "covariates": list(law.covariates),
        "symbols": symbols,
    }


def _show(law: Any) -> None:
    title = law.title if law.title.lower() == law.name else f"{law.title} (law {law.name})"
    formula = textwrap.fill(law.formula, 80, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
    click.echo(f"{title}\n\n{formula}\n\n{textwrap.fill(law.reference, 80)}\n")
    emit_table(["symbol", "meaning", "unit"], [[s.name, s.meaning, s.unit] for s in law.symbols], left=3, wrap=1)
    click.echo(f"\ncolumns: {', '.join(law.covariates)}")
