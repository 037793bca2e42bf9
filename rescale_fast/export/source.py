"""The files of a split, one after another, as those exports take them that keep files as they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from rescale_fast.errors import DatasetError, ImageError
from rescale_fast.files.images import image_bytes, image_kind, patiently
from rescale_fast.image_subset.types import ImageSubset


@dataclass(frozen=True)
class SourceImage:
    """A file that is an image."""

    row: int  # within its split of the ImageSubset
    path: Path
    label: int  # 0..k-1
    kind: str  # the usual suffix of its format, whatever its name: "jpg", "png", ...
    content: bytes  # empty where files are linked


class SourceImages:
    """Gives the images of a split, and notes those files that are none, by their headers."""

    def __init__(
        self, root: Path, subset: ImageSubset, split: str, on_bad: Literal["skip", "fail"], *, is_linked: bool
    ) -> None:
        """Raises: DatasetError for a class without an image in this split."""
        self.root, self.images, self.class_ids = root, subset.split(split), subset.class_ids
        self.on_bad, self.is_linked = on_bad, is_linked
        self.skipped: dict[int, str] = {}  # row -> reason
        self.left = np.bincount(self.images.new_labels, minlength=len(self.class_ids))  # (k,) images not skipped
        if self.left.min() == 0:
            raise DatasetError(f"class {self.class_ids[int(self.left.argmin())]!r} has no image in {split}.")

    def read(self, advance: Callable[[int], None]) -> Iterator[SourceImage]:
        """Raises: as `skip`; DatasetError for a file that the operating system does not give."""
        for row, (name, label) in enumerate(zip(self.images.paths, self.images.new_labels.tolist(), strict=True)):
            path = self.root / name
            try:
                kind = patiently(partial(image_kind, path))
                content = b"" if self.is_linked else patiently(partial(image_bytes, path))
            except ImageError as error:
                self.skip(row, error.reason)
            else:
                yield SourceImage(row, path, label, kind, content)
            advance(1)

    def skip(self, row: int, reason: str) -> None:
        """Leave a file out.

        Raises: DatasetError if on_bad is "fail", or when its class has no other image left.
        """
        path, label = self.root / self.images.paths[row], int(self.images.new_labels[row])
        if self.on_bad == "fail":
            raise DatasetError(f"{path}: {reason}. Repair or remove it, or pass --on-bad skip to leave it out.")
        self.skipped[row] = reason
        self.left[label] -= 1
        if self.left[label] == 0:
            raise DatasetError(
                f"class {self.class_ids[label]!r} has no readable image. The last of them: {path}: {reason}. "
                "Repair its files, or choose other classes."
            )
