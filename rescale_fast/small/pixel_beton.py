"""Writes pixels that are in memory, a page at a time, as a beton of raw images."""

from pathlib import Path

import numpy as np

from rescale_fast import _core
from rescale_fast.artifact import write_whole
from rescale_fast.beton.digest import block_digests
from rescale_fast.beton.file import FIELDS, RAW_MODE, page_size_for, pages_start, record_type
from rescale_fast.beton.tables import write_tables
from rescale_fast.small.parts import Pixels, StoredPixels
from rescale_fast.types import Advance, IntArray


def write_pixels(target: Path, pixels: StoredPixels, labels: IntArray, side: int, advance: Advance) -> tuple[int, str]:
    """Write images (grey ones with three equal channels) and labels; the index of an image is its row.

    Args: labels: (N,) 0..k-1.
    Returns: the file's bytes, and its digest.
    Raises: OutputError when the file cannot be written.
    """
    count, size = len(labels), 3 * side * side
    page_size = page_size_for(count * size, size)
    start = pages_start(FIELDS, count, page_size)
    sizes = np.full((count, 1), size, np.int64)
    pointers = _core.place_payloads(sizes, start=start, page_size=page_size)
    records = np.zeros(count, record_type(FIELDS))
    records["f0"]["mode"] = RAW_MODE
    records["f0"]["width"] = records["f0"]["height"] = side
    records["f0"]["pointer"] = pointers[:, 0]
    records["f1"] = labels
    records["f2"] = np.arange(count)
    with write_whole(target) as temporary:
        digests = []
        with temporary.open("rb+") as file:
            file.seek(start)
            for block in pixels.blocks(0, count, page_size // size):
                page = _interleaved(block, side).tobytes().ljust(page_size, b"\0")
                digests.append(block_digests(page))
                file.write(page)
                advance(len(block))
        digest = write_tables(temporary, FIELDS, records, pointers, sizes, page_size, np.concatenate(digests))
        return temporary.stat().st_size, digest


def _interleaved(block: Pixels, side: int) -> Pixels:
    """(n, side, side, 3) from planes."""
    planes = block.reshape(len(block), -1, side, side)
    return np.ascontiguousarray(np.broadcast_to(planes, (len(block), 3, side, side)).transpose(0, 2, 3, 1))
