"""How long readers take and how much memory: ``python benchmarks/reading.py [--huge]``.

Writes made-up logs into a temporary folder and loads each in a process of its own: 200,000 TensorBoard scalars (bound:
10 s), a million CSV rows (3 s), 200,000 rows of W&B's offline format, and with ``--huge`` a JSON lines file of 1 GB
(500 MB of memory). Prints seconds of ``load`` alone, by the clock and of processors busy, peak memory of
the whole process, and rows.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

LOAD = """
import resource, sys, time
import bayeslaw
from bayeslaw.readers import load
start, busy = time.perf_counter(), time.process_time()
runs = load(sys.argv[1])
seconds, busy = time.perf_counter() - start, time.process_time() - busy
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{seconds:8.2f} s {busy:8.2f} s busy {peak:8.0f} MiB {len(runs):12,} rows, {len(runs.frame.columns)} columns")
"""


def measure(name: str, path: Path) -> None:
    """Load a file in a fresh process and print what it took."""
    done = subprocess.run([sys.executable, "-c", LOAD, str(path)], capture_output=True, text=True, check=False)
    print(
        f"{name:34} {path.stat().st_size / 1e6:8.1f} MB {done.stdout.strip() or done.stderr.strip()[-300:]}", flush=True
    )


def varint(n: int) -> bytes:
    """A number of the wire format."""
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number: int, data: bytes) -> bytes:
    """A field of bytes of the wire format."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensorboard(path: Path, scalars: int) -> None:
    """Events with one scalar each, four metrics a step, checksums right."""
    from bayeslaw.readers.tfrecord import masked_crc

    tags = [b"train/loss", b"train/lr", b"train/grad_norm", b"perf/tokens_per_second"]
    crcs: dict[bytes, bytes] = {}
    with path.open("wb") as file:
        for i in range(scalars):
            value = field(1, tags[i % 4]) + b"\x15" + struct.pack("<f", 2 + 100 / (i + 50))
            event = b"\x09" + struct.pack("<d", 1.7e9 + i) + b"\x10" + varint(i // 4 + 1) + field(5, field(1, value))
            length = struct.pack("<Q", len(event))
            if length not in crcs:
                crcs[length] = struct.pack("<I", masked_crc(length))
            file.write(length + crcs[length] + event + struct.pack("<I", masked_crc(event)))


def wandb(path: Path, rows: int) -> None:
    """History rows of five metrics, framed as W&B does."""
    out = bytearray(b":W&B\xe1\xbe\x00")
    for i in range(1, rows + 1):
        cells = {"_step": i, "_timestamp": 1.7e9 + i, "train/loss": 2 + 100 / (i + 50), "lr": 1e-3, "grad_norm": 0.5}
        items = [field(1, field(2, k.encode()) + field(16, json.dumps(v).encode())) for k, v in cells.items()]
        data, first = field(2, b"".join(items)), True
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
    path.write_bytes(out)


def csv(path: Path, rows: int) -> None:
    """A table of one run: step, tokens, loss, lr, grad_norm."""
    with path.open("w") as file:
        file.write("step,tokens,loss,lr,grad_norm\n")
        for i in range(1, rows + 1):
            file.write(f"{i},{i * 4194304},{2 + 100 / (i + 50):.6f},0.0003,{0.5 + i % 7:.3f}\n")


def jsonl(path: Path, size: int) -> None:
    """Rows of four metrics that bayeslaw uses and a dozen that it does not, some 400 bytes each."""
    extra = [f"layer_{i}/output_norm" for i in range(12)]
    step, written = 0, 0
    random.seed(0)
    with path.open("w") as file:
        while written < size:
            lines = []
            for _ in range(1000):
                step += 1
                row = {"step": step, "train/loss": 2 + 100 / (step + 50), "lr": 3e-4, "grad_norm": 0.5}
                row |= {name: random.random() for name in extra}
                lines.append(json.dumps(row))
            written += file.write("\n".join(lines) + "\n")


def main() -> None:
    """Write and load each file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--huge", action="store_true", help="also a JSON lines file of 1 GB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name, file, write, amount in [
            ("TensorBoard, 200,000 scalars", "events.out.tfevents.1.host", tensorboard, 200_000),
            ("W&B offline, 200,000 rows", "run-a.wandb", wandb, 200_000),
            ("CSV, 1,000,000 rows", "x.csv", csv, 1_000_000),
            *([("JSON lines, 1 GB", "x.jsonl", jsonl, 1_000_000_000)] if arguments.huge else []),
        ]:
            write(home / file, amount)  # type: ignore[operator]
            measure(name, home / file)
            (home / file).unlink()


if __name__ == "__main__":
    main()
