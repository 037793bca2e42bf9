"""Parts: the pixels of consecutive images of a split, finished and on the disk.

Any number of processes make them, in any order; together they are a split. A part is an .npz: pixels, the rows they
belong to, the rows that could not be read and why, and a digest of what the part was made from.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rescale_fast.artifact import write_whole
from rescale_fast.errors import ArtifactError
from rescale_fast.files.arrays import Values, check_lengths, read_npz
from rescale_fast.files.reading import DamageError, reading
from rescale_fast.settings import Between
from rescale_fast.types import IntArray

Pixels = NDArray[np.uint8]  # (n, d); of each image all R, then all G, then all B, or grey
BLOCK_IMAGES = 4096
THEN = "Delete it and run the same command again."
SMALL = (  # all of a part but its pixels
    Values("rows", "int64", ("n",), Between(0)),
    Values("skipped", "int64", ("s",), Between(0)),
    Values("reasons", "text", ("s",)),
    Values("total", "int64", ("d",), Between(0)),
)


@dataclass(frozen=True)
class Part:
    """A part on the disk; its pixels stay there."""

    path: Path
    rows: IntArray  # (n,) of the split, increasing
    skipped: Mapping[int, str]  # row -> reason
    total: IntArray  # (d,) sum of its pixels

    def pixels(self) -> Pixels:
        """Read them. Raises: ArtifactError when the file is damaged."""
        found = read_npz(self.path, ["pixels"], THEN).get("pixels")
        shape = (len(self.rows), len(self.total))
        if found is None or found.dtype != np.uint8 or found.shape != shape:
            raise ArtifactError(f"{self.path}: holds no {shape} pixels. {THEN}")
        return found


def save_part(path: Path, made_from: str, pixels: Pixels, rows: IntArray, skipped: Mapping[int, str]) -> None:
    """Write a part. made_from: digest of the listing and settings."""
    with write_whole(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            made_from=np.array(made_from),
            rows=rows,
            skipped=np.array(list(skipped), np.int64),
            reasons=np.array(list(skipped.values()), np.str_),
            total=pixels.sum(axis=0, dtype=np.int64),
            pixels=pixels,
        )


def load_part(path: Path, made_from: str) -> Part:
    """Open a part. Raises: ArtifactError when it is absent, damaged, or made from something else."""
    with reading(path, "a part", THEN):
        found = read_npz(path, [*(one.name for one in SMALL), "made_from"], THEN)
        arrays = {one.name: one.take(found[one.name]) for one in SMALL}
        if str(found["made_from"]) != made_from:
            raise DamageError("it was made from other images or settings")
        check_lengths(SMALL, arrays)
        skipped = dict(zip(arrays["skipped"].tolist(), arrays["reasons"].tolist(), strict=True))
        return Part(path, arrays["rows"], skipped, arrays["total"])


class StoredPixels:
    """The pixels of all parts of a split, one after another; at most two parts are in memory."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part.rows) for part in parts], dtype=np.int64)
        self._held: tuple[int, Pixels] | None = None

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def blocks(self, begin: int, end: int, size: int = BLOCK_IMAGES) -> Iterator[Pixels]:
        """The images [begin, end), `size` at a time."""
        for at in range(begin, end, size):
            yield self._take(at, min(at + size, end))

    def _take(self, begin: int, end: int) -> Pixels:
        found = []
        while begin < end:
            number = int(np.searchsorted(self._ends, begin, side="right"))
            start = int(self._ends[number]) - len(self._parts[number].rows)
            piece = self._part(number)[begin - start : end - start]
            found.append(piece)
            begin += len(piece)
        return np.concatenate(found)

    def _part(self, number: int) -> Pixels:
        if self._held is None or self._held[0] != number:
            self._held = None
            self._held = (number, self._parts[number].pixels())
        return self._held[1]
