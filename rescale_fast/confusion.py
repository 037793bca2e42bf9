"""Confusion matrix: how often images of one class are called another.

Reads Predictions (N images, K classes); makes ConfusionMatrix, row = true class, column = predicted class.
Counting runs in C++ (csrc/confusion.cpp) without the GIL: one pass, the same result for any thread count.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from rescale_fast import _core
from rescale_fast.artifact import Artifact, Origin, check_schema, write_whole
from rescale_fast.errors import ArtifactError
from rescale_fast.predictions.types import Predictions
from rescale_fast.types import FloatArray, IntArray


@dataclass(frozen=True)
class ConfusionMatrix(Artifact):
    """Who is mistaken for whom, as counts and as summed probabilities."""

    schema: ClassVar[str] = "confusion/1"

    counts: IntArray  # (K, K) images; row = true class, column = predicted class
    soft: FloatArray  # (K, K) summed top-5 probabilities; row = true class, column = class they were given to
    class_ids: tuple[str, ...]  # (K,) in dataset order
    class_names: tuple[str, ...]  # (K,)

    @property
    def num_classes(self) -> int:
        return len(self.class_ids)

    @property
    def num_images(self) -> int:
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy over the counted images, 0..1; 0 when there are none."""
        return float(np.trace(self.counts) / max(1, self.num_images))

    def save(self, path: Path) -> None:
        """Write an .npz: counts, soft, class_ids, class_names, and `meta`, a JSON text. No pickle."""
        meta = json.dumps({"schema": self.schema, **self.origin.to_dict()})
        with write_whole(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                counts=self.counts,
                soft=self.soft,
                class_ids=np.array(self.class_ids, dtype=np.str_),
                class_names=np.array(self.class_names, dtype=np.str_),
                meta=np.array(meta),
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a confusion.npz, ours or one made by another program.

        A foreign file needs `counts`, (K, K) integers, and `class_ids` (or `wnids`), (K,) strings; the rest
        is filled in: names = ids, soft = counts.

        Raises: ArtifactError saying what is wrong with which array.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except FileNotFoundError as error:
            raise ArtifactError(f"{path}: no such file.") from error
        except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise ArtifactError(f"{path}: not a readable .npz of plain arrays ({error}).") from error
        origin = Origin({}, {})
        if "meta" in arrays:
            meta = json.loads(str(arrays["meta"]))
            check_schema(path, meta.get("schema"), cls.schema)
            origin = Origin.from_dict(meta)
        ids = arrays.get("class_ids", arrays.get("wnids"))
        if "counts" not in arrays or ids is None:
            raise ArtifactError(
                f"{path}: holds the arrays {sorted(arrays)}; needed are 'counts' (K, K) and 'class_ids' (K,)."
            )
        class_ids = tuple(str(name) for name in ids)
        names = tuple(str(name) for name in arrays.get("class_names", class_ids))
        counts = _checked_counts(path, arrays["counts"], class_ids)
        soft = arrays.get("soft", counts).astype(np.float64)
        if soft.shape != counts.shape or len(names) != len(class_ids):
            raise ArtifactError(
                f"{path}: counts are {counts.shape}, but soft is {soft.shape}, with {len(names)} names."
            )
        return cls(origin=origin, counts=counts, soft=soft, class_ids=class_ids, class_names=names)


def _checked_counts(path: Path, counts: np.ndarray, class_ids: tuple[str, ...]) -> IntArray:
    size = len(class_ids)
    if counts.shape != (size, size) or size == 0:
        raise ArtifactError(f"{path}: counts have the shape {counts.shape}, expected ({size}, {size}), not empty.")
    if not np.issubdtype(counts.dtype, np.integer):
        raise ArtifactError(f"{path}: counts are {counts.dtype}, expected integers (images).")
    if counts.min() < 0:
        row, column = np.argwhere(counts < 0)[0]
        raise ArtifactError(f"{path}: counts[{row}, {column}] is {counts[row, column]}; a count is never negative.")
    if len(set(class_ids)) != size:
        repeated = next(name for name in class_ids if class_ids.count(name) > 1)
        raise ArtifactError(f"{path}: the class id {repeated!r} occurs more than once.")
    return counts.astype(np.int64)


def count_confusion(labels: IntArray, predicted: IntArray, num_classes: int, *, num_threads: int = 0) -> IntArray:
    """Count, for each pair of classes, the images of the first that were called the second.

    Args:
        labels: (N,) int64 true class ids in [0, K). predicted: (N,) int64 top-1 ids, same order.
        num_threads: 0 = all cores; the result does not depend on it.
    Returns: counts, (K, K) int64, images; row = true class, column = predicted class; total = N.
    Raises: ValueError on unequal lengths or an id outside [0, K), naming the first bad position.
    Source: orientation of sklearn.metrics.confusion_matrix.
    """
    return _core.count_confusion(labels, predicted, num_classes, num_threads=num_threads)


def sum_probabilities(
    labels: IntArray,
    ids: IntArray,
    probabilities: FloatArray,
    num_classes: int,
    *,
    num_threads: int = 0,
) -> FloatArray:
    """Sum, for each pair of classes, the probability that images of the first gave to the second.

    Args:
        labels: (N,) int64 true class ids in [0, K).
        ids: (N, T) int64, the T classes each image ranked highest, in [0, K).
        probabilities: (N, T) float64 in [0, 1], theirs.
        num_threads: 0 = all cores; the result does not depend on it (sums are kept in fixed point, 2^-40).
    Returns: soft, (K, K) float64; row = true class. A row sums to at most the number of its images.
    Raises: ValueError on unequal shapes, an id outside [0, K), or a probability outside [0, 1] (or NaN),
        naming the first bad position.
    """
    return _core.sum_probabilities(labels, ids, probabilities, num_classes, num_threads=num_threads)


def make_confusion(predictions: Predictions, origin: Origin, *, num_threads: int = 0) -> ConfusionMatrix:
    """Accumulate the confusion matrix of all predicted images; skipped files are not counted."""
    num_classes = len(predictions.class_ids)
    ids = predictions.top_ids
    return ConfusionMatrix(
        origin=origin,
        counts=count_confusion(
            predictions.labels, np.ascontiguousarray(ids[:, 0]), num_classes, num_threads=num_threads
        ),
        soft=sum_probabilities(
            predictions.labels,
            ids,
            predictions.top_probabilities.astype(np.float64),
            num_classes,
            num_threads=num_threads,
        ),
        class_ids=predictions.class_ids,
        class_names=predictions.class_names,
    )
