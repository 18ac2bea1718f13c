"""Checksums, framing and the wire format, against published vectors and hand-made bytes; torn and damaged files."""

import struct
import zlib

import numpy as np
import pytest

from bayeslaw.errors import FileError
from bayeslaw.readers import load, tfrecord, wire
from bayeslaw.readers.tensorboard import scalars


def test_crc32c_vectors_of_rfc_3720():
    """RFC 3720, appendix B.4; unmasked as TensorFlow defines the mask."""
    vectors = {bytes(32): 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E}
    for data, crc in vectors.items():
        rotated = (tfrecord.masked_crc(data) - 0xA282EAD8) & 0xFFFFFFFF
        assert ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF == crc


def test_wire_format():
    """The examples of the encoding guide: 150 as a varint, "testing" as text; and what is no message."""
    assert wire.fields(b"\x08\x96\x01") == [(1, 0, 150)]
    assert wire.fields(b"\x12\x07testing") == [(2, 2, b"testing")]
    assert wire.signed(wire.fields(b"\x08" + b"\xff" * 9 + b"\x01")[0][2]) == -1
    assert wire.varints(b"\x01\x96\x01") == [1, 150]
    for junk in (b"\x08", b"\x12\x05ab", b"\x0b", b"\x09\x00", b"\x08" + b"\xff" * 11, b"\x12"):
        with pytest.raises(wire.WireError):
            wire.fields(junk)


def field(number, kind, value):
    head = bytes([number << 3 | kind])
    return head + (bytes([len(value)]) + value if kind == 2 else value)


def event(step, tag, value, extra=b""):
    inner = field(1, 2, tag.encode()) + field(2, 5, struct.pack("<f", value)) + extra
    return field(1, 1, struct.pack("<d", 1.0)) + field(2, 0, bytes([step])) + field(5, 2, field(1, 2, inner))


def framed(data):
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", tfrecord.masked_crc(length)) + data + struct.pack("<I", tfrecord.masked_crc(data))


def test_every_kind_of_scalar_tensor():
    def tensor(content):
        inner = field(1, 2, b"a") + field(8, 2, content)
        return scalars(field(2, 0, b"\x03") + field(5, 2, field(1, 2, inner)))

    three = struct.pack("<f", 3.0)
    assert tensor(field(1, 0, b"\x01") + field(5, 2, three)) == (3, [("a", 3.0)])
    assert tensor(field(1, 0, b"\x01") + field(4, 2, three)) == (3, [("a", 3.0)])
    assert tensor(field(1, 0, b"\x02") + field(6, 2, struct.pack("<d", 2.5))) == (3, [("a", 2.5)])
    assert tensor(field(1, 0, b"\x09") + field(10, 2, b"\x07")) == (3, [("a", 7.0)])
    assert tensor(field(1, 0, b"\x01") + field(5, 2, three * 2)) == (3, []), "a vector is no scalar"
    assert tensor(field(1, 0, b"\x07") + field(8, 2, b"text")) == (3, [])


@pytest.fixture
def events(tmp_path):
    """``events(data)``: the path of an event file with these bytes."""

    def write(data):
        path = tmp_path / "events.out.tfevents.1.host"
        path.write_bytes(data)
        return path

    return write


RECORDS = [framed(event(s, "loss", 4 - s / 10)) for s in range(1, 21)]


def test_every_cut_of_an_event_file_loses_only_its_last_record(events):
    whole = b"".join(RECORDS)
    size = len(RECORDS[0])
    for cut in range(size * 3, len(whole), 7):
        runs = load(events(whole[:cut]))
        assert len(runs) == cut // size
        assert ("torn_line" in set(runs.facts["kind"])) == (cut % size > 0)


def test_damage_in_the_middle_is_told(events):
    whole = bytearray(b"".join(RECORDS))
    size = len(RECORDS[0])
    whole[size * 5 + 20] ^= 1  # inside the sixth record's data
    runs = load(events(bytes(whole)))
    assert runs.curve(runs.names[0])["step"].tolist() == [s for s in range(1, 21) if s != 6]
    assert runs.facts["kind"].tolist() == ["damaged"]
    whole[size * 10] ^= 1  # the eleventh length: nothing behind it can be found
    runs = load(events(bytes(whole)))
    assert runs.curve(runs.names[0])["step"].tolist() == [1, 2, 3, 4, 5, 7, 8, 9, 10]
    assert f"{size * 10:,} bytes at the end" in runs.facts["message"].iloc[0]


def test_zeros_behind_a_crash_are_a_torn_tail(events):
    runs = load(events(b"".join(RECORDS) + bytes(5000)))
    assert (len(runs), runs.facts["kind"].tolist()) == (20, ["torn_line"])


