"""Choices of classes side by side, as a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rescale_fast.report.template import write_page


@dataclass(frozen=True)
class Table:
    """A table that can be sorted and filtered."""

    title: str
    note: str
    header: list[str]
    rows: list[list[str]]
    num_texts: int = 1  # columns from the left that are no numbers


def write_compare_page(names: Sequence[str], tables: Sequence[Table], path: Path) -> None:
    """Write the page; a table without rows is left out."""
    write_page("compare.html", path, names=names, tables=[table for table in tables if table.rows])
