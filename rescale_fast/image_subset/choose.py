"""Chooses M images of each class: at random, or spread evenly over their difficulty.

Source of the latter: Gao 2021 ("Subsets of ImageNet"), image method 2: probabilities of the true class, from a network
that has not seen the image, rounded to 1 %; a threshold T for each class so that the sum over bins of min(count, T)
is M.
Measured: benchmarks/results/image_subset.csv, by benchmarks/bench_image_subset.py.
"""

import numpy as np

from rescale_fast.errors import DatasetError
from rescale_fast.image_subset.order import Keys, order_by, ranks_within
from rescale_fast.types import Float32Array, IntArray

BINS = 101  # 0 %, 1 %, ... 100 %


def choose_random(labels: IntArray, keys: Keys, per_class: int, class_ids: tuple[str, ...]) -> IntArray:
    """The `per_class` images of each class with the smallest keys.

    Args: labels: (n,) 0..k-1. keys: (n,).
    Returns: positions, increasing. Raises: DatasetError naming the smallest class that has fewer.
    """
    check_sizes(labels, per_class, class_ids)
    return np.flatnonzero(ranks_within(labels, order_by(labels, keys)) < per_class)


def choose_by_difficulty(
    labels: IntArray,
    true_probability: Float32Array,
    keys: Keys,
    per_class: int,
    class_ids: tuple[str, ...],
    *,
    over_set: bool = False,
) -> IntArray:
    """Fill the bins of difficulty evenly: of each bin the T images with the smallest keys, M in all.

    No whole T need give exactly M, as several bins reach T + 1 at once. Then T is the largest that gives fewer, and
    of the bins' images number T + 1 those with the smallest keys make up the rest. Both follow from one rule, which
    is what runs: images are taken in the order of (rank within their bin, key) until there are M.

    Args: labels: (n,) 0..k-1. true_probability: (n,) 0..1. keys: (n,). over_set: bins of the whole set share
        one threshold and M is per_class times the number of classes, so that classes may differ.
    Returns: positions, increasing. Raises: DatasetError when a class (or the set) has fewer than M images.
    """
    bins = np.rint(100 * true_probability.astype(np.float64)).astype(np.int64)  # halves to the even percent
    if over_set:
        wanted = per_class * len(class_ids)
        if len(labels) < wanted:
            raise DatasetError(
                f"the {len(class_ids):,} classes have {len(labels):,} training images, fewer than the {wanted:,} "
                "asked for. Lower --per-class."
            )
        rank_in_bin = ranks_within(bins, order_by(bins, keys))
        return np.sort(order_by(rank_in_bin, keys)[:wanted])
    check_sizes(labels, per_class, class_ids)
    cells = labels * BINS + bins
    rank_in_bin = ranks_within(cells, order_by(cells, keys))
    order = order_by(labels * (rank_in_bin.max(initial=0) + 1) + rank_in_bin, keys)
    return np.flatnonzero(ranks_within(labels, order) < per_class)


def check_sizes(labels: IntArray, per_class: int, class_ids: tuple[str, ...]) -> None:
    """Raise DatasetError unless each class has `per_class` images."""
    counts = np.bincount(labels, minlength=len(class_ids))
    short = np.flatnonzero(counts < per_class)
    if len(short):
        least = int(counts.argmin())
        raise DatasetError(
            f"{len(short):,} of {len(class_ids):,} classes have fewer than {per_class:,} training images; "
            f"{class_ids[least]!r} has the fewest, {counts[least]:,}. Pass --per-class {counts[least]}, choose other "
            "classes, or make coarse ones (--grouping), which have more images each."
        )
