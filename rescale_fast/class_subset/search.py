"""Searches the k classes that are most confused with one another, and bounds what any choice could reach.

Source of max-confusion: Gao 2021 ("Subsets of ImageNet"), method 4: the k-subset with the greatest sum of pairwise
confusion. The search runs in C++ without the GIL: greedy in csrc/class_subset.cpp, annealed exchanges of clusters
(`fast`) in csrc/class_subset_search.cpp.
Measured: benchmarks/results/class_subset.csv, by benchmarks/bench_class_subset.py.
"""

import numpy as np

from rescale_fast import _core
from rescale_fast.errors import SettingError
from rescale_fast.types import FloatArray, IntArray

BOUND_STEPS = 200_000_000  # pairs looked at, a second at most
NUM_CHAINS, MOVES_A_CHAIN = 8, 400_000  # about two seconds of one core at K = 1,000


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
