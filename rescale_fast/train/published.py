"""Published accuracies to stand beside one's own.

published_accuracies.csv: top-1 in % of the best epoch on val, one seed; nine networks on ReIN30..200, RePL30 and
RePL50, and the full sets (those of mixed origin). Source: Nguyen and Nguyen, Pattern Recognition Letters 185, 73-80
(2024), doi 10.1016/j.patrec.2024.07.001.
"""

import csv
from functools import cache
from importlib.resources import files

CITATION = "Nguyen and Nguyen, Pattern Recognition Letters 185, 73-80 (2024), doi 10.1016/j.patrec.2024.07.001"


@cache
def published_top1() -> dict[tuple[str, str], float]:
    """{(network, subset): top-1 of the best epoch, 0..1}."""
    text = files("rescale_fast.train").joinpath("published_accuracies.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return {
        (row["network"], subset): float(cell) / 100
        for row in rows
        for subset, cell in row.items()
        if subset != "network"
    }
