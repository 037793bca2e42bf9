"""ImageSubset: which images of the chosen classes, under which new label, in which split.

A parquet table with the columns COLUMNS, one row an image, in the order in which it will be written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np

from rescale_fast.artifact import Artifact, Origin, check_schema
from rescale_fast.files.arrays import Values
from rescale_fast.files.csv_files import write_csv
from rescale_fast.files.fields import ClassesMeta, Means, from_tree, typed
from rescale_fast.files.reading import DamageError, check_class_ids, reading
from rescale_fast.files.tables import read_table, write_table
from rescale_fast.settings import Between
from rescale_fast.types import Float32Array, IntArray

COLUMNS = (
    Values("split", "text", ("n",), meaning="train or val: the split it will be in"),
    Values("source", "text", ("n",), meaning="the split it comes from"),
    Values("index", "int64", ("n",), Between(0), meaning="position in the source split's list"),
    Values("path", "text", ("n",), meaning="relative to the data set's root"),
    Values("label", "int32", ("n",), Between(0), meaning="original label"),
    Values("new_label", "int32", ("n",), Between(0), meaning="0..k-1"),
)


LABEL_ERRORS = {  # column -> meaning
    "path": "relative to the data set's root",
    "class": "class id that is more plausible; empty leaves the image out when the file is given as --corrections",
    "given": "class id that the data set gives",
    "given_probability": "of that class, 0 to 1",
    "suggested_probability": "of the more plausible one, 0 to 1",
}
NEAR_DUPLICATES = {
    "train": "path of the training image",
    "val": "path of the validation image",
    "bits": "in which their perceptual hashes differ, of 64",
}


@dataclass(frozen=True)
class SubsetMeta(ClassesMeta):
    """What an image subset says of itself, beside its columns."""

    facts: Annotated[Mapping[str, Any], Means("what is known of the choice; may be left out")]


@dataclass(frozen=True)
class SubsetImages:
    """The images of one split of the subset."""

    source: tuple[str, ...]  # (n,) split of the data set each comes from
    indices: IntArray  # (n,) position in that split's list
    paths: tuple[str, ...]  # (n,) relative to the data set's root
    labels: IntArray  # (n,) original
    new_labels: IntArray  # (n,) 0..k-1

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, positions: IntArray) -> "SubsetImages":
        """The images at these positions, in this order."""
        chosen = positions.tolist()
        return SubsetImages(
            source=tuple([self.source[i] for i in chosen]),
            indices=self.indices[positions],
            paths=tuple([self.paths[i] for i in chosen]),
            labels=self.labels[positions],
            new_labels=self.new_labels[positions],
        )


def join_images(first: SubsetImages, second: SubsetImages) -> SubsetImages:
    """The images of both, one after the other."""
    return SubsetImages(
        source=first.source + second.source,
        indices=np.concatenate([first.indices, second.indices]),
        paths=first.paths + second.paths,
        labels=np.concatenate([first.labels, second.labels]),
        new_labels=np.concatenate([first.new_labels, second.new_labels]),
    )


@dataclass(frozen=True)
class ImageSubset(Artifact):
    """The images of a subset: `train` (may be empty) and `val`."""

    schema: ClassVar[str] = "image_subset/1"

    class_ids: tuple[str, ...]  # (k,) by new label
    class_names: tuple[str, ...]  # (k,)
    train: SubsetImages
    val: SubsetImages
    facts: Mapping[str, Any] = field(default_factory=dict)  # what is known of the choice; JSON values

    def split(self, name: str) -> SubsetImages:
        return {"train": self.train, "val": self.val}[name]

    def save(self, path: Path) -> None:
        both = join_images(self.train, self.val)
        arrays = {
            "split": ["train"] * len(self.train) + ["val"] * len(self.val),
            "source": both.source,
            "index": both.indices,
            "path": both.paths,
            "label": both.labels,
            "new_label": both.new_labels,
        }
        meta = {"class_ids": self.class_ids, "class_names": self.class_names, "facts": self.facts}
        write_table(path, COLUMNS, arrays, {"schema": self.schema, **meta, **self.origin.to_dict()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check an image_subset.parquet. Raises: ArtifactError."""
        table = read_table(path, COLUMNS)
        with reading(path, "an image subset"):
            meta = table.meta or {}
            check_schema(meta.get("schema"), cls.schema)
            splits = np.array(table.texts("split"), object)
            other = np.flatnonzero((splits != "train") & (splits != "val"))
            if len(other):
                raise DamageError(f"split[{other[0]}] is {splits[other[0]]!r}, expected train or val")
            images = SubsetImages(
                source=table.texts("source"),
                indices=table.array("index"),
                paths=table.texts("path"),
                labels=table.array("label"),
                new_labels=table.array("new_label"),
            )
            made = cls(
                origin=Origin.from_dict(meta),
                **from_tree(SubsetMeta, {"facts": {}, **meta}),
                train=images.take(np.flatnonzero(splits == "train")),
                val=images.take(np.flatnonzero(splits == "val")),
            )
            made._check(images)
            return made

    def _check(self, images: SubsetImages) -> None:
        check_class_ids("class_ids", self.class_ids)
        if len(self.class_names) != len(self.class_ids):
            raise DamageError(f"it has {len(self.class_ids):,} class ids and {len(self.class_names):,} names")
        wrong = np.flatnonzero(images.new_labels >= len(self.class_ids))
        if len(wrong):
            label = images.new_labels[wrong[0]]
            raise DamageError(f"new_label[{wrong[0]}] is {label}, and there are {len(self.class_ids):,} classes")
        for name in self.facts.keys() & {"label_errors", "near_duplicates"}:
            typed(self.facts[name], int, f"facts.{name}")


