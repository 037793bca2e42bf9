"""At which part of their size readers decode the files' own JPEGs, where the training they are for needs no more.

libjpeg decodes at n/8 of the size for less work, so that large images, trained on at a small size, are read faster
from the same bytes. An eighth, two and four of them, are the parts for which it has vector code.
Measured: docs/export.md, benchmarks/results/reading_store.csv.
"""

import numpy as np

from rescale_fast.beton.file import Records
from rescale_fast.types import IntArray

PARTS = (4, 2, 1)  # eighths, from the largest


def needed_side(train_size: int) -> int:
    """Shorter side, pixels, that images need to be trained and tested on at a size, as Resize(256) is for 224."""
    return -(-train_size * 8 // 7)


def fewest_eighths(images: Records, least_side: int) -> IntArray:
    """(n,) the smallest part of each image of (width, height) whose shorter side has `least_side` pixels, in eighths.

    It is 8, the whole, for those that no part is large enough of.
    """
    shorter = np.minimum(images["width"], images["height"]).astype(np.int64)
    eighths = np.full(len(images), 8)
    for part in PARTS:
        eighths[scaled(shorter, part) >= least_side] = part
    return eighths


def scaled(sides: IntArray, eighths: IntArray | int) -> IntArray:
    """The sides that images of these sides have when they are decoded at a part of their size."""
    return -(-sides * eighths // 8)
