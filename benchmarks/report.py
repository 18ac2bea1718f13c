"""What the benchmarks share: where data lie, and sections of a page, each written by the command that measured it."""

from __future__ import annotations

import os
from pathlib import Path

from bayeslaw.files import written_whole

#: where the public data sets lie
DATA = Path(os.environ.get("BAYESLAW_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
PAGE = Path(__file__).with_name("planning.md")


def write(section: str, lines: list[str], page: Path = PAGE) -> None:
    """Put the lines between the section's marks in a page, in place of what was there, or at its end; print them."""
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {section}:begin -->\n", f"<!-- {section}:end -->"
    if begin not in text:
        text = f"{text.rstrip()}\n\n{begin}{end}\n"
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    with written_whole(page) as draft:
        draft.write_text(f"{head}{begin}" + "\n".join(lines).strip("\n") + f"\n{end}{tail}", encoding="utf-8")
    print("\n".join(lines), flush=True)
