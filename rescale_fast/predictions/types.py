"""Predictions: per validation image, what a pre-trained network said; and which files could not be read.

Stored as parquet parts, one a chunk of consecutive images, so that finished chunks survive an interruption
and any number of processes can share the work. Columns of a part (also how to bring your own):

    index              int64    position in the data set's val list
    path               string   relative to the data set's root
    label              int32    true class
    top_ids            list<int32>[5]   classes ranked highest, best first (fewer when K < 5); null if skipped
    top_probabilities  list<float>[5]   theirs; null if skipped
    true_probability   float    of the true class; null if skipped
    skipped            string   why the file could not be read; null for a predicted image
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from rescale_fast.artifact import Artifact, Origin, check_schema, write_whole
from rescale_fast.errors import ArtifactError
from rescale_fast.types import Float32Array, IntArray

if TYPE_CHECKING:
    import pyarrow as pa

TOP = 5


@dataclass(frozen=True)
class Skipped:
    """A listed image that could not be read."""

    index: int
    path: str
    label: int
    reason: str


@dataclass(frozen=True)
class Predictions(Artifact):
    """What the network said of every image it could read, in dataset order. predicted + skipped = listed."""

    schema: ClassVar[str] = "predictions/1"

    class_ids: tuple[str, ...]  # (K,)
    class_names: tuple[str, ...]  # (K,)
    indices: IntArray  # (N,) positions in the val list, increasing
    paths: tuple[str, ...]  # (N,)
    labels: IntArray  # (N,)
    top_ids: IntArray  # (N, min(5, K)), best first
    top_probabilities: Float32Array  # (N, min(5, K))
    true_probability: Float32Array  # (N,)
    skipped: tuple[Skipped, ...]

    @property
    def predicted(self) -> IntArray:
        """(N,) top-1 class."""
        return self.top_ids[:, 0]

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy over the predicted images, 0..1; 0 when there are none."""
        return float(np.mean(self.predicted == self.labels)) if len(self.labels) else 0.0

    def save(self, path: Path) -> None:
        """Write one parquet part."""
        import pyarrow.parquet as pq

        with write_whole(path) as temporary:
            pq.write_table(self._to_table(), temporary, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read one parquet part, or a folder of parts (`part-*.parquet`) that belong together.

        Raises: ArtifactError for an unreadable part, parts of different runs, or an image in two parts.
        """
        parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
        if not parts:
            raise ArtifactError(f"{path}: holds no part-*.parquet. `rescale-fast validate` makes them.")
        return cls._join([(part, cls._read(part)) for part in parts])

    def _to_table(self) -> "pa.Table":
        import pyarrow as pa

        width = self.top_ids.shape[1]
        num_skipped = len(self.skipped)
        order = np.argsort(
            np.concatenate([self.indices, np.array([s.index for s in self.skipped], np.int64)]), kind="stable"
        )

        def column(values: Any, skipped: list[Any], kind: Any) -> "pa.Array":
            return pa.concat_arrays([pa.array(values, kind), pa.array(skipped, kind)]).take(pa.array(order))

        nothing = [None] * num_skipped
        table = pa.table(
            {
                "index": column(self.indices, [s.index for s in self.skipped], pa.int64()),
                "path": column(list(self.paths), [s.path for s in self.skipped], pa.string()),
                "label": column(self.labels, [s.label for s in self.skipped], pa.int32()),
                "top_ids": column(list(self.top_ids), nothing, pa.list_(pa.int32(), width)),
                "top_probabilities": column(list(self.top_probabilities), nothing, pa.list_(pa.float32(), width)),
                "true_probability": column(self.true_probability, nothing, pa.float32()),
                "skipped": column([None] * len(self.labels), [s.reason for s in self.skipped], pa.string()),
            }
        )
        meta = {
            "schema": self.schema,
            "class_ids": self.class_ids,
            "class_names": self.class_names,
            **self.origin.to_dict(),
        }
        return table.replace_schema_metadata({"rescale_fast": json.dumps(meta)})

    @classmethod
    def _read(cls, path: Path) -> Self:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except FileNotFoundError as error:
            raise ArtifactError(f"{path}: no such file.") from error
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(
                f"{path}: not readable as parquet ({error}). Delete it to have it made again."
            ) from error
        stored = (table.schema.metadata or {}).get(b"rescale_fast", b"{}")
        meta = json.loads(stored)
        check_schema(path, meta.get("schema"), cls.schema)
        read = table.filter(table["skipped"].is_null())
        bad = table.filter(table["skipped"].is_valid())
        width = table.schema.field("top_ids").type.list_size
        return cls(
            origin=Origin.from_dict(meta),
            class_ids=tuple(meta["class_ids"]),
            class_names=tuple(meta["class_names"]),
            indices=read["index"].to_numpy(),
            paths=tuple(read["path"].to_pylist()),
            labels=read["label"].to_numpy().astype(np.int64),
            top_ids=_flat(read["top_ids"]).astype(np.int64).reshape(-1, width),
            top_probabilities=_flat(read["top_probabilities"]).astype(np.float32).reshape(-1, width),
            true_probability=read["true_probability"].to_numpy().astype(np.float32),
            skipped=tuple(
                Skipped(row["index"], row["path"], row["label"], row["skipped"])
                for row in bad.select(["index", "path", "label", "skipped"]).to_pylist()
            ),
        )

    @classmethod
    def _join(cls, parts: list[tuple[Path, Self]]) -> Self:
        (_, first) = parts[0]
        for path, part in parts[1:]:
            if part.class_ids != first.class_ids or not part.origin.same_as(first.origin):
                raise ArtifactError(
                    f"{path}: was made by another run than {parts[0][0].name}. "
                    "Delete the folder to have all parts made again."
                )
        indices = np.concatenate([part.indices for _, part in parts])
        skipped = tuple(s for _, part in parts for s in part.skipped)
        everything = np.concatenate([indices, np.array([s.index for s in skipped], np.int64)])
        if len(np.unique(everything)) != len(everything):
            values, times = np.unique(everything, return_counts=True)
            raise ArtifactError(f"{parts[0][0].parent}: image {values[times > 1][0]} is in more than one place.")
        order = np.argsort(indices, kind="stable")
        paths = [path for _, part in parts for path in part.paths]
        return cls(
            origin=first.origin,
            class_ids=first.class_ids,
            class_names=first.class_names,
            indices=indices[order],
            paths=tuple(paths[i] for i in order),
            labels=np.concatenate([part.labels for _, part in parts])[order],
            top_ids=np.concatenate([part.top_ids for _, part in parts])[order],
            top_probabilities=np.concatenate([part.top_probabilities for _, part in parts])[order],
            true_probability=np.concatenate([part.true_probability for _, part in parts])[order],
            skipped=tuple(sorted(skipped, key=lambda s: s.index)),
        )


def _flat(column: Any) -> np.ndarray:
    import pyarrow as pa

    combined = column.combine_chunks()
    array = combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)
    return np.asarray(array.flatten().to_numpy(zero_copy_only=False))
