"""Resizing as PIL, torchvision and DALI do it: under a triangle that is as wide as the reduction.

FFCV's own, OpenCV's INTER_AREA, is another filter (a box), and takes longer. Compiled once a process, when first used.
Measured: benchmarks/results/loader_pixels.csv and loader_resizing.csv.
"""

from typing import Any

import numba
import numpy as np

BITS = 22  # of a weight: 8 more for a level and the sum of weights, which is 1, and a sum fits into 32


def _resize(pixels: Any, width: int, top: int, left: int, rows: int, columns: int, target: Any) -> None:
    """Overwrite `target`, (S, S, 3) uint8, with a box of an image.

    Along rows first, rounded to levels, then along columns, in whole numbers, as PIL has it.
    Args: pixels: (height * width * 3,) uint8 of the image. top, left, rows, columns: the box, which is not empty.
    Source: Pillow's Resample.c, whose results differ from these by one level at most.
    """
    size = target.shape[0]
    first, count, weights = weights_of(columns, size)
    narrow = np.empty((rows, size * 3), np.uint8)
    for y in range(rows):
        line = pixels[((top + y) * width + left) * 3 : ((top + y) * width + left + columns) * 3]
        for x in range(size):
            red = green = blue = 1 << (BITS - 1)
            for k in range(count[x]):
                weight, at = weights[x, k], 3 * (first[x] + k)
                red += weight * line[at]
                green += weight * line[at + 1]
                blue += weight * line[at + 2]
            narrow[y, 3 * x], narrow[y, 3 * x + 1], narrow[y, 3 * x + 2] = red >> BITS, green >> BITS, blue >> BITS
    first, count, weights = weights_of(rows, size)
    sums = np.empty(size * 3, np.int32)
    for y in range(size):
        sums[:] = 1 << (BITS - 1)
        for k in range(count[y]):
            weight, line = weights[y, k], narrow[first[y] + k]
            for at in range(size * 3):
                sums[at] += weight * np.int32(line[at])
        for x in range(size):
            for channel in range(3):
                target[y, x, channel] = sums[3 * x + channel] >> BITS


def _weights_of(length: int, size: int) -> Any:
    """What each of `size` pixels takes of `length`: (size,) from where, (size,) how many, (size, k) weights."""
    scale = length / size
    reach = max(scale, 1.0)
    first, count = np.empty(size, np.int32), np.empty(size, np.int32)
    weights, shares = np.zeros((size, 2 * int(np.ceil(reach)) + 1), np.int32), np.empty(2 * int(np.ceil(reach)) + 1)
    for i in range(size):
        middle = (i + 0.5) * scale
        start, stop = max(0, int(middle - reach + 0.5)), min(length, int(middle + reach + 0.5))
        total = 0.0
        for k in range(stop - start):
            shares[k] = max(0.0, 1.0 - abs(start + k + 0.5 - middle) / reach)
            total += shares[k]
        for k in range(stop - start):
            weights[i, k] = int(shares[k] / total * (1 << BITS) + 0.5)
        first[i], count[i] = start, stop - start
    return first, count, weights


weights_of: Any = numba.njit(nogil=True)(_weights_of)
resize: Any = numba.njit(nogil=True)(_resize)
