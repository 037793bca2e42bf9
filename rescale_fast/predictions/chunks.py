"""Chunks: the val list cut into runs of 1,024 consecutive images, each finished as one parquet part."""

from pathlib import Path

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.errors import ArtifactError, OutputError
from rescale_fast.predictions.settings import CHUNK_SIZE
from rescale_fast.predictions.types import Predictions
from rescale_fast.types import IntArray


def num_chunks(num_images: int) -> int:
    return -(-num_images // CHUNK_SIZE)


def chunk_images(chunk: int, num_images: int) -> IntArray:
    """(at most 1,024,) positions in the val list."""
    return np.arange(chunk * CHUNK_SIZE, min((chunk + 1) * CHUNK_SIZE, num_images), dtype=np.int64)


def part_path(folder: Path, chunk: int) -> Path:
    return folder / f"part-{chunk:06d}.parquet"


def pending_chunks(num_images: int, folder: Path, origin: Origin) -> list[int]:
    """The chunks that have no finished part of the same origin in `folder`."""
    return [chunk for chunk in range(num_chunks(num_images)) if not _is_made(part_path(folder, chunk), origin)]


def is_finished(num_images: int, folder: Path, origin: Origin) -> bool:
    """Whether every chunk has a finished part of the same origin."""
    return not pending_chunks(num_images, folder, origin)


def remove_others(folder: Path, pending: list[int], num_images: int) -> None:
    """Remove parts never to be taken for finished ones: of other settings, damaged, or of a longer list.

    Raises: OutputError for a folder in the place of one.
    """
    wanted = {part_path(folder, chunk) for chunk in range(num_chunks(num_images))}
    wanted -= {part_path(folder, chunk) for chunk in pending}
    for path in folder.glob("part-*.parquet"):
        if path.is_dir() and not path.is_symlink():
            raise OutputError(f"{path}: is a folder, and a part of the predictions belongs there. Delete or move it.")
        if path not in wanted:
            path.unlink()


def _is_made(part: Path, origin: Origin) -> bool:
    try:
        return Predictions.load(part).origin.same_as(origin)
    except ArtifactError:  # absent, damaged, or of another version
        return False
