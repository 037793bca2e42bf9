"""Near-duplicates across the split: training images that look like a validation image.

Images are compared by the 64-bit perceptual hash of the library imagehash (signs of the low frequencies of a 32 x 32
cosine transform), which survives another size, another JPEG quality and a little noise. Two hashes that differ in at
most d bits agree in at least one of d + 1 bands of bits, so only images that share a band are compared: exact, without
looking at every pair.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rescale_fast.errors import ImageError
from rescale_fast.files.images import open_image, patient_map
from rescale_fast.image_subset.types import ImageSubset, NearDuplicates
from rescale_fast.types import IntArray, Track, silent

Hashes = NDArray[np.uint64]
BITS = 64
PAIRS_AT_ONCE = 4_000_000
FILES_AT_ONCE = 4_096  # waiting in the pool


def find_near_duplicates(
    root: Path, subset: ImageSubset, max_bits: int, *, num_threads: int = 1, track: Track = silent
) -> NearDuplicates:
    """The pairs of a training and a validation image whose hashes differ in at most `max_bits` bits.

    Files that are no sound images are in no pair. Raises: DatasetError for a file that the operating system does not
    give.
    """
    paths = [*subset.train.paths, *subset.val.paths]
    hashes, was_read = perceptual_hashes(root, paths, num_threads=num_threads, track=track)
    of_train = np.flatnonzero(was_read[: len(subset.train)])
    of_val = len(subset.train) + np.flatnonzero(was_read[len(subset.train) :])
    train, val, bits = close_pairs(hashes[of_train], hashes[of_val], max_bits)
    order = np.lexsort((val, train, bits))
    return NearDuplicates(
        train_paths=tuple(paths[of_train[i]] for i in train[order]),
        val_paths=tuple(paths[of_val[i]] for i in val[order]),
        distances=bits[order],
    )


def perceptual_hashes(
    root: Path, paths: Sequence[str], *, num_threads: int = 1, track: Track = silent
) -> tuple[Hashes, NDArray[np.bool_]]:
    """(n,) hashes, and (n,) whether each file is an image. Raises: as find_near_duplicates."""
    import imagehash

    def hash_of(path: str) -> int | None:
        try:
            with open_image(root / path) as image:
                image.draft("L", (64, 64))  # a JPEG is decoded at a smaller scale: the hash looks at 32 x 32 pixels
                bits = imagehash.phash(image).hash
        except ImageError:
            return None
        return int.from_bytes(np.packbits(bits).tobytes(), "big")

    hashes, was_read = np.zeros(len(paths), np.uint64), np.zeros(len(paths), bool)
    pool = ThreadPoolExecutor(num_threads)
    try:
        with track("Looking for near-duplicates", total=len(paths)) as advance:
            for start in range(0, len(paths), FILES_AT_ONCE):
                for i, found in enumerate(patient_map(pool, hash_of, paths[start : start + FILES_AT_ONCE]), start):
                    was_read[i] = found is not None
                    hashes[i] = found or 0
                    advance(1)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return hashes, was_read


def close_pairs(a: Hashes, b: Hashes, max_bits: int) -> tuple[IntArray, IntArray, IntArray]:
    """All pairs (i, j) for which a[i] and b[j] differ in at most `max_bits` of 64 bits.

    Returns: i, j, and in how many bits they differ; each pair once, in no particular order.
    """
    edges = np.linspace(0, BITS, max_bits + 2).astype(int)
    found: list[IntArray] = [np.zeros((3, 0), np.int64)]
    for low, high in pairwise(edges.tolist()):
        mask = np.uint64((1 << high) - (1 << low))
        for i, j in _equal_pairs(a & mask, b & mask):
            bits = np.bitwise_count(a[i] ^ b[j]).astype(np.int64)
            close = bits <= max_bits
            found.append(np.stack([i[close], j[close], bits[close]]))
    i, j, bits = np.unique(np.concatenate(found, axis=1), axis=1)
    return i, j, bits


def _equal_pairs(a: Hashes, b: Hashes) -> Iterator[tuple[IntArray, IntArray]]:
    """Positions (i, j) with a[i] == b[j], some millions at a time."""
    order = np.argsort(a, kind="stable")
    in_order = a[order]
    first, last = np.searchsorted(in_order, b, "left"), np.searchsorted(in_order, b, "right")
    counts = last - first
    ends = np.cumsum(counts)
    start = 0
    while start < len(b):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + PAIRS_AT_ONCE, "right")))
        j = np.repeat(np.arange(start, stop), counts[start:stop])
        within = np.arange(len(j)) - np.repeat(ends[start:stop] - counts[start:stop] - done, counts[start:stop])
        yield order[first[j] + within], j
        start = stop
