"""The digest of a beton's content: XXH3, 128 bits, which costs less than copying the file does."""

from pathlib import Path

import xxhash

BLOCK = 1 << 22  # bytes


def file_digest(path: Path) -> str:
    """The digest of a file's bytes, "xxh3-128:<hex>", the number that `xxhsum -H2` prints. Raises: OSError."""
    digest = xxhash.xxh3_128()
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])
    return f"xxh3-128:{digest.hexdigest()}"
