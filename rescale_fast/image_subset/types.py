"""ImageSubset: which images of the chosen classes, under which new label, in which split.

A parquet table, one row an image, in the order in which it will be written (also how to bring your own):

    split      string  "train" or "val": the split it will be in
    source     string  the split it comes from
    index      int64   position in the source split's list
    path       string  relative to the data set's root
    label      int32   original label
    new_label  int32   0..k-1
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from rescale_fast.artifact import Artifact, Origin, check_schema, to_json, write_whole
from rescale_fast.csv_files import write_csv
from rescale_fast.errors import ArtifactError
from rescale_fast.types import Float32Array, IntArray


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
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = [
            pa.table(
                {
                    "split": pa.array([name] * len(images), pa.string()),
                    "source": pa.array(images.source, pa.string()),
                    "index": pa.array(images.indices, pa.int64()),
                    "path": pa.array(images.paths, pa.string()),
                    "label": pa.array(images.labels, pa.int32()),
                    "new_label": pa.array(images.new_labels, pa.int32()),
                }
            )
            for name, images in (("train", self.train), ("val", self.val))
        ]
        meta = {
            "schema": self.schema,
            "class_ids": self.class_ids,
            "class_names": self.class_names,
            "facts": to_json(self.facts),
            **self.origin.to_dict(),
        }
        table = pa.concat_tables(tables).replace_schema_metadata({"rescale_fast": json.dumps(meta)})
        with write_whole(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check an image_subset.parquet. Raises: ArtifactError."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except FileNotFoundError as error:
            raise ArtifactError(f"{path}: no such file.") from error
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(
                f"{path}: not readable as parquet ({error}). Delete it to have it made again."
            ) from error
        meta = json.loads((table.schema.metadata or {}).get(b"rescale_fast", b"{}"))
        check_schema(path, meta.get("schema"), cls.schema)

        def images(name: str) -> SubsetImages:
            part = table.filter(pc.equal(table["split"], name))
            return SubsetImages(
                source=tuple(part["source"].to_pylist()),
                indices=part["index"].to_numpy(),
                paths=tuple(part["path"].to_pylist()),
                labels=part["label"].to_numpy().astype(np.int64),
                new_labels=part["new_label"].to_numpy().astype(np.int64),
            )

        return cls(
            origin=Origin.from_dict(meta),
            class_ids=tuple(meta["class_ids"]),
            class_names=tuple(meta["class_names"]),
            train=images("train"),
            val=images("val"),
            facts=meta.get("facts", {}),
        )


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
        header = ("path", "class", "given", "given_probability", "suggested_probability")
        write_csv(path, header, [(*row[:3], f"{row[3]:.4f}", f"{row[4]:.4f}") for row in self.rows()])


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
        write_csv(path, ("train", "val", "bits"), self.rows())
