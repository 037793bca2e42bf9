"""Completes a beton: writes the tables around the payloads, and the header last."""

import os
from pathlib import Path

import numpy as np

from rescale_fast.beton.digest import Blocks, block_digests, digest_of
from rescale_fast.beton.file import ALLOCATION, DESCRIPTOR, HEADER, Field, Records, pages_end, pages_start
from rescale_fast.types import IntArray


def write_tables(
    path: Path,
    fields: tuple[Field, ...],
    records: Records,
    pointers: IntArray,
    sizes: IntArray,
    page_size: int,
    pages: Blocks,
) -> str:
    """Complete a file that holds its payloads: the tables, and, once those are on the disk, the header.

    Args: pointers, sizes: (n, p), bytes. pages: digests of the blocks of all pages.
    Returns: the digest of the file.
    Raises: OSError.
    """
    start, end = pages_start(fields, len(records), page_size), pages_end(pointers, sizes, page_size)
    header = np.zeros(1, HEADER)
    header[0] = (2, len(fields), page_size, len(records), end)
    head = header.tobytes() + _descriptors(fields) + records.tobytes()
    table = np.empty(sizes.size, ALLOCATION)
    table["sample"] = np.repeat(np.arange(len(records), dtype=np.uint64), sizes.shape[1])
    table["pointer"] = pointers.ravel()
    table["size"] = sizes.ravel()
    with path.open("rb+") as file:
        file.truncate(end)  # the last page is whole; what no payload fills reads as zeros
        file.seek(HEADER.itemsize)
        file.write(memoryview(head)[HEADER.itemsize :])
        file.seek(end)
        file.write(table.tobytes())
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        file.write(header.tobytes())
    return digest_of(block_digests(head, padded_to=start), pages, block_digests(table.tobytes()))


def _descriptors(fields: tuple[Field, ...]) -> bytes:
    descriptors = np.zeros(len(fields), DESCRIPTOR)
    for descriptor, field in zip(descriptors, fields, strict=True):
        descriptor["type_id"] = field.type_id
        descriptor["name"] = field.name.encode("ascii")
        descriptor["arguments"] = np.void(field.arguments.ljust(1024, b"\0"))
    return descriptors.tobytes()
