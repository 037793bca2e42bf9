"""Dataset: which images there are, of which class, in which split. Listing only; no image is opened."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from rescale_fast.types import IntArray


@dataclass(frozen=True)
class ImageList:
    """The images of one split, in dataset order (by class, then by file name)."""

    paths: tuple[str, ...]  # (N,) relative to Dataset.root, "/" between parts
    labels: IntArray  # (N,) 0..K-1

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

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the listing: class ids, then each path with its label, by split. Not of the pixels."""
        digest = hashlib.sha256("\0".join(self.class_ids).encode())
        for split in sorted(self.splits):
            images = self.splits[split]
            digest.update(f"\0\0{split}\0{len(images)}\0".encode())
            digest.update("\0".join(images.paths).encode("utf-8", "surrogateescape"))
            digest.update(np.ascontiguousarray(images.labels, dtype="<i8").tobytes())
        return digest.hexdigest()
