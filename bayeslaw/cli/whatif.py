"""``bayeslaw forecast FIT --schedule ...``: the table of where a run would end, and its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bayeslaw.cli.common import talk
from bayeslaw.cli.guard import say
from bayeslaw.cli.output import cell, draw, emit_json, emit_table, rows_of, whole_steps, write_csv

if TYPE_CHECKING:
    from bayeslaw.whatif import WhatIf


def answer(
    found: WhatIf,
    levels: tuple[float, ...],
    output: str | None,
    plot: str | None,
    as_json: bool,
    basis: dict[str, Any],
) -> None:
    """Print the what-if table, write the bands as CSV, draw them; ``basis`` is what JSON tells of the fit."""
    import pandas as pd

    for note in found.notes:
        say(note)
    if output is not None:
        bands = pd.concat([b.frame.assign(schedule=name) for name, b in found.bands.items()], ignore_index=True)
        write_csv(whole_steps(bands), output)
    if as_json:
        columns = list(found.frame.columns)
        basis["notes"] += found.notes
        emit_json("what-if", columns, **basis, levels=list(levels), rows=rows_of(found.frame))
    elif output != "-":
        _print(found, levels)
    if plot is not None:
        from bayeslaw.plots.whatif import plot_what_if

        draw(plot_what_if(found, level=max(levels)), plot)
        talk(f"drew {plot}")


def _print(found: WhatIf, levels: tuple[float, ...]) -> None:
    from bayeslaw.data.units import human

    names = [f"{100 * level:g}" for level in sorted(levels)]
    tokens = "tokens" in found.frame and bool(found.frame["tokens"].notna().any())
    ends, differences = [], []
    for i, row in enumerate(found.frame.to_dict(orient="records")):
        bands = [f"{row['lo' + name]:.4f} - {row['hi' + name]:.4f}" for name in names]
        ends.append([str(row["schedule"]), f"{row['median']:.4f}", *bands])
        gain = f"{row['gain']:.4f} ({row['gain_lo90']:.4f} - {row['gain_hi90']:.4f})" if i else "-"
        far = [cell(row["tokens"], lambda value: human(value, 4))] if tokens else []
        differences.append([str(row["schedule"]), f"{row['step']:,.0f}", *far, f"{row['lr']:.2g}", gain])
    click.echo(f"run {found.frame['run'].iloc[0]}")
    emit_table(["schedule", "final loss", *[f"{name} % band" for name in names]], ends)
    click.echo()
    header = ["schedule", "ends at step", *(["tokens"] if tokens else []), "last lr", "below the first (90 %)"]
    emit_table(header, differences)
    talk("losses in nats per token; bands are for an observed loss, the difference is of the curves.")
