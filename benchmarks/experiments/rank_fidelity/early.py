"""Two controls that cost no training: the full training looked at on its way, and parts compared with one another."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from benchmarks.experiments.rank_fidelity.conditions import Condition, single_seeds
from benchmarks.experiments.rank_fidelity.results import Cell, Training
from rescale_fast.quality.pairs import taus
from rescale_fast.types import FloatArray


def on_the_way(trainings: Mapping[Cell, Training], networks: Sequence[str], seeds: int) -> FloatArray:
    """(C,) tau of each checkpoint of one seed to the end of another, on average; the last is the seed ceiling.

    The rate has not come down at a checkpoint as it has at the end, and the checkpoint is judged by fewer images.
    """
    found = np.array(
        [[trainings[Cell("full", 1.0, seed, one)].checkpoints for one in networks] for seed in range(seeds)]
    )  # (S, M, C)
    ends = found[:, :, -1]
    first, second = np.nonzero(~np.eye(seeds, dtype=bool))
    return np.array([taus(stop[first], ends[second]).mean() for stop in np.moveaxis(found, 2, 0)])


def among_draws(conditions: Sequence[Condition]) -> dict[tuple[str, float], FloatArray]:
    """Tau between draws of as many classes at the same cost, for each pair of draws; by family and cost."""
    families: dict[tuple[str, float], list[Condition]] = {}
    for one in conditions:
        if one.is_draw:
            families.setdefault((f"random-{one.number}", one.share), []).append(one)
    return {
        key: np.concatenate([single_seeds(a.accuracies, b.accuracies) for a, b in combinations(draws, 2)])
        for key, draws in families.items()
        if len(draws) > 1
    }
