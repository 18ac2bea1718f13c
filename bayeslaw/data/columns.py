"""Canonical column names, and finding them in a table under the trainers' names (``aliases.py``).

Comparison ignores case and surrounding blanks. The canonical name itself always wins; two aliases of one column in the
same table are an error, because guessing there would silently fit the wrong curve.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bayeslaw.data.aliases import ALIASES, CROSS_ENTROPY, EVAL_LOSS, LAST_RESORT
from bayeslaw.errors import DataError, meant, nearest

#: canonical columns in the order in which a Runs table shows them, with their unit or meaning
CANONICAL: dict[str, str] = {
    "run": "name of the run",
    "group": "corpus or family over which parameters are pooled",
    "step": "optimizer step",
    "tokens": "cumulative training tokens",
    "n_params": "number of parameters",
    "n_params_once": "parameters outside the loop of a looped model",
    "n_params_recurrent": "parameters inside the loop of a looped model",
    "recurrence": "maximum recurrent steps of a looped model",
    "exit_step": "recurrent step whose loss it is, empty for the total loss",
    "loss": "nats per token",
    "lr": "learning rate at the step",
    "grad_norm": "L2 norm of the gradient",
    "flops": "training compute so far, FLOP",
    "data_order": "runs with the same value saw the same batch at the same step",
}
GATE = re.compile(r"gate_\d+")
TEXT = ("run", "group", "data_order")
#: what a run has one value of
ONE_PER_RUN = ("group", "n_params", "n_params_once", "n_params_recurrent")
#: names in a message; trackers' tables have hundreds of columns
SHOWN = 30

_OTHER_UNITS = (
    (
        re.compile(r"(^|[/_ .-])(bits?[ _-]?per[ _-]?byte|bpb)($|[/_ .-])", re.I),
        "a loss in bits per byte: multiply by ln 2 = 0.6931 and by the tokenizer's mean bytes per token",
    ),
    (
        re.compile(r"(^|[/_ .-])(bits?([ _-]?per[ _-]?(token|tok))?|bpt)($|[/_ .-])", re.I),
        "a loss in bits per token: multiply by ln 2 = 0.6931",
    ),
    (re.compile(r"(^|[/_ .-])(perplexity|ppl)($|[/_ .-])", re.I), "a perplexity: take its natural logarithm"),
)


@dataclass(frozen=True)
class Match:
    """Which source column plays which part: ``mapping`` canonical → source, ``notes`` what a reader should know."""

    mapping: dict[str, str]
    notes: tuple[str, ...]


def is_canonical(name: str) -> bool:
    """True for a column of the contract, ``gate_1`` ... included."""
    return name in CANONICAL or GATE.fullmatch(name) is not None


def match(columns: Sequence[str], chosen: Mapping[str, str] | None = None, *, need_loss: bool = True) -> Match:
    """Find the canonical columns among a table's column names.

    Parameters
    ----------
    columns : the table's column names.
    chosen : canonical → source name, the user's own choice; it beats every alias.
    need_loss : whether a table without a loss is an error.

    Raises
    ------
    DataError
        Unknown names in ``chosen``, two candidates for one column, no loss, or a loss in other units only.
    """
    chosen = dict(chosen or {})
    _check_chosen(columns, chosen)
    by_key: dict[str, list[str]] = {}
    for column in columns:
        by_key.setdefault(_key(column), []).append(column)
    mapping = dict(chosen)
    taken = set(chosen.values())
    notes: list[str] = []
    for canonical in CANONICAL:
        if canonical in mapping:
            continue
        if canonical in columns and canonical not in taken:
            mapping[canonical] = canonical
            continue
        tiers = [((canonical, ""),), ALIASES.get(canonical, ()), LAST_RESORT.get(canonical, ())]
        if canonical == "loss":
            tiers[1:2] = [CROSS_ENTROPY, ALIASES["loss"], EVAL_LOSS]
        for tier in tiers:
            found = _present(tier, by_key, taken)
            if len(found) > 1:
                raise DataError(_ambiguous(canonical, found))
            if found:
                source, trainer = found[0]
                mapping[canonical] = source
                taken.add(source)
                if tier is CROSS_ENTROPY and (total := _present(ALIASES["loss"], by_key, taken)):
                    notes.append(
                        f"The loss is the cross-entropy {source!r}; {_quoted(s for s, _ in total)}, which may hold "
                        f"auxiliary losses, was left aside."
                    )
                elif tier is EVAL_LOSS:
                    notes.append(f"The loss is the validation loss {source!r}: there is no train loss here.")
                elif trainer:
                    notes.append(f"Column {source!r} was read as {canonical} (the name that {trainer} uses).")
                break
    mapping.update({c: c for c in columns if GATE.fullmatch(c) and c not in taken})
    if "loss" in mapping and mapping["loss"] not in {a for a, _ in EVAL_LOSS}:
        idle = [source for source, _ in _present(EVAL_LOSS, by_key, set(mapping.values()))]
        if idle:
            notes.append(
                f"The loss is {mapping['loss']!r}; the validation loss {_quoted(idle)} was left aside. "
                f'To fit it instead: columns={{"loss": "{idle[0]}"}}, or --column loss={idle[0]}.'
            )
    if need_loss and "loss" not in mapping:
        raise DataError(_no_loss(columns))
    return Match(mapping, tuple(notes))


def _key(name: str) -> str:
    # N, D and C are symbols: folding their case would take a column "n" or "c" for one.
    name = str(name).strip()
    return name if len(name) == 1 else name.lower()


def _present(
    aliases: Iterable[tuple[str, str]], by_key: Mapping[str, list[str]], taken: set[str]
) -> list[tuple[str, str]]:
    """The columns that are called by one of the aliases, and whose name it is; exactly so, if one of several is."""
    found: dict[str, str] = {}
    for alias, trainer in aliases:
        there = by_key.get(_key(alias), [])
        found |= dict.fromkeys([alias] if alias in there else there, trainer)
    return [(source, trainer) for source, trainer in found.items() if source not in taken]


def _quoted(names: Iterable[str]) -> str:
    shown = [repr(str(n)) for n in names]
    return ", ".join(shown if len(shown) <= SHOWN else [*shown[: SHOWN - 1], f"and {len(shown) - SHOWN + 1:,} more"])


def _check_chosen(columns: Sequence[str], chosen: Mapping[str, str]) -> None:
    for canonical, source in chosen.items():
        if not is_canonical(canonical):
            raise DataError(
                f"columns= names {canonical!r}, which is not a column of bayeslaw. "
                f'It maps bayeslaw\'s name to yours, as in {{"loss": "train/loss"}}; the names are '
                f"{', '.join(CANONICAL)} and gate_1, gate_2, ..."
            )
        if source not in columns:
            hint = meant(nearest(source, columns, most=1, cutoff=0.5), "{!r}")
            raise DataError(
                f"columns= (or --column) asks for {canonical} from {source!r}, but the table has no such column.{hint} "
                f"Its columns are {_quoted(columns)}."
            )


def _ambiguous(canonical: str, found: Sequence[tuple[str, str]]) -> str:
    names = [source for source, _ in found]
    return (
        f"{len(names)} columns could be {canonical} ({CANONICAL[canonical]}): {_quoted(names)}. Choose one: "
        f'columns={{"{canonical}": "{names[0]}"}} in Python, --column {canonical}="{names[0]}" on the command line.'
    )


def _no_loss(columns: Sequence[str]) -> str:
    for column in columns:
        for pattern, remedy in _OTHER_UNITS:
            if pattern.search(str(column)):
                return (
                    f"The table has no loss in nats per token, only {column!r}, which looks like {remedy}. "
                    f'Add the converted numbers as a column "loss" and load the table again.'
                )
    known = {alias: alias for alias, _ in (*CROSS_ENTROPY, *ALIASES["loss"], *EVAL_LOSS)} | {"loss": "loss"}
    near = [str(c) for c in columns if "loss" in str(c).lower() or "entropy" in str(c).lower()]
    if not near:
        near = [str(c) for c in columns if nearest(c, known, most=1)]
    hint = (
        f'The nearest is {near[0]!r}: if that is it, columns={{"loss": "{near[0]}"}}, or --column loss="{near[0]}".'
        if near
        else 'Name it: columns={"loss": "<your column>"}, or --column loss=<your column>.'
    )
    return f"There is no loss column (nats per token) among {_quoted(columns)}. {hint}"
