"""The digest of a file: XXH3-128 over the XXH3-128 of each MiB of it.

By blocks, so that it is known when the last byte has been written, and threads share the work of checking it. The core
digests what it writes (csrc/beton/block_digest.h); this puts the parts of a file together.
"""

from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from rescale_fast import _core
from rescale_fast.types import Track, silent

Blocks = NDArray[np.uint8]  # (n, 16), the XXH3-128 of each MiB


def block_digests(data: bytes, padded_to: int = 0) -> Blocks:
    """The digests of the blocks of bytes in memory; the last block may be shorter.

    Args: padded_to: bytes, a multiple of a block's; as if zeros followed up to there.
    """
    size = _core.DIGEST_BLOCK
    if len(data) < padded_to:
        data = data.ljust(-(-len(data) // size) * size, b"\0")
    view = memoryview(data)
    digests = b"".join(xxhash.xxh3_128_digest(view[at : at + size]) for at in range(0, len(view), size))
    zeros = xxhash.xxh3_128_digest(bytes(size)) * max(0, (padded_to - len(data)) // size)
    return np.frombuffer(digests + zeros, np.uint8).reshape(-1, 16)


def digest_of(*parts: Blocks) -> str:
    """The digest of a file from those of its blocks, which lie in `parts` one after another."""
    return f"xxh3-128-mib:{xxhash.xxh3_128_hexdigest(np.concatenate(parts).tobytes())}"


def file_digest(path: Path, *, num_threads: int = 0, track: Track = silent) -> str:
    """The digest of a file, read again. Raises: OSError."""
    size = path.stat().st_size
    with path.open("rb") as file, track(f"Reading {path.name}", total=size, unit="bytes") as advance:
        return digest_of(_core.digest_file(fd=file.fileno(), size=size, num_threads=num_threads, advance=advance))
