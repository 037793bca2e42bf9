"""Random numbers that depend on seed, epoch and purpose, and never on what else was drawn.

`stream` is a generator for numbers that are drawn in a row. `RowDraws` are counters through a hash instead: those of a
row are its own, so that they stay when other rows come, go or need more of them.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from rescale_fast.types import FloatArray, IntArray

UInt64Array = NDArray[np.uint64]


class Purpose(IntEnum):
    """What numbers are for; a number each, never to be given to another."""

    ORDER = 0
    MIRROR = 1
    SHIFT = 2
    CROP = 3
    NETWORK = 4  # dropout and the like
    FOLDS = 5


def stream(seed: int, epoch: int, purpose: Purpose, rank: int = 0) -> np.random.Generator:
    """A generator of its own for these numbers, each below 2^64 and given 64 bits."""
    words = np.array([seed, epoch, purpose, rank], np.uint64).view(np.uint32)
    return np.random.default_rng(words)


class RowDraws:
    """Uniform numbers for each row of a beton, for one purpose in an epoch.

    Source: SplitMix64 (Steele et al. 2014), its finaliser taken once for the row and once for each number.
    """

    def __init__(self, seed: int, epoch: int, purpose: Purpose) -> None:
        self._key = stream(seed, epoch, purpose).integers(2**64, size=1, dtype=np.uint64)

    def uniform(self, rows: IntArray, numbers: range) -> FloatArray:
        """(len(numbers), n) the numbers of these positions in the series of each of n rows, in [0, 1)."""
        own = _mixed(self._key + _multiples(rows))
        return np.stack([(_mixed(own + step) >> np.uint64(11)) * 2.0**-53 for step in _multiples(np.array(numbers))])


def _multiples(counters: IntArray) -> UInt64Array:
    """Counters far apart, modulo 2^64: those of neighbours differ in half of their bits."""
    return (counters.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)


def _mixed(values: UInt64Array) -> UInt64Array:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
