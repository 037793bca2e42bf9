"""Published accuracies to stand beside one's own.

published_accuracies.csv: top-1 in % of the best epoch on val, one seed; nine networks on ReIN30..200, RePL30 and
RePL50, and the full sets (those of mixed origin). Source: Nguyen and Nguyen, Pattern Recognition Letters 185, 73-80
(2024), doi 10.1016/j.patrec.2024.07.001.
"""

import csv
from functools import cache
from importlib.resources import files

from rescale_fast.artifact import to_json
from rescale_fast.train.recipe import find_recipe
from rescale_fast.train.types import TrainRun

UNKNOWN = ("InceptionV4",)  # networks whose code was not published: ours may be others
IMAGE_SIZE = 224  # pixels; of all
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


def published_beside(run: TrainRun, subset: str) -> float | None:
    """The published accuracy, 0..1, of the same network, trained as long by the same recipe on images of the same size.

    None for any other training. Args: subset: the published list all of whose images it was on.
    """
    theirs = {"recipe": to_json(find_recipe("rein", run.network)), "image_size": IMAGE_SIZE}
    alike = all(run.origin.config.get(key) == value for key, value in theirs.items())
    known = run.is_current and not run.is_of_own_code and run.network not in UNKNOWN
    return published_top1().get((run.network, subset)) if alike and known else None
