"""From a source table to a canonical one: columns found, numbers checked, each run's curve settled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data import columns as names
from bayeslaw.data import units
from bayeslaw.data.cells import as_numbers, check_range
from bayeslaw.data.counters import check_scale, check_tokens
from bayeslaw.data.facts import facts_frame
from bayeslaw.data.settle import check_identity, settle
from bayeslaw.data.table import Remark, Table, column
from bayeslaw.errors import DataError


def build(
    table: Table,
    *,
    columns: Mapping[str, str] | None,
    constants: Mapping[str, Any],
    batch_tokens: float | str | None,
    need_loss: bool,
    source: str,
    default_run: str,
) -> dict[str, Any]:
    """The fields of a Runs, by name. See ``Runs.from_frame`` for the meaning."""
    raw = table.frame
    if raw.columns.has_duplicates:
        twice = raw.columns[raw.columns.duplicated()][0]
        raise DataError(f"{source} has two columns called {str(twice)!r}. Rename or remove one of them.")
    if raw.shape[1] == 0 or len(raw) == 0:
        seen = f": only the columns {', '.join(repr(str(c)) for c in raw.columns)}" if raw.shape[1] else ""
        raise DataError(f"{source} has no rows{seen}. A table of runs has a header and one row per logged step.")
    found = names.match(list(raw.columns), columns, need_loss=need_loss)
    notes = [*table.notes, *found.notes]
    frame, empty = _canonical(table, found.mapping, constants, notes, default_run)
    where = _where(frame)
    _derive_tokens(frame, batch_tokens, notes, where)
    for name in frame.columns:
        if (name in names.CANONICAL and name not in names.TEXT) or names.GATE.fullmatch(name):
            check_range(_without_start(frame, name), name, where)
    check_identity(frame, where)
    check_tokens(frame, where)
    check_scale(frame)
    kept, facts = settle(frame, empty, need_loss)
    if batch_tokens is not None:
        facts += _derived(frame)
    facts += [(frame["run"].iloc[-1], "torn_line", len(raw) + 1, np.nan, 1, m) for m in table.torn]
    facts += [_remark(frame, remark) for remark in table.remarks]
    before = frame.pop("kept").to_numpy() if "kept" in frame else True
    frame.insert(_position(frame), "kept", kept & before)
    if need_loss and not frame["kept"].to_numpy().any():
        raise DataError(
            f"{source} has {len(frame):,} rows and not one finite loss. The loss was read from the column "
            f"{found.mapping['loss']!r}: is that the right one?"
        )
    return {
        "frame": frame,
        "facts": facts_frame(facts),
        "mapping": dict(found.mapping),
        "source": source,
        "notes": tuple(notes),
        "nonfinite": ~empty & ~np.isfinite(frame["loss"].to_numpy(float)) if need_loss else None,
    }


def _remark(frame: pd.DataFrame, remark: Remark) -> tuple:
    at = min(remark.position, len(frame) - 1)
    step = float(frame["step"].iat[at]) if "step" in frame else np.nan
    run = frame["run"].iat[at] if remark.run is None else remark.run
    return (run, remark.kind, int(frame["row"].iat[at]), step, remark.count, remark.message)


def _position(frame: pd.DataFrame) -> int:
    """Where ``kept`` goes: after the canonical columns, before ``row`` and the extra ones."""
    return list(frame.columns).index("row")


def _canonical(
    table: Table, mapping: Mapping[str, str], constants: Mapping[str, Any], notes: list[str], default_run: str
) -> tuple[pd.DataFrame, np.ndarray]:
    """The table in canonical columns followed by its extra ones, and the mask of cells without a loss."""
    raw, n = table.frame.reset_index(drop=True), len(table.frame)
    row, reused = _row_numbers(table)
    spell = _row_speller(row)
    data: dict[str, Any] = {}
    for name, value in constants.items():
        if name in mapping:
            raise DataError(
                f"{name}={value!r} was given, but the table has its own {name} in the column {mapping[name]!r}. "
                f"Leave {name}= out, or remove the column."
            )
    if "run" in constants:
        data["run"] = pd.array([str(constants["run"])] * n, dtype="str")
    elif "run" in mapping:
        data["run"] = _texts(column(raw, mapping["run"]), mapping["run"], spell)
        spell = _row_speller(row, data["run"])
    empty = np.zeros(n, bool)
    for name in _canonical_order(mapping, constants):
        if name == "run":
            continue
        if name in constants:
            value = constants[name]
            data[name] = (
                pd.array([str(value)] * n, dtype="str") if name in names.TEXT else np.full(n, units.parse(value, name))
            )
            notes.append(f"{name} is {value} for every row, as given.")
        elif name in names.TEXT:
            data[name] = pd.array(column(raw, mapping[name]).astype("str"), dtype="str")
        else:
            data[name], blank = as_numbers(column(raw, mapping[name]), name, str(mapping[name]), spell)
            if name == "loss":
                empty = blank | table.empty.get(mapping[name], np.zeros(n, bool))
    if "run" not in data:
        data = {"run": _default_runs(data, n, default_run, notes), **data}
    empty |= _complementary(raw, data, mapping)
    data["row"] = row
    used = {source for canonical, source in mapping.items()}
    clash = set(data) | {"kept"}
    for name in raw.columns:
        if name in used or (name == "row" and reused):
            continue
        if name == "kept" and pd.api.types.is_bool_dtype(raw[name].dtype):
            data[name] = raw[name].to_numpy(bool)
        else:
            data[f"source_{name}" if name in clash else name] = raw[name]
    ordered = sorted(data, key=lambda c: 0 if names.is_canonical(c) else 1 if c == "row" else 2)
    return pd.DataFrame({name: data[name] for name in ordered}), empty


def _row_speller(row: np.ndarray, run: Any = None) -> Callable[[int], str]:
    """How messages name a row: with its run, once the runs are known."""
    if run is None:
        return lambda i: f"Row {row[i]:,}"
    return lambda i: f"Run {str(run[i])!r}, row {row[i]:,}"


def _canonical_order(mapping: Mapping[str, str], constants: Mapping[str, Any]) -> list[str]:
    there = {*mapping, *constants}
    gates = sorted((c for c in there if names.GATE.fullmatch(c)), key=lambda c: int(c[5:]))
    return [*(c for c in names.CANONICAL if c in there), *gates]


def _row_numbers(table: Table) -> tuple[np.ndarray, bool]:
    """Source rows from 1; a ``row`` column that a Runs frame brought along is believed."""
    if "row" in table.frame and pd.api.types.is_integer_dtype(table.frame["row"].dtype) and "kept" in table.frame:
        return table.frame["row"].to_numpy(np.int64), True
    return (np.arange(1, len(table.frame) + 1) if table.row is None else table.row), False


def _texts(cells: pd.Series, source_name: str, where: Callable[[int], str]) -> pd.api.extensions.ExtensionArray:
    missing = cells.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"{where(int(np.argmax(missing)))}: the run has no name: column {source_name!r} is empty there "
            f"({int(missing.sum()):,} such rows). Name every row's run."
        )
    if pd.api.types.is_float_dtype(cells.dtype) and (cells % 1 == 0).all():
        cells = cells.astype("int64")
    return pd.array(cells.astype("str"), dtype="str")


def _default_runs(data: dict[str, Any], n: int, default: str, notes: list[str]) -> Any:
    """Names for a table without a run column: one run, unless it is a table of final points."""
    varies = [c for c in ("n_params", "n_params_once", "recurrence", "flops") if c in data and _distinct(data[c]) > 1]
    if "step" not in data and n > 1 and "n_params" in varies:
        notes.append(f"There is no run column, no step and several n_params: each of the {n:,} rows is a run.")
        return pd.array([f"{default}-{i}" for i in range(1, n + 1)], dtype="str")
    if "n_params" in varies:
        raise DataError(
            f"There is no run column, yet n_params has {_distinct(data['n_params'])} values, so this is more than one "
            f'run. Name the column that tells them apart: columns={{"run": "<your column>"}}, or --column run=<...>.'
        )
    notes.append(f"There is no run column: all rows are one run, {default!r}.")
    return pd.array([default] * n, dtype="str")


def _distinct(values: np.ndarray) -> int:
    return len(np.unique(values[np.isfinite(values)]))


def _complementary(raw: pd.DataFrame, data: Mapping[str, Any], mapping: Mapping[str, str]) -> np.ndarray:
    """Rows without a loss that carry what the rows with a loss lack, as Lightning's validation rows do."""
    n = len(raw)
    if "loss" not in data or not np.isnan(data["loss"]).any():
        return np.zeros(n, bool)
    missing = np.isnan(data["loss"])
    found = np.zeros(n, bool)
    for name in raw.columns:
        if name not in mapping.values() and pd.api.types.is_float_dtype(raw[name].dtype):
            there = raw[name].notna().to_numpy()
            if not (there & ~missing).any():
                found |= there & missing
    return found


