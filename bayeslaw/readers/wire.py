"""The wire format of protocol buffers, as far as logs need it (https://protobuf.dev/programming-guides/encoding/).

A message is a row of fields: a varint ``number << 3 | kind``, then the value. Kinds: 0 a varint, 1 eight bytes, 2 a
length and that many bytes, 5 four bytes; the groups of old (3, 4) do not occur in logs.
"""

from __future__ import annotations

import struct


class WireError(ValueError):
    """The bytes are no message."""


def fields(data: bytes) -> list[tuple[int, int, int | bytes]]:
    """The fields of a message: (number, kind, value); an int for kind 0, the raw bytes for the others.

    Raises WireError where the bytes are no message; never reads beyond them.
    """
    found: list[tuple[int, int, int | bytes]] = []
    at, end = 0, len(data)
    while at < end:
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = _varint(data, at - 1)
        kind = tag & 7
        if kind == 2:
            if at < end and data[at] < 128:
                size = data[at]
                at += 1
            else:
                size, at = _varint(data, at)
        elif kind == 5:
            size = 4
        elif kind == 1:
            size = 8
        elif kind == 0:
            value, at = _varint(data, at)
            found.append((tag >> 3, 0, value))
            continue
        else:
            raise WireError(f"field of kind {kind}")
        if at + size > end:
            raise WireError("a field reaches beyond its message")
        found.append((tag >> 3, kind, data[at : at + size]))
        at += size
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("a number without an end")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7


def signed(value: int) -> int:
    """A varint as the int64 it stands for."""
    return value - (1 << 64) if value >> 63 else value


def unpack(code: str, data: bytes) -> tuple:
    """Little-endian numbers: ``unpack("f", data)`` for packed floats. WireError if the size does not fit."""
    try:
        return struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)
    except struct.error:
        raise WireError("packed numbers of odd size") from None


def varints(data: bytes) -> list[int]:
    """Packed varints."""
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values


def text(data: bytes) -> str:
    """A string field. WireError if it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise WireError("a text that is not UTF-8") from None
