"""A random order that adding files does not change: by a hash of seed, purpose, class and file name.

The hash knows neither the folder nor the position of an image, so that two people with the same images in different
layouts choose the same ones, and a new file only takes its own place among the others.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rescale_fast.types import IntArray

Keys = NDArray[np.uint64]


def stable_keys(class_ids: Sequence[str], labels: IntArray, paths: Sequence[str], purpose: str, seed: int) -> Keys:
    """(n,) uint64 keys to sort images by: xxh3-64 of "purpose/class id/file name" under the seed.

    Args: labels: (n,) positions in class_ids. purpose: choices for different purposes are independent.
    """
    from xxhash import xxh3_64_intdigest

    prefixes = [f"{purpose}/{class_id}/" for class_id in class_ids]
    keys = (
        xxh3_64_intdigest((prefixes[label] + path[path.rfind("/") + 1 :]).encode(), seed)
        for label, path in zip(labels.tolist(), paths, strict=True)
    )
    return np.fromiter(keys, np.uint64, len(paths))


def ranks_within(groups: IntArray, *keys: Keys | IntArray) -> IntArray:
    """(n,) rank of each image, from 0, among those of its group, by the keys (the first decides, then the next).

    Images that agree in all keys keep the order they come in.
    """
    order = np.lexsort((*reversed(keys), groups))
    in_order = groups[order]
    is_first = np.ones(len(groups), bool)
    is_first[1:] = in_order[1:] != in_order[:-1]
    starts = np.flatnonzero(is_first)
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, np.diff(np.append(starts, len(groups))))
    return ranks
