"""Chooses classes as the settings say: the k that are most confused with one another, or those of a list.

Reads a ConfusionMatrix; makes a ClassSubset. Each method has a module of its own beside this one.
"""

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.lists import read_list
from rescale_fast.class_subset.search import fast_subset, greedy_subset, pair_weights, upper_bound
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.types import IntArray


def choose_classes(
    confusion: ConfusionMatrix, settings: SelectSettings, origin: Origin, *, num_threads: int = 0
) -> ClassSubset:
    """Choose classes as the settings say. The result does not depend on num_threads (0 = all cores).

    Raises: SettingError for k outside 2..K, or a list that names unknown or repeated classes.
    """
    facts = {}
    if settings.classes is not None:
        chosen = read_list(settings.classes, confusion.class_ids)
        method = "list"
    else:
        weights = pair_weights(confusion.counts)
        greedy = chosen = greedy_subset(weights, settings.k)
        if settings.effort == "fast":
            chosen = fast_subset(weights, settings.k, seed=settings.search_seed, num_threads=num_threads)
        method = f"max-confusion, {settings.effort}"
        facts["value_of_greedy"] = describe(confusion, greedy)["value"]
        facts["upper_bound"] = upper_bound(weights, settings.k)
    return ClassSubset(
        origin=origin,
        method=method,
        num_classes=confusion.num_classes,
        classes=tuple(int(label) for label in chosen),
        class_ids=tuple(confusion.class_ids[label] for label in chosen),
        class_names=tuple(confusion.class_names[label] for label in chosen),
        facts=describe(confusion, chosen) | facts,
    )


def describe(confusion: ConfusionMatrix, chosen: IntArray) -> dict[str, float | int]:
    """What is known of a choice: confused images inside it, its errors, its accuracy, the expectation at random."""
    counts = confusion.counts
    inside = counts[np.ix_(chosen, chosen)]
    k, num_classes = len(chosen), confusion.num_classes
    total = int(counts.sum() - np.trace(counts))
    return {
        "value": int(inside.sum() - np.trace(inside)),  # images of chosen classes called another chosen class
        "value_of_a_random_choice": total * k * (k - 1) / (num_classes * (num_classes - 1)),  # expectation
        "errors": int(counts[chosen].sum() - np.trace(inside)),  # misclassified images of chosen classes
        "accuracy": float(np.trace(inside) / max(1, counts[chosen].sum())),
        "accuracy_of_all_classes": confusion.accuracy,
    }
