"""Dataset: which images there are, of which class, in which split. Listing only; no image is opened."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from rescale_fast.types import IntArray

KINDS_SAID = 6


@dataclass(frozen=True)
class LeftOut:
    """What lies beside the images and is not listed, for one reason."""

    count: int
    first: str  # path relative to Dataset.root; bytes that are not UTF-8 as \\xe9


@dataclass(frozen=True)
class ImageList:
    """The images of one split, in dataset order (by class, then by file name)."""

    paths: tuple[str, ...]  # (N,) relative to Dataset.root, "/" between parts
    labels: IntArray  # (N,) 0..K-1
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)  # reason (such as ".gif" or "hidden") -> what

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class Dataset:
    """A labelled image set on disk.

    `index` of an image, wherever it appears in an artifact, is its position in its split's list.
    """

    name: str  # what run folders and reports call it: "imagenet", "glyphs-120x32", a folder's name
    kind: str  # "imagenet", "places365", "folder" or "glyphs"
    root: Path  # absolute
    class_ids: tuple[str, ...]  # (K,) unique keys: folder names
    class_names: tuple[str, ...]  # (K,) for people; need not be unique
    splits: Mapping[str, ImageList]  # "train" may be missing; "val" never is
    layout: str = "train/<class>, val/<class>"  # how it lies on disk, for people

    @property
    def num_classes(self) -> int:
        return len(self.class_ids)

    @property
    def description(self) -> str:
        """What was found, in a line: classes, images, how they lie on disk, and what was left out."""
        counts = ", ".join(f"{len(images):,} {split}" for split, images in self.splits.items())
        text = f"{self.name}: {self.num_classes:,} classes, {counts} images ({self.layout})"
        left_out = self._left_out()
        return f"{text}; left out: {left_out}" if left_out else text

    def _left_out(self) -> str:
        total: Counter[str] = Counter()
        first: dict[str, str] = {}
        for images in self.splits.values():
            for reason, what in images.left_out.items():
                total[reason] += what.count
                first.setdefault(reason, what.first)
        said = [f"{count:,} {reason} ({first[reason]})" for reason, count in total.most_common(KINDS_SAID)]
        others = total.total() - sum(count for _, count in total.most_common(KINDS_SAID))
        return ", ".join([*said, f"{others:,} of other kinds"] if others else said)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the listing: class ids, then each path with its label, by split. Not of the pixels."""
        digest = hashlib.sha256("\0".join(self.class_ids).encode())
        for split in sorted(self.splits):
            images = self.splits[split]
            digest.update(f"\0\0{split}\0{len(images)}\0".encode())
            digest.update("\0".join(images.paths).encode())
            digest.update(np.ascontiguousarray(images.labels, dtype="<i8").tobytes())
        return digest.hexdigest()
