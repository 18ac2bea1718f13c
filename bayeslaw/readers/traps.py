"""What a log does not say outright: sampled histories, batch ramps, auxiliary losses inside the total."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayeslaw.data.table import Remark, Table, column
from bayeslaw.errors import DataError
from bayeslaw.readers.combine import numbers
from bayeslaw.readers.names import AUXILIARY, BATCH

#: W&B's ``history()`` gives 500 rows unless told otherwise, TensorBoard's own pages and downloads 1,000
SAMPLES = {500: "W&B's history() gives 500 rows unless told otherwise (scan_history gives all)",
           1000: "TensorBoard's downloads hold 1,000 rows (the event files hold all)"}  # fmt: skip
PLAIN = ("crossentropy", "cross_entropy", "ce loss", "ce_loss", "lm loss", "lm_loss")


def examine(
    table: Table, mapping: Mapping[str, str], batch_tokens: object = None, chosen: Mapping[str, str] | None = None
) -> list[Remark]:
    """Remarks on a table whose columns were found (``mapping``, canonical → source; ``chosen`` by the user).

    Raises DataError where ``batch_tokens`` is given although the log itself says that the batch size changes, and where
    the tokens that were found are those of one device.
    """
    if "tokens" not in (chosen or {}):
        _one_device(table, mapping)
    return [
        *_auxiliary(table, mapping),
        *_ramp(table, mapping, batch_tokens),
        *_sampled(table, mapping),
    ]


def _auxiliary(table: Table, mapping: Mapping[str, str]) -> list[Remark]:
    loss = str(mapping.get("loss", ""))
    if not loss or any(plain in loss.lower() for plain in PLAIN):
        return []
    found = [str(name) for name in table.frame.columns if name != loss and AUXILIARY.search(str(name))]
    if not found:
        return []
    names = ", ".join(repr(name) for name in found[:4])
    alone = [
        str(name)
        for name in table.frame.columns
        if name not in found
        and name != loss
        and any(plain in str(name).lower() for plain in PLAIN)
        and "val" not in str(name).lower()
    ]
    remedy = (
        f"take the cross-entropy, which {alone[0]!r} seems to be (--column loss={alone[0]!r})"
        if alone
        else "subtract them or log the cross-entropy alone"
    )
    return [
        Remark(
            "auxiliary_loss",
            f"The log has {names} beside {loss!r}: if {loss!r} is the total, {remedy}, since a scaling law "
            f"describes that.",
            len(found),
        )
    ]


def _one_device(table: Table, mapping: Mapping[str, str]) -> None:
    """litgpt logs ``tokens`` of one device beside ``total_tokens`` of all (pretrain.py)."""
    names = {str(name).strip().lower(): str(name) for name in table.frame.columns}
    total = names.get("total_tokens")
    if total is None or str(mapping.get("tokens", "")).strip().lower() != "tokens":
        return
    one, every = numbers(table.frame, mapping["tokens"]), numbers(table.frame, total)
    if one is None or every is None:
        return
    there = np.isfinite(one) & np.isfinite(every) & (one > 0)
    if there.sum() < 2:
        return
    ratio = every[there] / one[there]
    if ratio[0] > 1 and np.allclose(ratio, ratio[0], rtol=1e-6, atol=0):
        raise DataError(
            f"{total!r} is {ratio[0]:g} times {mapping['tokens']!r} in every row, as where tokens are counted on one "
            f'device and total_tokens on all (litgpt). Choose one: columns={{"tokens": "{total}"}} in Python, '
            f"--column tokens={total} on the command line."
        )


def _ramp(table: Table, mapping: Mapping[str, str], batch_tokens: object) -> list[Remark]:
    remarks = []
    for name in table.frame.columns:
        if not BATCH.search(str(name)) or name in mapping.values():
            continue
        values = numbers(table.frame, name)
        if values is None:
            continue
        for run, rows in _runs(table, mapping):
            mine = values[rows]
            known = mine[np.isfinite(mine)]
            if len(known) < 2 or known.min() == known.max():
                continue
            if batch_tokens is not None:
                raise DataError(
                    f"batch_tokens={batch_tokens!r} was given, but column {str(name)!r} says that the batch size "
                    f"changes, from {known[0]:g} to {known[-1]:g}: tokens are not step times anything. Add a column "
                    f"tokens to the log (samples consumed times the sequence length, say)."
                )
            changed = int(np.count_nonzero(np.diff(known)))
            message = f"{str(name)!r} goes from {known[0]:g} to {known[-1]:g}: tokens are not step times one batch."
            remarks.append(Remark("batch_ramp", message, changed, run, int(rows[0])))
    return remarks


def _sampled(table: Table, mapping: Mapping[str, str]) -> list[Remark]:
    """Runs with exactly as many rows as a dashboard samples, at steps that are not evenly spaced."""
    if "step" not in mapping or "loss" not in mapping:
        return []
    step, loss = numbers(table.frame, mapping["step"]), numbers(table.frame, mapping["loss"])
    if step is None or loss is None:
        return []
    remarks = []
    for run, rows in _runs(table, mapping):
        rows = rows[np.isfinite(loss[rows]) & np.isfinite(step[rows])]
        if len(rows) not in SAMPLES:
            continue
        gaps = np.diff(np.sort(step[rows]))
        if gaps.min() != gaps.max():
            message = f"It has exactly {len(rows):,} rows at uneven steps. {SAMPLES[len(rows)]}; spikes may be missing."
            remarks.append(Remark("downsampled", message, len(rows), run, int(rows[0])))
    return remarks


def _runs(table: Table, mapping: Mapping[str, str]) -> list[tuple[str | None, np.ndarray]]:
    """Each run's name (None: the only one) and rows."""
    if "run" not in mapping:
        return [(None, np.arange(len(table.frame)))]
    codes, names = pd.factorize(column(table.frame, mapping["run"]))
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]
    cuts = np.searchsorted(codes[order], np.arange(len(names) + 1))
    return [(str(names[i]), order[cuts[i] : cuts[i + 1]]) for i in range(len(names))]
