"""Sections of a Markdown page, each written by the command that measured it."""

from __future__ import annotations

import os
from pathlib import Path

from bayeslaw.files import written_whole

DATA = Path(os.environ.get("BAYESLAW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PAGE = Path(__file__).with_name("planning.md")


def write(section: str, lines: list[str]) -> None:
    """Put the lines between the section's marks in planning.md, in place of what was there; and print them."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {section}:begin -->\n", f"<!-- {section}:end -->"
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    with written_whole(PAGE) as draft:
        draft.write_text(f"{head}{begin}" + "\n".join(lines).strip("\n") + f"\n{end}{tail}", encoding="utf-8")
    print("\n".join(lines), flush=True)