def test_an_event_file_without_scalars(events):
    with pytest.raises(FileError, match="holds no scalar"):
        load(events(framed(field(1, 1, struct.pack("<d", 1.0)) + field(3, 2, b"brain.Event:2"))))


def test_an_empty_event_file_beside_others(events):
    path = events(b"".join(RECORDS))
    (path.parent / "events.out.tfevents.2.host").write_bytes(b"")
    assert len(load(path.parent)) == 20


def test_a_length_that_lies_is_not_believed(events):
    lie = struct.pack("<Q", 1 << 60)
    header = lie + struct.pack("<I", tfrecord.masked_crc(lie))
    runs = load(events(b"".join(RECORDS) + header + b"x" * 50))
    assert (len(runs), runs.facts["kind"].tolist()) == (20, ["torn_line"])


def test_megatron_twins_become_consumed_samples(events):
    records = []
    for s in range(1, 11):
        for tag, step in (("lm loss", s), ("lm loss vs samples", 8 * s), ("learning-rate vs samples", 8 * s)):
            records.append(framed(event(step, tag, 4 - s / 10)))
    runs = load(events(b"".join(records)))
    assert runs.frame["step"].tolist() == list(range(1, 11))
    assert runs.frame["consumed samples"].tolist() == [8.0 * s for s in range(1, 11)]
    assert "lm loss vs samples" not in runs.frame
    assert len(runs.facts) == 0


# LevelDB framing, as W&B writes it


def log(payloads):
    """A log of W&B's: records split over blocks of 32 KiB."""
    out = bytearray(b":W&B\xe1\xbe\x00")
    for data in payloads:
        first = True
        while True:
            room = 32768 - len(out) % 32768
            if room < 7:
                out += bytes(room)
                continue
            piece, data = data[: room - 7], data[room - 7 :]
            kind = (1 if not data else 2) if first else (4 if not data else 3)
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            first = False
            if not data:
                break
    return bytes(out)


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def message(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def history(cells):
    items = b""
    for key, value in cells.items():
        items += message(1, message(2, key.encode()) + message(16, value.encode()))
    return message(2, items)


def test_records_of_every_size_cross_the_blocks(tmp_path):
    sizes = [1, 40, 32700, 32768, 100_000, 5, 32740, 32761, 32755, 70_000]
    rows = [history({"_step": str(i), "loss": str(4 - i / 10), "note": f'"{"x" * n}"'}) for i, n in enumerate(sizes)]
    path = tmp_path / "run-a.wandb"
    path.write_bytes(log([message(17, message(1, b"a")), *rows]))
    runs = load(path)
    assert runs.names == ("a",)
    assert runs.frame["note"].str.len().tolist() == sizes
    np.testing.assert_allclose(runs.frame["loss"], [4 - i / 10 for i in range(len(sizes))])


def test_typed_items_are_read(tmp_path):
    """Fields 4 to 8 of a history item: boolean, zigzag integer, number, text, JSON."""
    rows = []
    for i in range(3):
        items = message(1, message(2, b"loss") + varint(6 << 3 | 1) + struct.pack("<d", 4.0 - i))
        items += message(1, message(2, b"_step") + varint(5 << 3) + varint(2 * i))
        items += message(1, message(2, b"below") + varint(5 << 3) + varint(2 * i + 1))
        rows.append(message(2, items))
    path = tmp_path / "run-a.wandb"
    path.write_bytes(log(rows))
    frame = load(path).frame
    assert frame["loss"].tolist() == [4.0, 3.0, 2.0]
    assert frame["step"].tolist() == [0, 1, 2]
    assert frame["below"].tolist() == [-1, -2, -3]


def test_a_damaged_block_loses_only_itself(tmp_path):
    rows = [history({"_step": str(i), "loss": str(4 - i / 1000), "note": f'"{"x" * 100}"'}) for i in range(1, 1001)]
    data = bytearray(log(rows))
    data[40_000] ^= 1
    path = tmp_path / "run-a.wandb"
    path.write_bytes(bytes(data))
    runs = load(path)
    assert 1000 - 32768 // 130 < len(runs) < 1000
    assert runs.facts["kind"].tolist() == ["damaged"]
    assert runs.frame["step"].iloc[-1] == 1000


def test_every_tail_of_a_wandb_log(tmp_path):
    data = log([history({"_step": str(i), "loss": str(4 - i / 10)}) for i in range(1, 11)])
    path = tmp_path / "run-a.wandb"
    for cut in range(len(data) // 2, len(data), 2):
        path.write_bytes(data[:cut])
        runs = load(path)
        assert set(runs.facts["kind"]) <= {"torn_line"}
        assert runs.frame["step"].tolist() == list(range(1, len(runs) + 1))
    assert len(runs) == 9
