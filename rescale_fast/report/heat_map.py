"""The heat map's data: who is called what, ordered so that classes that are confused lie side by side.

page.js draws it. Of a matrix so full that the page would become heavy, the cells of few images are left out.
"""

from typing import Any

import numpy as np

from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.extras import is_installed
from rescale_fast.terminal import printable
from rescale_fast.types import FloatArray, IntArray

MOST_CELLS = 40_000
MOST_ORDERED_BEST = 300  # classes; of more, the best order of leaves takes too long


def heat_map(confusion: ConfusionMatrix, classes: ClassSubset) -> dict[str, Any]:
    """Names and images of the chosen classes in their order, and (row, column, images) of each cell, one after another.

    `largest` is the greatest share of a row's images off the diagonal, `left_out` the number of cells not given,
    `is_ordered` whether classes that are confused lie side by side, as they do where SciPy is installed.
    """
    chosen = np.array(classes.classes, np.int64)
    images = confusion.counts[chosen].sum(axis=1)
    counts = confusion.counts[np.ix_(chosen, chosen)].copy()
    np.fill_diagonal(counts, 0)
    shares = counts / np.maximum(images, 1)[:, None]
    is_ordered = is_installed("scipy")
    order = _confused_side_by_side(shares) if is_ordered else np.arange(len(shares))
    counts, shares = counts[np.ix_(order, order)], shares[np.ix_(order, order)]
    rows, columns = np.nonzero(counts)
    kept = np.sort(np.argsort(-counts[rows, columns], kind="stable")[:MOST_CELLS])
    cells = np.stack([rows, columns, counts[rows, columns]], axis=1)[kept]
    return {
        "names": [printable(classes.class_names[i]) for i in order],
        "images": images[order].tolist(),
        "cells": cells.ravel().tolist(),
        "largest": float(shares.max(initial=0.0)) or 1.0,
        "left_out": len(rows) - len(kept),
        "is_ordered": is_ordered,
    }


def _confused_side_by_side(shares: FloatArray) -> IntArray:
    """(k,) the leaves of an average-linkage tree over how much each two are confused, either way."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(shares) < 3:
        return np.arange(len(shares))
    alike = shares + shares.T
    apart = alike.max() - alike
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform(apart, checks=False), "average", optimal_ordering=len(shares) <= MOST_ORDERED_BEST)
    return np.asarray(leaves_list(tree), np.int64)
