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
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from rescale_fast.artifact import Artifact, Origin, check_schema, write_whole
from rescale_fast.errors import ArtifactError
from rescale_fast.types import IntArray


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


@dataclass(frozen=True)
class ImageSubset(Artifact):
    """The images of a subset: `train` (may be empty) and `val`."""

    schema: ClassVar[str] = "image_subset/1"

    class_ids: tuple[str, ...]  # (k,) by new label
    class_names: tuple[str, ...]  # (k,)
    train: SubsetImages
    val: SubsetImages

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
        )
