"""TensorBoard event files: every scalar, files of a resumed run stitched, a folder of runs.

An ``Event`` has 2 the step, 5 a summary; a summary has values 1; a value has 1 its tag, 2 a float or 8 a tensor
(``tensorflow/core/util/event.proto``, ``framework/summary.proto``, ``tensor.proto``). Nothing is sampled here, while
TensorBoard's own EventAccumulator keeps 10,000 scalars of a tag unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bayeslaw.data.table import Remark, Table
from bayeslaw.errors import FileError
from bayeslaw.readers.points import Points
from bayeslaw.readers.source import Source
from bayeslaw.readers.tfrecord import TFRecords
from bayeslaw.readers.wire import WireError, fields, signed, text, unpack, varints

#: tensor fields with numbers: field → (struct code, or "" for varints)
_PACKED = {5: "f", 6: "d", 7: "", 10: ""}
#: DataType → numpy's name, for a tensor's raw content
_CONTENT = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
#: Megatron logs its curves twice, the second time against the samples consumed
TWIN = " vs samples"


def read(source: Source) -> Table:
    """Read one event file. Its run is called after its folder.

    Raises FileError where the file holds no scalar.
    """
    return read_run([source.path], source.path.resolve().parent.name or "run")


def read_run(paths: Sequence[Path], run: str) -> Table:
    """Read the event files of one run in the order given; later ones resume earlier ones."""
    points, twins = Points(), Points()
    torn: list[str] = []
    remarks: list[Remark] = []
    for path in paths:
        _read_file(Source(path), points, twins, torn, remarks)
    if not len(points):
        names = ", ".join(path.name for path in paths[:3])
        raise FileError(f"{names} holds no scalar (only graphs, texts or images): there is no loss to read in it.")
    frame, empty = points.frame()
    samples = _consumed(frame, twins) if len(twins) and "consumed samples" not in frame else None
    if samples is not None:
        frame["consumed samples"] = samples
    return Table(frame, empty, np.arange(1, len(frame) + 1), tuple(torn), run, tuple(remarks))


def _read_file(source: Source, points: Points, twins: Points, torn: list[str], remarks: list[Remark]) -> None:
    """Add a file's scalars to ``points``, those that Megatron logs again against the samples to ``twins``."""
    with source.stream() as stream:
        records = TFRecords(stream, source.size)
        broken = 0
        for record in records:
            try:
                step, values = scalars(record)
            except WireError:
                broken += 1
                continue
            for tag, value in values:
                (twins if tag.endswith(TWIN) else points).add(tag, step, value)
    broken += records.damaged
    if records.torn:
        torn.append(f"The last record of {source.name} was cut off: left out. A live run writes it again.")
    if records.unread:
        message = f"{records.unread:,} bytes at the end of {source.name} are damaged and could not be read."
        remarks.append(Remark("damaged", message))
    if broken:
        remarks.append(Remark("damaged", f"{broken:,} records of {source.name} are damaged: left out.", broken))


def scalars(event: bytes) -> tuple[int, list[tuple[str, float]]]:
    """The step of an event and its scalars (tag, value). WireError if the bytes are no event."""
    step, found = 0, []
    for number, kind, value in fields(event):
        if number == 2 and kind == 0:
            step = signed(value)  # type: ignore[arg-type]
        elif number == 5 and kind == 2:
            for inner, inner_kind, data in fields(value):  # type: ignore[arg-type]
                if inner == 1 and inner_kind == 2:
                    scalar = _scalar(data)  # type: ignore[arg-type]
                    if scalar is not None:
                        found.append(scalar)
    return step, found


def _scalar(data: bytes) -> tuple[str, float] | None:
    tag, number = "", None
    for field, kind, value in fields(data):
        if field == 1 and kind == 2:
            tag = text(value)  # type: ignore[arg-type]
        elif field == 2 and kind == 5:
            (number,) = unpack("f", value)  # type: ignore[arg-type]
        elif field == 8 and kind == 2:
            number = _tensor(value)  # type: ignore[arg-type]
    return None if number is None else (tag, float(number))


def _tensor(data: bytes) -> float | None:
    """The number in a tensor of one element, None for any other tensor."""
    values: list[float] = []
    kind_of_data, content = 0, b""
    for field, kind, value in fields(data):
        if field == 1 and kind == 0:
            kind_of_data = value
        elif field == 4 and kind == 2:
            content = value
        elif field in _PACKED and kind == 2:
            code = _PACKED[field]
            values += unpack(code, value) if code else [signed(v) for v in varints(value)]  # type: ignore[arg-type]
        elif field in _PACKED and kind == 0:
            values.append(signed(value))  # type: ignore[arg-type]
        elif field in _PACKED and kind in (1, 5):
            values += unpack("d" if kind == 1 else "f", value)  # type: ignore[arg-type]
    if content and kind_of_data in _CONTENT:
        kind_name = np.dtype(_CONTENT[kind_of_data])  # type: ignore[index]
        if len(content) != kind_name.itemsize:  # type: ignore[arg-type]
            return None
        values = [float(np.frombuffer(content, kind_name)[0])]  # type: ignore[arg-type]
    return float(values[0]) if len(values) == 1 else None


def _consumed(frame: pd.DataFrame, twins: Points) -> np.ndarray | None:
    """The samples consumed at every row, from a curve that was logged against both; None if there is none."""
    tag = np.array(twins.tag)
    step, value = np.array(twins.step, np.float64), np.array(twins.value)
    for name, number in twins.tags.items():
        partner = name.removesuffix(TWIN)
        if partner not in frame:
            continue
        curve = frame[partner].to_numpy()
        rows, mine = np.flatnonzero(np.isfinite(curve)), np.flatnonzero((tag == number) & np.isfinite(value))
        if np.array_equal(curve[rows], value[mine]):
            samples = np.full(len(frame), np.nan)
            samples[rows] = step[mine]
            return samples
    return None
