"""What the guide quotes of the backtests: the rows of our own cards, copied from backtests.md into docs/guide/trust.md.

python benchmarks/quotes.py
"""

from __future__ import annotations

import re
from pathlib import Path

from bayeslaw.cards import card_names

HERE = Path(__file__).resolve().parent
SOURCE, PAGE = HERE / "backtests.md", HERE.parent / "docs" / "guide" / "trust.md"
MARKS = re.compile(r"(<!-- quotes:begin -->\n).*?(<!-- quotes:end -->)", re.DOTALL)
#: column of the backtests → its head in the guide
COLUMNS = {
    "curves": "curves",
    "90 % covers": "a 90 % band holds",
    "95 % interval": "95 % interval",
    "width, %": "width, % of the loss",
}


def tables(text: str) -> list[tuple[str, list[dict[str, str]]]]:
    """(where it stands, rows as column → cell) of each table that scores bands."""
    found, head, intro = [], "", ""
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if line.startswith("## "):
            head, intro = line[3:], ""
        elif line.endswith(":") and not line.startswith("|"):
            intro = line[:-1]
        elif line.startswith("|") and "90 % covers" in line and not lines[i - 1].startswith("|"):
            names = cells(line)
            rows = []
            for row in lines[i + 2 :]:
                if not row.startswith("|"):
                    break
                rows.append(dict(zip(names, cells(row), strict=True)))
            found.append((f"{head}. {intro}" if intro.startswith(("Final", "All")) else head, rows))
    return found


def cells(line: str) -> list[str]:
    """The cells of one line of a table."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def quoted(text: str) -> str:
    """The table for the guide: one row per card and question, of observed losses."""
    lines = ["| held back | card | " + " | ".join(COLUMNS.values()) + " |", "|---" * (2 + len(COLUMNS)) + "|"]
    for where, rows in tables(text):
        for row in rows:
            if row["level"] == "raw" and row["model"] in card_names():
                lines.append(f"| {where} | {row['model']} | " + " | ".join(row[name] for name in COLUMNS) + " |")
    if len(lines) < 3:
        raise SystemExit(f"{SOURCE.name} has no table with the column '90 % covers' and a row of a card of ours.")
    return "\n".join(lines) + "\n"


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = quoted(SOURCE.read_text(encoding="utf-8"))
    PAGE.write_text(MARKS.sub(lambda m: m[1] + table + m[2], page), encoding="utf-8")
    print(f"wrote {len(table.splitlines()) - 2} rows into {PAGE.name}")


if __name__ == "__main__":
    main()
