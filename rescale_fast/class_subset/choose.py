"""Chooses classes: the k that are most confused with one another, or those of a list.

Reads a ConfusionMatrix; makes a ClassSubset. Source of max-confusion: Gao 2021 ("Subsets of ImageNet"), method 4:
the k-subset with the greatest sum of pairwise confusion. The search runs in C++ without the GIL: greedy in
csrc/class_subset.cpp, annealed exchanges of clusters (`fast`) in csrc/class_subset_search.cpp.
Measured: benchmarks/results/class_subset.csv, by benchmarks/bench_class_subset.py.
"""

from pathlib import Path

import numpy as np

from rescale_fast import _core
from rescale_fast.artifact import Origin
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import SettingError
from rescale_fast.types import FloatArray, IntArray

BOUND_STEPS = 200_000_000  # pairs looked at, a second at most
NUM_CHAINS, MOVES_A_CHAIN = 8, 400_000  # about two seconds of one core at K = 1,000


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


def pair_weights(counts: IntArray) -> FloatArray:
    """(K, K) float64, symmetric, zero diagonal: images confused between each pair of classes, either way."""
    weights = (counts + counts.T).astype(np.float64)
    np.fill_diagonal(weights, 0)
    return weights


def greedy_subset(weights: FloatArray, k: int) -> IntArray:
    """Grow from the heaviest pair, one class at a time; ties go to the lower label.

    Args: weights: (K, K) float64, finite, not negative, symmetric, zero diagonal.
    Returns: (k,) int64 labels, increasing.
    Raises: SettingError for k outside 2..K; ValueError naming the first bad weight.
    """
    _check_k(k, len(weights))
    return np.sort(_core.greedy_class_subset(weights, k))


def fast_subset(weights: FloatArray, k: int, *, seed: int = 0, num_threads: int = 0) -> IntArray:
    """Search by simulated annealing over exchanges of clusters, from greedy, peeling and random starts.

    The work is fixed, not the time, so the result depends on the seed alone. Never worse than greedy. Ctrl-C
    ends it at once. Arguments, result and errors as for `greedy_subset`.
    """
    _check_k(k, len(weights))
    if not 0 <= seed < 2**63:
        raise SettingError(f"--search-seed {seed}: expected 0 to 2^63 - 1.")
    chosen, _ = _core.anneal_class_subset(
        weights, k, num_chains=NUM_CHAINS, num_moves=MOVES_A_CHAIN, seed=seed, num_threads=num_threads
    )
    return chosen


def upper_bound(weights: FloatArray, k: int) -> int:
    """The weight that no choice of k classes can exceed: the linear relaxation's value, rounded down.

    Exact in spite of rounding (csrc/class_subset_bound.h says why): all sums are of integers.

    Args: weights: (K, K) float64 whole numbers, symmetric, zero diagonal, adding up to less than 2^42.
    Raises: SettingError for k outside 2..K; ValueError naming the first bad weight.
    """
    _check_k(k, len(weights))
    loads = _core.even_loads(weights, max_steps=BOUND_STEPS)
    return int(np.sort(loads)[-k:].sum()) >> _core.LOAD_FRACTION_BITS


def _check_k(k: int, num_classes: int) -> None:
    if not 2 <= k <= num_classes:
        raise SettingError(f"--k {k}: expected 2 to {num_classes:,}, the number of classes there are.")


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


def read_list(path: Path, class_ids: tuple[str, ...]) -> IntArray:
    """Read a list of class ids, one a line, "#" starts a comment; return their labels, increasing.

    Raises: SettingError naming the file, the line and the class that is unknown or repeated.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"--classes {path}: cannot be read as text ({error}).") from error
    label_of = {class_id: label for label, class_id in enumerate(class_ids)}
    chosen: list[int] = []
    for number, line in enumerate(lines, 1):
        name = line.split("#")[0].strip()
        if not name:
            continue
        if name not in label_of:
            raise SettingError(
                f"{path}, line {number}: {name!r} is no class of this data set ({len(class_ids):,} classes, such as "
                f"{class_ids[0]!r}). Is the list for another data set?"
            )
        if label_of[name] in chosen:
            raise SettingError(f"{path}, line {number}: {name!r} is there twice.")
        chosen.append(label_of[name])
    if len(chosen) < 2:
        raise SettingError(f"{path}: names {len(chosen)} classes, expected at least 2.")
    return np.sort(np.array(chosen, np.int64))