@dataclass(frozen=True)
class LabelErrors:
    """Images whose class is likely another, least plausible first. Kept as a CSV that --corrections reads, too."""

    paths: tuple[str, ...]  # (n,)
    given: tuple[str, ...]  # (n,) class id
    suggested: tuple[str, ...]  # (n,) class id
    given_probability: Float32Array  # (n,)
    suggested_probability: Float32Array  # (n,)

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, positions: Sequence[int]) -> "LabelErrors":
        """Those at these positions, in this order."""
        at = np.array(positions, np.int64)
        return LabelErrors(
            paths=tuple(self.paths[i] for i in positions),
            given=tuple(self.given[i] for i in positions),
            suggested=tuple(self.suggested[i] for i in positions),
            given_probability=self.given_probability[at],
            suggested_probability=self.suggested_probability[at],
        )

    def rows(self) -> list[tuple[str, str, str, float, float]]:
        """(path, suggested, given, probability of the given, of the suggested class) of each."""
        p, q = self.given_probability.tolist(), self.suggested_probability.tolist()
        return list(zip(self.paths, self.suggested, self.given, p, q, strict=True))

    def save(self, path: Path) -> None:
        """Write the CSV."""
        write_csv(path, tuple(LABEL_ERRORS), [(*row[:3], f"{row[3]:.4f}", f"{row[4]:.4f}") for row in self.rows()])


NO_ERRORS = LabelErrors((), (), (), np.zeros(0, np.float32), np.zeros(0, np.float32))


def join_errors(first: LabelErrors, second: LabelErrors) -> LabelErrors:
    """The errors of both, least plausible first."""
    p = np.concatenate([first.given_probability, second.given_probability])
    both = LabelErrors(
        paths=first.paths + second.paths,
        given=first.given + second.given,
        suggested=first.suggested + second.suggested,
        given_probability=p,
        suggested_probability=np.concatenate([first.suggested_probability, second.suggested_probability]),
    )
    return both.take(np.argsort(p, kind="stable").tolist())


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of a training and a validation image that look alike, most alike first."""

    train_paths: tuple[str, ...]  # (n,)
    val_paths: tuple[str, ...]  # (n,)
    distances: IntArray  # (n,) bits in which their hashes differ, of 64

    def __len__(self) -> int:
        return len(self.train_paths)

    def rows(self) -> list[tuple[str, str, int]]:
        """(train path, val path, bits) of each."""
        return list(zip(self.train_paths, self.val_paths, self.distances.tolist(), strict=True))

    def save(self, path: Path) -> None:
        """Write the CSV."""
        write_csv(path, tuple(NEAR_DUPLICATES), self.rows())


@dataclass(frozen=True)
class Reviewed:
    """Images that were taken, and what there is to review about them. What is None was not looked for."""

    images: ImageSubset  # its facts say how many there are of either
    label_errors: LabelErrors | None
    near_duplicates: NearDuplicates | None
