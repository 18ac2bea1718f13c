"""What trainers print: the losses in the text that a training job leaves behind."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from bayeslaw.data import units
from bayeslaw.data.table import Remark, Table
from bayeslaw.errors import DataError, FileError
from bayeslaw.readers.records import Records
from bayeslaw.readers.source import Source
from bayeslaw.readers.stdout_patterns import FAMILIES, Family

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
#: what a line ends in that was cut off in the midst of a number
_END = re.compile(rb"[\w.+-]+\Z")
#: a longer line is a dump of something; cutting it also bounds the time that a pattern can take
LONGEST = 4000
SHOW = (
    "Megatron, GPT-NeoX, NeMo, nanotron, torchtitan, nanoGPT, modded-nanogpt, llm.c, nanochat, litgpt, MaxText, OLMo, "
    "Composer and DeepSpeed's pipeline"
)


def looks_like(head: bytes) -> bool:
    """Whether a line among these first bytes is a row of one of the families."""
    return next(_matches(_lines([head])), None) is not None


def read(source: Source) -> Table:
    """Read a printed log, line by line. The rows' numbers are the file's line numbers.

    A last line without a line break was cut off while being written: the number that it ends in is left out, which is
    told.

    Raises FileError where no line is one that a known trainer prints.
    """
    records = Records()
    where: list[int] = []
    row: dict[str, Any] | None = None
    family: Family | None = None
    seen: dict[str, int] = {}
    averaged: dict[str, list[tuple[int, float]]] = {}
    cut: list[bytes] = []
    with source.stream() as stream:
        for number, line, begun, found in _rows(_lines(_chunks(stream, cut))):
            if begun is not None:
                if row is not None:
                    _finish(row, records, where)
                row, family = found, begun
                row["line"] = number
                seen[begun.name] = seen.get(begun.name, 0) + 1
                if begun.means:
                    step = found.get("step", found.get("iteration", math.nan))
                    averaged.setdefault(begun.name, []).append((len(where), step))
            elif row is not None and family is not None and family.block is not None:
                inner = family.block.match(line)
                if inner:
                    _put(row, inner["key"].strip(), inner["value"], family)
                elif line.strip() and not line[:1].isspace():
                    _finish(row, records, where)
                    row = None
    torn = any(next(_matches(_lines([line])), None) or (row and family and family.block) for line in cut)
    if row is not None:
        _finish(row, records, where)
    if not where:
        raise FileError(
            f"{source.name} has no line in which a trainer that bayeslaw knows ({SHOW}) prints a loss. {_hint(source)}"
        )
    notes = (f"{source.name} was read as the printed log of {' and '.join(seen)}.",)
    remarks = tuple(remark for name, rows in averaged.items() for remark in _means(name, rows))
    message = f"The last line of {source.name} was cut off: the number that it ends in was left out."
    return records.table(row=np.array(where, np.int64), torn=(message,) if torn else (), notes=notes, remarks=remarks)


def _hint(source: Source) -> str:
    if re.search(rb"\{'(eval_|train_)?loss': ", source.head):
        return (
            "It has what transformers' Trainer prints, which names no step: read trainer_state.json of the output "
            "folder instead."
        )
    return "If it holds a table, call it .csv or .jsonl."


def _means(name: str, rows: list[tuple[int, float]]) -> list[Remark]:
    """That a trainer prints means over the steps between its lines; ``rows`` are positions and steps."""
    steps = np.array([step for _, step in rows])
    gaps = np.diff(steps[np.isfinite(steps)])
    window = float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 1.0
    if window <= 1:
        return []
    message = f"Each loss is the mean over the {window:g} steps before it, as {name} prints it: spikes are flattened."
    return [Remark("window_mean", message, len(rows), position=rows[0][0])]


def _chunks(stream: BinaryIO, cut: list[bytes]) -> Iterator[bytes]:
    """Lines, very long ones in pieces; of a last line without its end, what is whole, the line itself into ``cut``."""
    chunk = stream.readline(1 << 20)
    while chunk:
        following = stream.readline(1 << 20)
        if not following and not chunk.endswith(b"\n"):
            chunk = chunk.rstrip(b"\x00")  # zeros: never written before a crash
            whole = _END.sub(b"", chunk)
            if whole != chunk:
                cut.append(chunk)
            chunk = whole
        yield chunk
        chunk = following


def _lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, without colours. Progress bars overwrite themselves: each writing is a line of its own.

    ``chunks`` are single lines, or the beginning of a file.
    """
    number = 0
    for chunk in chunks:
        for line in chunk.removesuffix(b"\n").split(b"\n"):
            number += 1
            for raw in line.split(b"\r"):
                text = raw[:LONGEST].decode("utf-8", "replace").rstrip()
                if "\x1b" in text:
                    text = _COLOUR.sub("", text)
                if "  " in text or "\t" in text:  # single blanks, the first one too; faster than a pattern
                    text = f"{' ' if text[0].isspace() else ''}{' '.join(text.split())}"
                yield number, text


def _matches(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, Family, re.Match[str]]]:
    for number, line in lines:
        for family in FAMILIES:
            if family.begins in line:
                match = family.line.search(line)
                if match:
                    yield number, family, match
                    break


def _rows(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, Family | None, dict[str, Any]]]:
    """Every line, with the family and the row that begins in it."""
    for number, line in lines:
        hit = next(_matches([(number, line)]), None)
        if hit is None:
            yield number, line, None, {}
            continue
        _, family, match = hit
        row: dict[str, Any] = {}
        for key, value in match.groupdict().items():
            if key != "rest" and value is not None:
                _put(row, key, value, family)
        if family.pairs is not None:
            for pair in family.pairs.finditer(match["rest"]):
                _put(row, pair["key"].strip(), pair["value"], family)
        yield number, line, family, row


def _put(row: dict[str, Any], key: str, text: str, family: Family) -> None:
    key = family.rename.get(key, key)
    if key in row:
        return
    try:
        row[key] = float(text)
    except ValueError:  # commas, or a suffix
        with contextlib.suppress(DataError):
            row[key] = units.parse(text.replace(",", "").replace("_", ""), key)


def _finish(row: dict[str, Any], records: Records, where: list[int]) -> None:
    """Keep a row; Megatron leaves out the loss of an iteration that was NaN, and counts it.

    MaxText prints 0 for the cross-entropy where it has none (its loss is another then, of preferences for one).
    """
    if row.get("number of nan iterations", 0) and "lm loss" not in row and "lm_loss" not in row:
        row["lm loss"] = float("nan")
    if row.get("learning/lm_loss") == 0:
        del row["learning/lm_loss"]
    where.append(int(row.pop("line")))
    records.add(row)
