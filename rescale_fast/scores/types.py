"""Scores: how sure a network that has not seen a training image is of its class.

Stored as parquet, in one file or in a folder of parts (one for each half of the images). COLUMNS are also how to bring
your own, from any network that had not seen the images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from rescale_fast.artifact import Artifact, Origin, check_schema
from rescale_fast.errors import ArtifactError, SettingError, UnreadableFileError
from rescale_fast.files.arrays import Values
from rescale_fast.files.reading import reading
from rescale_fast.files.tables import read_table, write_table
from rescale_fast.settings import Between
from rescale_fast.types import Float32Array, IntArray

COLUMNS = (
    Values("path", "text", ("N",), meaning="relative to the data set's root"),
    Values("label", "int32", ("N",), Between(0), meaning="class in the data set"),
    Values(
        "true_probability",
        "float32",
        ("N",),
        meaning="of the class that it counts as in the subset, 0 to 1; null if skipped",
    ),
    Values("skipped", "text", ("N",), optional=True, meaning="why the file could not be read"),
    Values(
        "probabilities",
        "float32",
        ("N", "k"),
        optional=True,
        meaning="of each class, by new label, 1 in all; null if skipped",
    ),
)
THEN = "Give a parquet file with path, label and true_probability: docs/formats.md describes its columns."
TOLERANCE = 1e-2  # of a sum of probabilities, which others may have stored in half precision


@dataclass(frozen=True)
class Scores(Artifact):
    """What is known of N images."""

    schema: ClassVar[str] = "scores/1"

    paths: tuple[str, ...]  # (N,)
    labels: IntArray  # (N,) in the data set
    true_probability: Float32Array  # (N,) 0..1; not a number where skipped
    probabilities: Float32Array | None  # (N, k), not numbers where skipped
    skipped: tuple[str | None, ...]  # (N,) why the file could not be read

    def save(self, path: Path) -> None:
        """Write one part."""
        is_null = np.isnan(self.true_probability)
        arrays: dict[str, Any] = {
            "path": self.paths,
            "label": self.labels,
            "true_probability": self.true_probability,
            "skipped": self.skipped,
        }
        if self.probabilities is not None:
            arrays["probabilities"] = self.probabilities
        nulls = dict.fromkeys(("true_probability", "probabilities"), is_null)
        write_table(path, COLUMNS, arrays, {"schema": self.schema, **self.origin.to_dict()}, nulls)

    @classmethod
    def load(cls, path: Path, *, probabilities: bool = True) -> Self:
        """Read one file, or a folder of parts (`part-*.parquet`).

        Args: probabilities: False leaves those of the other classes on disk.
        Raises: ArtifactError for an unreadable file, a column that is missing, what is no probability, an image twice.
        """
        parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
        if not parts:
            raise ArtifactError(f"{path}: holds no part-*.parquet. `rescale-fast score` makes them.")
        return cls._join(path, [cls._read(part, probabilities) for part in parts])

    @classmethod
    def _read(cls, path: Path, probabilities: bool) -> Self:
        table = read_table(path, [one for one in COLUMNS if probabilities or one.name != "probabilities"], THEN)
        with reading(path, "scores", THEN):
            origin = Origin({}, {})
            if table.meta is not None:
                check_schema(table.meta.get("schema"), cls.schema)
                origin = Origin.from_dict(table.meta)
            skipped = table.texts_or_none("skipped")
            floats = {one.name: table.floats_or_nan(one.name) for one in COLUMNS[2::2] if one.name in table}
            for array in floats.values():
                array[[reason is not None for reason in skipped]] = np.nan
            return cls(
                origin=origin,
                paths=table.texts("path"),
                labels=table.array("label"),
                true_probability=floats["true_probability"],
                probabilities=floats.get("probabilities"),
                skipped=skipped,
            )

    @classmethod
    def _join(cls, path: Path, parts: Sequence[Self]) -> Self:
        first = parts[0]
        if not all(part.origin.same_as(first.origin) for part in parts):
            raise ArtifactError(
                f"{path}: its parts were made from different images or with different settings, as when scoring was "
                "interrupted. `rescale-fast score` finishes them."
            )
        matrices = [part.probabilities for part in parts if part.probabilities is not None]
        if len(matrices) not in (0, len(parts)) or len({matrix.shape[1] for matrix in matrices}) > 1:
            raise UnreadableFileError(path, "its parts give probabilities of different numbers of classes", THEN)
        joined = cls(
            origin=first.origin,
            paths=tuple(name for part in parts for name in part.paths),
            labels=np.concatenate([part.labels for part in parts]),
            true_probability=np.concatenate([part.true_probability for part in parts]),
            probabilities=np.concatenate(matrices) if matrices else None,
            skipped=tuple(reason for part in parts for reason in part.skipped),
        )
        joined._check(path)
        return joined

    def _check(self, source: Path) -> None:
        if len(set(self.paths)) != len(self.paths):
            raise UnreadableFileError(
                source, f"{len(self.paths) - len(set(self.paths)):,} images are in it twice", THEN
            )
        was_read = np.array([reason is None for reason in self.skipped], bool)
        p = self.true_probability
        wrong = np.flatnonzero(was_read & ~((p >= 0) & (p <= 1)))
        if len(wrong):
            raise ArtifactError(
                f"{source}: the probability of {self.paths[wrong[0]]!r} is {p[wrong[0]]}, expected 0 to 1 "
                f"({len(wrong):,} such images). Are these logits? Take the softmax."
            )
        if self.probabilities is None:
            return
        sums = self.probabilities.sum(axis=1, dtype=np.float64)
        fine = (np.abs(sums - 1) <= TOLERANCE) & (self.probabilities >= 0).all(axis=1)
        wrong = np.flatnonzero(was_read & ~fine)
        if len(wrong):
            raise ArtifactError(
                f"{source}: the probabilities of {self.paths[wrong[0]]!r} add up to {sums[wrong[0]]:.4g} and the least "
                f"is {self.probabilities[wrong[0]].min():.4g}, expected 1 and at least 0 ({len(wrong):,} such images). "
                "Are these logits? Take the softmax."
            )

    def positions_of(self, paths: Sequence[str], source: Path) -> IntArray:
        """(n,) where each image is in these scores. Raises: ArtifactError naming the first that is not."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found = pc.index_in(pa.array(paths, pa.string()), value_set=pa.array(self.paths, pa.string()))
        if found.null_count:
            absent = paths[pc.index(found.is_null(), True).as_py()]
            raise ArtifactError(
                f"{source}: {found.null_count:,} of {len(paths):,} training images have no score, {absent!r} first. "
                "Were files added, or other classes chosen? `rescale-fast score` makes them anew."
            )
        return np.asarray(found.to_numpy(), np.int64)

    def check_width(self, class_ids: Sequence[str], source: Path) -> None:
        """Raise SettingError unless the probabilities are of these classes."""
        if self.probabilities is not None and self.probabilities.shape[1] != len(class_ids):
            raise SettingError(
                f"{source}: gives probabilities of {self.probabilities.shape[1]:,} classes, the subset has "
                f"{len(class_ids):,}. Give one for each class of the subset, by new label."
            )
