"""CSVs of names that others gave: a spreadsheet must show them and not run them.

A cell of text that a spreadsheet would take for a formula is written with an apostrophe before it, as OWASP ("CSV
injection") advises; `bare` takes it away again, so that what we write reads back as it was.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from rescale_fast.artifact import write_whole

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "'")  # and the mark


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table, whole or not at all. Raises: OutputError."""
    with write_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def guarded(cell: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def bare(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell
