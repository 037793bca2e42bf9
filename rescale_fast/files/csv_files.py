"""CSVs of names that others gave: a spreadsheet must show them and not run them.

A cell of text that a spreadsheet would take for a formula is written with an apostrophe before it, as OWASP ("CSV
injection") advises; `bare` takes it away again, so that what we write reads back as it was.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from rescale_fast.artifact import write_whole
from rescale_fast.files.reading import DamageError, reading

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "'")  # and the mark


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table, whole or not at all. Raises: OutputError."""
    with write_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV, ours or another's, each with these columns and maybe more. Raises: ArtifactError."""
    then = f"Expected a CSV with {', '.join(columns)}."
    with reading(path, "a CSV", then), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise DamageError(f"has no column {missing[0]!r}")
        rows = list(reader)
        short = next((number for number, row in enumerate(rows, 2) if any(row[one] is None for one in columns)), None)
        if short is not None:
            raise DamageError(f"row {short} has fewer cells than the first line")
        return [{name: bare(cell or "") for name, cell in row.items() if name is not None} for row in rows]


def guarded(cell: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def bare(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell
