"""The files of a split, one after another, as those exports take them that keep files as they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rescale_fast.errors import DatasetError
from rescale_fast.image_subset.types import SubsetImages


@dataclass(frozen=True)
class SourceImage:
    """A file that is an image."""

    row: int  # within its split of the ImageSubset
    path: Path
    label: int  # 0..k-1
    kind: str  # the usual suffix of its format, whatever its name: "jpg", "png", ...


@dataclass(frozen=True)
class SourceImages:
    """Gives the images of a split, and notes those files that are none, by their headers."""

    root: Path
    images: SubsetImages
    on_bad: Literal["skip", "fail"]
    skipped: dict[int, str] = field(default_factory=dict)  # row -> reason

    def read(self, advance: Callable[[int], None]) -> Iterator[SourceImage]:
        """Raises: DatasetError for the first bad file if on_bad is "fail"."""
        from rescale_fast.export._pillow import image_kind

        for row, (name, label) in enumerate(zip(self.images.paths, self.images.new_labels.tolist(), strict=True)):
            try:
                kind = image_kind(self.root / name)
            except ValueError as error:
                if self.on_bad == "fail":
                    raise DatasetError(
                        f"{self.root / name}: {error}. Repair or remove it, or pass --on-bad skip to leave it out."
                    ) from error
                self.skipped[row] = str(error)
            else:
                yield SourceImage(row, self.root / name, label, kind)
            advance(1)
