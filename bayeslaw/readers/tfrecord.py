"""The framing of TensorBoard's event files (TFRecord): length, its checksum, data, its checksum.

Checksums are CRC-32C, masked as TensorFlow does (``tsl/lib/hash/crc32c.h``): rotated right by 15 bits, plus a
constant. They are computed for many records of one length at once, which is what makes them affordable here.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO

import numpy as np

#: a larger record is an image, a graph or a histogram: it holds no scalar and is passed over
LARGE = 1 << 16
BATCH = 1 << 21
_HEADER = struct.Struct("<QI")


def _table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table.astype(np.uint32)


_TABLE = _table()
_LIST = _TABLE.tolist()


@lru_cache(maxsize=4096)
def _length_crc(length: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in length:
        crc = _LIST[(crc ^ byte) & 255] ^ (crc >> 8)
    return _mask(crc ^ 0xFFFFFFFF)


def _mask(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """The masked CRC-32C of some bytes."""
    return int(_masked_crcs(np.frombuffer(data, np.uint8)[None, :])[0])


def _masked_crcs(rows: np.ndarray) -> np.ndarray:
    """(n,) masked checksums of (n, length) bytes."""
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows.T:
        crc = _TABLE[(crc ^ column) & 255] ^ (crc >> np.uint32(8))
    crc ^= np.uint32(0xFFFFFFFF)
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def looks_like(head: bytes) -> bool:
    """Whether these first bytes begin a record: a length, and its checksum right."""
    return len(head) >= 12 and _HEADER.unpack_from(head)[1] == _length_crc(head[:8])


class TFRecords:
    """The records of a stream of ``size`` bytes.

    Iterating yields the data of every whole record of up to 64 KiB whose checksum is right. Afterwards ``torn`` is
    True if the last record is not all there, ``damaged`` counts records with a wrong checksum, and ``unread`` the
    bytes behind a record whose length cannot be trusted (nothing can be found behind one).
    """

    def __init__(self, stream: BinaryIO, size: int):
        self.stream, self.size = stream, size
        self.torn = False
        self.damaged = 0
        self.unread = 0

    def __iter__(self) -> Iterator[bytes]:
        at = held = 0
        batch: list[bytes] = []
        crcs: list[int] = []
        while True:
            header = self.stream.read(12)
            if len(header) < 12:
                self.torn = len(header) > 0
                break
            length, crc = _HEADER.unpack(header)
            if crc != _length_crc(header[:8]):
                self.torn = not header.strip(b"\x00") and not self.stream.read().strip(b"\x00")  # zeros: a crash
                self.unread = 0 if self.torn else self.size - at
                break
            at += 16 + length
            if at > self.size:
                self.torn = True
                break
            if length > LARGE:
                self.stream.seek(length + 4, 1)
                continue
            record = self.stream.read(length + 4)
            if len(record) < length + 4:
                self.torn = True
                break
            batch.append(record[:-4])
            crcs.append(int.from_bytes(record[-4:], "little"))
            held += length
            if held > BATCH:
                yield from self._checked(batch, crcs)
                batch, crcs, held = [], [], 0
        yield from self._checked(batch, crcs)

    def _checked(self, batch: list[bytes], crcs: list[int]) -> Iterator[bytes]:
        """The records whose checksum is right, in their order."""
        of_length: dict[int, list[int]] = defaultdict(list)
        for i, record in enumerate(batch):
            of_length[len(record)].append(i)
        good = np.zeros(len(batch), bool)
        expected = np.array(crcs, np.uint32)
        for length, where in of_length.items():
            rows = np.frombuffer(b"".join([batch[i] for i in where]), np.uint8).reshape(len(where), length)
            good[where] = _masked_crcs(rows) == expected[where]
        self.damaged += int((~good).sum())
        for record, right in zip(batch, good.tolist(), strict=True):
            if right:
                yield record
