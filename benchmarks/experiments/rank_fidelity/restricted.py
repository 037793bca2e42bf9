"""What of a loss of order is the classes' doing: full trainings, judged by a part's validation images alone.

Nothing is trained on less here. If the order holds on these images and not when networks are trained on the part, then
it is training on less that changes the order, and no other choice of classes would help.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.experiments.rank_fidelity.choices import Choice
from benchmarks.experiments.rank_fidelity.results import Cell, Training
from rescale_fast.quality.pairs import taus


def restricted_tau(
    trainings: Mapping[Cell, Training], networks: Sequence[str], num_classes: int, path: Path
) -> float | None:
    """Tau of the full trainings on the choice's classes to that on all; None if it has all classes, or is no choice.

    Args: path: of the choice.
    """
    if not path.exists():
        return None
    classes = sorted(one for group in Choice.load(path).groups for one in group)
    if len(classes) == num_classes:
        return None
    seeds = {cell.seed for cell in trainings if (cell.condition, cell.share) == ("full", 1.0)}
    cells = [[Cell("full", 1.0, seed, one) for one in networks] for seed in sorted(seeds)]
    rows = [row for row in cells if all(cell in trainings for cell in row)]
    right = np.array([[trainings[cell].correct.reshape(num_classes, -1) for cell in row] for row in rows])
    of_all, of_part = right.mean(axis=(0, 2, 3)), right[:, :, classes].mean(axis=(0, 2, 3))
    return float(taus(of_all[None], of_part[None])[0])
