"""Turning a source column into numbers, or naming the cell that is not one."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from bayeslaw.data import units
from bayeslaw.errors import DataError

_MISSING = {"", "none", "null", "na", "n/a", "<na>"}
_BELOW = {
    "loss": "a cross-entropy in nats is never negative",
    "step": "steps count up from 0",
    "lr": "a rate is never negative",
}
#: a person may write these as "70B" in a table
_HUMAN = ("step", "n_params", "n_params_once", "n_params_recurrent", "tokens", "flops")
_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")


def as_numbers(column: pd.Series, name: str, source_name: str, where) -> tuple[np.ndarray, np.ndarray]:
    """The column as float64, and a mask of the cells that held nothing.

    ``where(i)`` names row i for the message, as in "run '7b', row 12". Raises DataError for text that is no number.
    """
    if pd.api.types.is_bool_dtype(column.dtype):
        raise DataError(f"Column {source_name!r} holds true and false, but {name} is a number. Map another column.")
    if pd.api.types.is_numeric_dtype(column.dtype):
        empty = (
            column.isna().to_numpy(dtype=bool)
            if isinstance(column.dtype, pd.api.extensions.ExtensionDtype)
            else np.zeros(len(column), bool)
        )
        if pd.api.types.is_complex_dtype(column.dtype):
            raise DataError(f"Column {source_name!r} holds complex numbers, but {name} is a real number.")
        return column.to_numpy(dtype=np.float64, na_value=np.nan), empty
    odd = np.fromiter((isinstance(cell, list | dict | set | np.ndarray) for cell in column), bool, len(column))
    if odd.any():  # a table inside a cell: it cannot be told apart from others, nor be a number
        row = int(np.argmax(odd))
        raise DataError(
            f"{where(row)}: column {source_name!r} holds {_short(column.iloc[row])}, but {name} must be a number. "
            f"Give one row per logged step, each cell one value."
        )
    codes, texts = pd.factorize(column, use_na_sentinel=True)
    values = np.full(len(texts) + 1, np.nan)
    blank = np.zeros(len(texts) + 1, bool)
    blank[-1] = True
    for i, text in enumerate(texts):
        number = _number(text, name)
        if number is None:
            row = int(np.argmax(codes == i))
            hint = "" if name not in _HUMAN else " such as 12000" if name == "step" else ' such as "70B" or 1e9'
            raise DataError(
                f"{where(row)}: column {source_name!r} holds {_short(text)}, but {name} must be a number{hint}. "
                f"{_remedy(text, source_name)}"
            )
        blank[i] = number == "blank"
        values[i] = np.nan if blank[i] else number
    empty = blank[codes]
    if column.dtype == object:  # numbers among texts, as from JSON: a NaN that was logged is no cell of nothing
        empty &= np.fromiter((not isinstance(cell, float) for cell in column), bool, len(column))
    return values[codes], empty


def _remedy(cell: object, source_name: str) -> str:
    text = str(cell).strip()
    if text == source_name.strip():
        return "The header stands there again, as where a restarted job appends to its log: remove that line."
    if _COMMA.fullmatch(text):
        return (
            f"A decimal comma is not read: write {text.replace(',', '.')}, or read the table with "
            f'pandas.read_csv(path, sep=";", decimal=",") and take it in with bayeslaw.Runs.from_frame(table).'
        )
    return "Correct that cell, or leave it empty if it is unknown."


def _short(cell: object) -> str:
    text = repr(cell)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text):,} characters)"


def _number(text: object, name: str):
    """A float, "blank" for a cell that says nothing, or None for something that is not a number."""
    if isinstance(text, (bool, np.bool_)):
        return None
    if not isinstance(text, str):
        try:
            return float(text)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            return None
    stripped = text.strip()
    if stripped.lower() in _MISSING:
        return "blank"
    try:
        return float(stripped)
    except ValueError:
        pass
    if name in _HUMAN:
        try:
            return units.parse(stripped, name)
        except DataError:
            return None
    return None


def check_range(values: np.ndarray, name: str, where) -> None:
    """Raise DataError for a value that the column cannot have; NaN passes (unknown)."""
    if name in ("tokens", "n_params", "n_params_recurrent", "recurrence", "exit_step"):
        bad, rule = values <= 0, "must be above zero"
    elif name in ("loss", "step", "n_params_once", "flops", "grad_norm", "lr"):
        bad, rule = values < 0, _BELOW.get(name, "cannot be negative")
    else:
        return
    infinite = np.isinf(values)
    if name in ("loss", "grad_norm"):  # a run that blew up logs infinities: a fact, not an error
        bad &= ~infinite
    elif infinite.any():
        bad, rule = infinite, "must be finite"
    if bad.any():
        row = int(np.argmax(bad))
        count = int(bad.sum())
        more = f" ({count:,} rows are like this)" if count > 1 else ""
        raise DataError(
            f"{where(row)}: {name} is {values[row]:g}, but {rule}{more}. "
            f"Correct the cell, or leave it empty if it is unknown."
        )
