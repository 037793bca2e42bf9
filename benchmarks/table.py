"""The one way in which benchmarks keep what they measured."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def write_table(name: str, table: Sequence[Mapping[str, object]]) -> None:
    """Write benchmarks/results/<name>.csv: a column for each key, in order of first appearance."""
    RESULTS.mkdir(exist_ok=True)
    columns = list(dict.fromkeys(key for row in table for key in row))
    with (RESULTS / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(table)
    print(f"wrote {name}.csv")
