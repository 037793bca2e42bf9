"""A look at one image of each class before any work: a class of which none can be read would end it much later."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np

from rescale_fast.errors import DatasetError, ImageError
from rescale_fast.files.images import open_image, patient_map
from rescale_fast.types import IntArray

THREADS = 16  # opening files waits for disks and networks, not for cores


def check_readable(root: Path, split: str, paths: Sequence[str], labels: IntArray, class_ids: Sequence[str]) -> None:
    """Decode one image of each class of a split; where the first is bad, the next, and so on.

    Args: paths: (N,) below `root`. labels: (N,) increasing.
    Raises: DatasetError naming the first class of which no image can be read, or a file that the operating system does
        not give.
    """
    ends = np.searchsorted(labels, np.arange(len(class_ids) + 1)).tolist()
    of_class = [paths[start:end] for start, end in pairwise(ends)]
    with ThreadPoolExecutor(THREADS) as pool:
        reasons = list(patient_map(pool, lambda some: _why_unreadable(root, some), of_class))
    for class_id, some, reason in zip(class_ids, of_class, reasons, strict=True):
        if reason is not None:
            raise DatasetError(
                f"{root}: class {class_id!r} has no readable image in {split}: none of {len(some):,} can be decoded. "
                f"First: {some[0]}: {reason}. Repair them, or take the class out of every split."
            )


def _why_unreadable(root: Path, paths: Sequence[str]) -> str | None:
    """Why the first cannot be read; None if any can."""
    reasons = []
    for path in paths:
        reason = _try_to_read(root / path)
        if reason is None:
            return None
        reasons.append(reason)
    return reasons[0] if reasons else None


def _try_to_read(path: Path) -> str | None:
    from PIL.Image import DecompressionBombError

    try:
        with open_image(path) as image:
            image.draft("RGB", (1, 1))  # an eighth of a JPEG is as good a sign as all of it, and far less work
            image.load()
            return None
    except ImageError as error:
        # What is too large is an image all the same, which a later stage may well shrink.
        return None if isinstance(error.__cause__, (DecompressionBombError, Warning)) else error.reason
