"""A fingerprint of a table's content that does not depend on the order of its rows.

Each row is hashed to 64 bits, the hashes are sorted, and their SHA-256 is the fingerprint. It is the same on every
platform and for every version of the libraries: names are hashed with BLAKE2b, numbers by the bits of their float64.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from bayeslaw.data.table import column


def fingerprint(frame: pd.DataFrame, columns: list[str]) -> str:
    """SHA-256 (64 hex digits) of the rows of ``frame``, in whatever order, over ``columns``."""
    rows = np.zeros(len(frame), np.uint64)
    for name in columns:
        rows = _mix(rows ^ (_column(column(frame, name)) + np.uint64(_text(name))))
    digest = hashlib.sha256("|".join(columns).encode())
    digest.update(np.sort(rows).astype("<u8").tobytes())
    return digest.hexdigest()


def _column(cells: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(cells.dtype):
        values = cells.to_numpy(np.float64, na_value=np.nan) + 0.0  # -0.0 becomes 0.0
        values = np.where(np.isnan(values), np.nan, values)  # one NaN for all NaNs
        return values.view(np.uint64)
    codes, names = pd.factorize(cells)
    hashes = np.array([_text(str(name)) for name in names] + [0], np.uint64)
    return hashes[codes]


def _text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every input bit reaches every output bit."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
