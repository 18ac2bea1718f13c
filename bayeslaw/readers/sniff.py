"""Which reader a file needs: by its content first, by its name where the content leaves it open."""

from __future__ import annotations

import re

from bayeslaw.errors import FileError
from bayeslaw.readers import exports, stdout, tfrecord
from bayeslaw.readers.source import Source

SUFFIXES = {
    ".csv": "delimited",
    ".tsv": "delimited",
    ".log": "stdout",
    ".out": "stdout",
    ".err": "stdout",
    ".jsonl": "jsonlines",
    ".ndjson": "jsonlines",
    ".json": "jsonlines",
    ".parquet": "parquet",
    ".pq": "parquet",
}
KNOWN = (
    "CSV, TSV, JSON lines, Parquet (each also gzipped, .gz), trainer_state.json, W&B's .wandb, TensorBoard event "
    "files, MLflow's and Trackio's databases, and the printed logs of Megatron, torchtitan, nanoGPT and their kin"
)
UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LOG_HISTORY = re.compile(rb'"log_history"\s*:\s*\[')


def format_of(source: Source) -> str:
    """The name of the reader, a key of ``loading.READERS``. FileError for binary files that none of them reads."""
    head, path = source.head, source.path
    if head[:2] in UTF16:
        raise FileError(f"{path} is text in UTF-16, as Windows PowerShell writes it. Save it again as UTF-8.")
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:4] == b":W&B":
        return "wandb"
    if head[:16] == b"SQLite format 3\x00":
        return "sqlite"
    if tfrecord.looks_like(head):
        return "tensorboard"
    head = head.rstrip(b"\x00")  # what a crash leaves of a block that was set aside but never written
    if b"\x00" in head and stdout.looks_like(head):
        return "stdout"
    if b"\x00" in head and _is_text(head.replace(b"\x00", b"")):
        raise FileError(
            f"{path} has zeros in its midst, as a crash leaves of what was never written. Read a copy without them: "
            f"tr -d '\\000' < {path.name} > copy-of-{path.name}"
        )
    if b"\x00" in head or head[:2] in (b"\x80\x04", b"\x80\x05", b"PK"):
        raise FileError(f"{path} is a binary file of a kind that bayeslaw does not read. It reads {KNOWN}.")
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".gzip"):
        suffixes.pop()
    named = SUFFIXES.get(suffixes[-1]) if suffixes else None
    if named == "parquet":
        raise FileError(f"{path} is called Parquet, but does not start like one. Copy or export it again.")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"{" and _LOG_HISTORY.search(head):
        return "trainer_state"
    if named != "stdout" and start in (b"{", b"["):
        return "stdout" if start == b"[" and stdout.looks_like(head) else "jsonlines"
    if exports.looks_like(head):
        return "exports"
    if named is not None:
        return named
    return "stdout" if stdout.looks_like(head) else "delimited"


def _is_text(data: bytes) -> bool:
    """Whether these bytes, which may end within a character, are lines of text in UTF-8."""
    return (
        not re.search(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]", data) and "\ufffd" not in data.decode("utf-8", "replace")[:-1]
    )
