"""How a table was read, in print: columns, notes and facts, in lines of at most 80 characters."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from bayeslaw.data.facts import KINDS

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs


def explain(runs: Runs) -> str:
    """What ``runs.explain()`` gives: which column was taken for what, how it was read, and every oddity of the log."""
    kept = int(runs.frame["kept"].to_numpy().sum())
    lines = _wrap(f"{runs.source}: {count_of(len(runs.names))}, {len(runs.frame):,} rows, {kept:,} of them kept")
    lines.append("columns")
    for canonical, name in runs.mapping.items():
        lines += _wrap(canonical if canonical == name else f"{canonical}  from {name!r}", "  ")
    for note in runs.notes:
        lines += _wrap(note)
    counts = runs.facts.groupby("kind").agg(runs=("run", "nunique"), count=("count", "sum"))
    if len(counts):
        lines.append("facts")
    for kind in [k for k in KINDS if k in counts.index]:
        several, count = int(counts.at[kind, "runs"]), int(counts.at[kind, "count"])  # type: ignore[arg-type]
        what = f"{kind}: {count:,} in {count_of(several)} ({KINDS[kind]})"
        lines += _wrap(what, "  ")
        for message, run in runs.facts.loc[runs.facts["kind"] == kind, ["message", "run"]].head(3).to_numpy():
            lines += _wrap(f"{run}: {message}", "    ")
    return "\n".join(lines)


def count_of(runs: int) -> str:
    """``"1 run"``, or ``"12 runs"``."""
    return "1 run" if runs == 1 else f"{runs:,} runs"


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 80, initial_indent=indent, subsequent_indent=indent + "  ") or [indent]
