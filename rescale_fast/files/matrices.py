"""Confusion matrices as others keep them: an .npy, or a CSV with or without a header and names of the rows.

A CSV's cells stand between commas, semicolons, tabs or spaces: as pandas, R, numpy.savetxt and spreadsheets write them.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rescale_fast.files.arrays import AnyArray, read_npy
from rescale_fast.files.reading import DamageError, read_text, reading

THEN = "Give an .npz, an .npy or a CSV with K rows of K counts."
MOST_CELLS = 2**30


def read_matrix(path: Path) -> tuple[AnyArray, Sequence[str]]:
    """A matrix of numbers, and the ids of its classes: none where the file does not say them.

    Raises: ArtifactError.
    """
    if path.suffix.lower() == ".npy":
        return read_npy(path, THEN), ()
    with reading(path, "a table of numbers", THEN):
        rows = _rows(read_text(path))
        if not rows or len(rows) * len(rows[-1]) > MOST_CELLS:
            raise DamageError(f"it has {len(rows):,} lines that are not empty")
        header, names, cells = _parted(rows)
        if header and names and header != names:
            place = next(i for i, (a, b) in enumerate(zip(header, names, strict=False)) if a != b)
            raise DamageError(
                f"column {place} is {header[place]!r} and row {place} is {names[place]!r}, expected one class"
            )
        return np.array([_numbers(row, number) for number, row in enumerate(cells)]), header or names


def _rows(text: str) -> list[list[str]]:
    """The cells of each line. A comment is left out, but for numpy.savetxt's header, as wide as the others and divided
    by more than spaces, which are in sentences, too.
    """
    lines = [line for line in text.splitlines(keepends=True) if line.strip()]
    between = next((one for one in ("\t", ";", ",") if lines and one in lines[-1]), None)
    if between is None:
        return [line.split() for line in lines if not line.startswith("#")]
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=between, strict=True)]
    rows = [row for row in rows if not row[0].startswith("#") or len(row) == len(rows[-1])]
    return [[row[0].removeprefix("# "), *row[1:]] for row in rows]


def _parted(rows: list[list[str]]) -> tuple[list[str], list[str], list[list[str]]]:
    """The names of columns, those of rows, and the cells between them."""
    height, width = len(rows), len(rows[-1])
    if len(rows[0]) == width - 1:
        rows[0].insert(0, "")  # R leaves out the corner
    uneven = next((number for number, row in enumerate(rows) if len(row) != width), None)
    if uneven is not None:
        raise DamageError(f"line {uneven + 1} has {len(rows[uneven]):,} cells, the last one {width:,}")
    has_corner = height == width and not _is_number(rows[0][0])
    has_header, has_names = has_corner or height == width + 1, has_corner or width == height + 1
    if not has_corner and abs(height - width) > 1:
        raise DamageError(
            f"it has {height:,} lines of {width:,} cells, expected as many of both, beside the classes' names"
        )
    body = rows[1:] if has_header else rows
    return (
        rows[0][has_names:] if has_header else [],
        [row[0] for row in body] if has_names else [],
        [row[has_names:] for row in body],
    )


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell) is not None


def _numbers(row: list[str], number: int) -> list[int | float]:
    for place, cell in enumerate(row):
        if not _is_number(cell):
            raise DamageError(f"row {number}, column {place} is {cell[:80]!r}, expected a number")
    return [int(cell) if cell.isdecimal() and len(cell) < 19 else float(cell) for cell in row]
