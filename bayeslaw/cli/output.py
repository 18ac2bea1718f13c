"""What goes to stdout: plain tables for people, JSON with a schema and units for programs. Never a colour."""

from __future__ import annotations

import json
import math
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bayeslaw.cli.common import talk
from bayeslaw.cli.guard import fold

#: widest table, characters
WIDTH = 80
#: unit of each column of the data contract and of a band, as written into JSON
UNITS = {
    "step": "optimizer steps",
    "tokens": "tokens",
    "n_params": "parameters",
    "n_params_once": "parameters",
    "n_params_recurrent": "parameters",
    "recurrence": "recurrent steps",
    "exit_step": "recurrent steps",
    "flops": "FLOP",
    "loss": "nats per token",
}
PICTURES = (".png", ".pdf", ".svg", ".jpg", ".webp")
#: columns of a band that say which row it is, in the order in which a person reads them
IDENTITY = ("run", "group", "n_params", "recurrence", "exit_step", "step", "tokens")
_LOSSES = ("mean", "median", "first_loss", "last_loss", "lowest_loss")

json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, with a schema name and units.")


def unit_of(column: str) -> str | None:
    """Unit of a column, None for names and for what has none."""
    name = column.removeprefix("curve_")
    if name in _LOSSES or (name[:2] in ("lo", "hi") and name[2:].replace(".", "").isdigit()):
        return UNITS["loss"]
    return UNITS.get(column)


def plain(value: Any) -> Any:
    """``value`` as JSON has it: numpy scalars become numbers, what is not a finite number becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else _text_or_null(value)


def _text_or_null(value: Any) -> str | None:
    return None if value != value or str(value) in ("<NA>", "NaT") else str(value)


def rows_of(frame: Any) -> list[dict[str, Any]]:
    """The rows of a pandas DataFrame as JSON objects; steps that are whole are written as whole numbers."""
    return [{name: _count(name, plain(cell)) for name, cell in row.items()} for row in frame.to_dict(orient="records")]


def _count(name: Any, value: Any) -> Any:
    counted = name == "step" or str(name).endswith("_step")
    return int(value) if counted and isinstance(value, float) and value.is_integer() else value


def whole_steps(frame: Any) -> Any:
    """A band's rows with steps as whole numbers: where steps were counted from tokens, the nearest."""
    if "step" not in frame or frame["step"].isna().any():
        return frame
    return frame.assign(step=frame["step"].round().astype("int64"))


def emit_json(schema: str, columns: Sequence[str] | Mapping[str, str], **content: Any) -> None:
    """Print one JSON document: its schema (name/version), the units of ``columns`` or these units, and the content."""
    named = columns if isinstance(columns, Mapping) else {column: unit_of(column) for column in columns}
    units = {column: unit for column, unit in named.items() if unit}
    document = {"schema": f"bayeslaw.{schema}/1", "units": units, **plain(content)}
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def emit_text(text: str) -> None:
    """Print an answer in words; where a person reads it, lines too long for the terminal are broken between words."""
    if sys.stdout.isatty():
        text = "\n".join(fold(line, indent=len(line) - len(line.lstrip()) + 2) for line in text.split("\n"))
    click.echo(text)


def emit_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, wrap: int | None = None) -> None:
    """Print an aligned table of at most 80 characters; the first ``left`` columns are text and lean left, others right.

    Column ``wrap`` is broken into lines, as many as are needed. In a table that is too wide without one, columns that
    say the same in every row stand above it instead, and then the first column is broken.
    """
    break_up = _by_words
    if wrap is None and _width(header, rows) > WIDTH:
        header, rows, left = _say_once(header, rows, left)
        wrap, break_up = 0, _by_parts
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    if wrap is not None:
        least = 20 if wrap else 8
        widths[wrap] = min(widths[wrap], max(WIDTH - _width(header, rows) + widths[wrap], least))
    for row in [header, *rows]:
        broken = break_up(row[wrap], widths[wrap]) if wrap is not None else []
        for k in range(max(len(broken), 1)):
            line = [c if k == 0 else "" for c in row]
            if wrap is not None:
                line[wrap] = broken[k] if broken else ""
            cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))]
            click.echo("  ".join(cells).rstrip())


