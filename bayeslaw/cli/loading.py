"""``bayeslaw load``: what a log holds, before anything is fitted to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from bayeslaw.cli.common import talk
from bayeslaw.cli.output import cell, emit_json, emit_table, json_option, rows_of
from bayeslaw.cli.reading import Reading, reading_options


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@reading_options
@click.option("--explain", is_flag=True, help="Which column was taken for what, what was derived, and every oddity.")
@json_option
def load(paths: tuple[str, ...], reading: Reading, explain: bool, as_json: bool) -> None:
    """Read training logs and show the runs in them."""
    from bayeslaw.cli.guard import say
    from bayeslaw.data.units import human

    runs = reading.read(paths)
    summary = summarise(runs)
    if as_json:
        emit_json(
            "load",
            list(summary.columns),
            source=runs.source,
            fingerprint=runs.fingerprint,
            mapping=runs.mapping,
            notes=list(runs.notes),
            runs=rows_of(summary),
            facts=rows_of(runs.facts),
        )
        return
    if explain:
        click.echo(runs.explain())
        return
    spell: dict[str, Callable[[Any], str]] = {
        **dict.fromkeys(("n_params", "tokens"), human),
        **dict.fromkeys(("step", "recurrence"), "{:,.0f}".format),
        **dict.fromkeys(("first_loss", "last_loss"), "{:.4f}".format),
    }
    if (summary["kept"] == summary["rows"]).all():
        summary = summary.drop(columns="kept")
    emit_table(
        [name.replace("_", " ") for name in summary.columns],
        [
            [cell(value, spell.get(name, str)) for name, value in zip(summary.columns, row, strict=True)]
            for row in summary.itertuples(index=False)
        ],
    )
    for name in runs.dropped:
        say(f"run {name!r} was left out: it has not one finite loss.")
    if len(runs.facts):
        talk(f"{len(runs.facts)} {'oddity' if len(runs.facts) == 1 else 'oddities'}; --explain tells them.")


def summarise(runs: Any) -> Any:
    """One row per run: rows read, rows kept, where its curve ends, first and last loss in nats."""
    import pandas as pd

    rows, kept = [], set(runs.names)
    for name, read in runs.frame.groupby("run", sort=False):
        curve = runs.curve(name) if name in kept else read.iloc[:0]
        row = {"run": name}
        for column in ("group", "n_params", "recurrence"):
            if column in curve:
                row[column] = (curve if len(curve) else read)[column].iloc[-1]
        row |= {"rows": len(read), "kept": len(curve)}
        for column in ("step", "tokens"):
            if column in curve:
                row[column] = curve[column].max()
        row |= {"first_loss": curve["loss"].iloc[0], "last_loss": curve["loss"].iloc[-1]} if len(curve) else {}
        rows.append(row)
    return pd.DataFrame(rows)