def _where(frame: pd.DataFrame) -> Callable[[int], str]:
    return lambda i: f"Run {frame['run'].iat[i]!r}, row {frame['row'].iat[i]:,}"


def _without_start(frame: pd.DataFrame, name: str) -> np.ndarray:
    """The column, with the zero tokens of a row at step 0 taken for granted."""
    values = frame[name].to_numpy(float)
    if name == "tokens" and "step" in frame:
        values = np.where((values == 0) & (frame["step"].to_numpy(float) == 0), np.nan, values)
    return values


def _derive_tokens(
    frame: pd.DataFrame, batch_tokens: float | str | None, notes: list[str], where: Callable[[int], str]
) -> None:
    if batch_tokens is None:
        return
    size = units.parse(batch_tokens, "batch_tokens")
    if size <= 0:
        raise DataError(f"batch_tokens is {batch_tokens!r}, but an optimizer step consumes more than 0 tokens.")
    own = frame["tokens"].dropna().to_numpy() if "tokens" in frame else np.zeros(0)
    # tokens of one step are no tokens of the run's own
    if len(own) and not (own == size).all():
        raise DataError(
            f"batch_tokens={batch_tokens!r} was given, but the table has tokens of its own "
            f"({where(int(np.argmax(frame['tokens'].notna())))}: {frame['tokens'].dropna().iloc[0]:g}). "
            f"Leave batch_tokens out."
        )
    if "step" not in frame:
        raise DataError(
            "batch_tokens turns steps into tokens, but the table has no step column. Map one, or give tokens."
        )
    tokens = frame["step"].to_numpy(float) * size
    if "tokens" in frame:
        frame["tokens"] = tokens
    else:
        frame.insert(list(frame.columns).index("step") + 1, "tokens", tokens)
    notes.append(
        f"tokens is step * {units.human(size)}, from batch_tokens: right only if the batch size never changed."
    )


def _derived(frame: pd.DataFrame) -> list[tuple]:
    first = frame.drop_duplicates("run")
    counts = frame["run"].value_counts()
    return [
        (run, "derived_tokens", row, step, counts[run], "tokens is step * batch_tokens.")
        for run, row, step in zip(first["run"], first["row"], first["step"], strict=True)
    ]