def _by_words(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _by_parts(name: str, width: int) -> list[str]:
    """A name in pieces, broken after a hyphen or the like where there is one in the last half of a piece."""
    pieces = []
    while len(name) > width:
        cut = 1 + max(name.rfind(mark, 0, width) for mark in "-_/.:=, ")
        cut = cut if cut > width // 2 else width
        pieces.append(name[:cut].rstrip())
        name = name[cut:]
    return [*pieces, name]


def _width(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + 2 for column in zip(header, *rows, strict=True)) - 2


def _say_once(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> tuple[list[str], list[Any], int]:
    """Print what all rows of a table share, and return the table without it; of one row, all but its last columns."""
    columns = list(zip(header, *rows, strict=True))
    same = [i for i, cells in enumerate(columns) if len(set(cells[1:])) == 1]
    while len(rows) == 1 and same and _width([header[i] for i in same], [[rows[0][i] for i in same]]) > WIDTH // 2:
        same.pop()
    if not same or len(same) == len(header):
        return list(header), list(rows), left
    said = ", ".join(filter(None, (f"{header[i]} {rows[0][i]}".strip() for i in same)))
    click.echo(textwrap.fill(said, WIDTH, break_on_hyphens=False))
    kept = [i for i in range(len(header)) if i not in same]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows], sum(i < left for i in kept)


def print_band(frame: Any, levels: tuple[float, ...]) -> None:
    """Print a band as a table: identity of each row, median and one column per level, nats per token."""
    from bayeslaw.data.units import human

    identity = [name for name in IDENTITY if name in frame and frame[name].notna().any()]
    # Steps and tokens tell rows of a run apart, so they keep more digits than a size needs.
    spell: dict[str, Callable[[Any], str]] = {
        **dict.fromkeys(("n_params", "recurrence", "exit_step"), human),
        "step": "{:,.0f}".format,
        "tokens": lambda value: human(value, 5),
    }
    names = [f"{100 * level:g}" for level in sorted(levels)]
    header = [*identity, "median", *[f"{name} % band" for name in names]]
    rows = [
        [
            *[cell(row[name], spell.get(name, str)) for name in identity],
            f"{row['median']:.4f}",
            *[f"{row['lo' + name]:.4f} - {row['hi' + name]:.4f}" for name in names],
        ]
        for row in frame.to_dict(orient="records")
    ]
    emit_table(header, rows, left=2 if "group" in identity else 1)
    talk("losses in nats per token; each band is for an observed loss.")


def cell(value: Any, spell: Callable[[Any], str]) -> str:
    """A table cell: ``spell(value)``, or a dash where there is no value."""
    return "-" if plain(value) is None else spell(value)


def writable(path: str | None) -> None:
    """Fail now, and not after minutes of sampling, if ``path`` cannot be written."""
    if path is None or path == "-":
        return
    target = Path(path)
    if target.is_dir():
        raise click.UsageError(f"{path} is a folder; name a file to write.")
    if not target.parent.is_dir():
        raise click.UsageError(
            f"{path} cannot be written, for the folder {target.parent} does not exist; create it first."
        )
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise click.UsageError(f"{path} cannot be written: permission denied.")


def drawable(path: str | None) -> None:
    """As :func:`writable`, for a picture: also fail on a format that cannot be drawn."""
    writable(path)
    if path is not None and Path(path).suffix.lower() not in PICTURES:
        raise click.UsageError(f"cannot draw {path}: name a file that ends in {', '.join(PICTURES)}.")


def write_csv(frame: Any, path: str) -> None:
    """Write a DataFrame as CSV, whole or not at all; to stdout where ``path`` is ``-``."""
    from bayeslaw.files import written_whole

    if path == "-":
        click.echo(frame.to_csv(index=False, lineterminator="\n"), nl=False)
        return
    with written_whole(Path(path)) as draft:
        frame.to_csv(draft, index=False, lineterminator="\n", encoding="utf-8")


def draw(figure: Any, path: str) -> None:
    """Save a picture in the format of the path's suffix, whole or not at all."""
    from bayeslaw.files import written_whole

    target = Path(path)
    with written_whole(target) as draft:
        figure.savefig(draft, format=target.suffix[1:].lower())
