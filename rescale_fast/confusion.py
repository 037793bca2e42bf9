"""Confusion matrix: how often images of one class are called another.

Reads Predictions (N images, K classes), of one network or of several; makes ConfusionMatrix, row = true class,
column = predicted class.
Counting runs in C++ (csrc/classes/confusion.cpp) without the GIL: one pass, the same result for any thread count.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from rescale_fast import _core
from rescale_fast.artifact import Artifact, Origin, check_schema, parse_json, write_whole
from rescale_fast.errors import ArtifactError
from rescale_fast.files.arrays import AnyArray, Values, check_lengths, read_npz
from rescale_fast.files.fields import member
from rescale_fast.files.matrices import read_matrix
from rescale_fast.files.reading import DamageError, check_class_ids, reading
from rescale_fast.machine import available_bytes
from rescale_fast.predictions.types import Predictions
from rescale_fast.settings import Between
from rescale_fast.types import FloatArray, IntArray

ARRAYS = (
    Values("counts", "int64", ("K", "K"), Between(0), meaning="images; row = true class, column = predicted class"),
    Values(
        "soft", "float64", ("K", "K"), Between(0), optional=True, meaning="summed top-5 probabilities, in the same way"
    ),
    Values("class_ids", "text", ("K",), optional=True, meaning="in dataset order"),
    Values("class_names", "text", ("K",), optional=True),
)
THEN = "Give an .npz with counts, an .npy or a CSV, of K rows of K counts: docs/formats.md describes them."
BYTES_A_PAIR = 32  # counts and soft, and each once more while it is summed
TOTALS = {"all", "total", "totals", "sum"}  # what programs call the sums of rows and columns
MOST_IMAGES = 2.0**53  # in all, so that sums are exact whatever they are kept in


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
    def load(cls, path: Path, *, class_ids: Sequence[str] = (), class_names: Sequence[str] = ()) -> Self:
        """Read and check a confusion.npz, ours or one made by another program, or an .npy or a CSV.

        A foreign .npz needs `counts`, (K, K) whole numbers, and may have `class_ids` (or `wnids`), (K,), `class_names`
        and `soft`; the rest is filled in: names = ids, soft = counts.
        Args: class_ids, class_names: (K,) of the data set, for a file that does not say them or has numbers in their
            place; without these, classes are called by their numbers.
        Raises: ArtifactError saying what is wrong with which array.
        """
        if path.suffix.lower() in (".npy", ".csv", ".tsv", ".txt"):
            counts, ids = read_matrix(path)
            stored: dict[str, AnyArray] = {"counts": counts} | ({"class_ids": np.array(ids)} if ids else {})
        else:
            names = (*(one.name for one in ARRAYS), "wnids", "meta", "arr_0")
            stored = read_npz(path, names, THEN, one_of=("counts", "arr_0"))
        with reading(path, "a confusion matrix", THEN):
            origin = Origin({}, {})
            if "meta" in stored:
                meta = parse_json(str(stored.pop("meta")))
                check_schema(member(meta, "schema"), cls.schema)
                origin = Origin.from_dict(meta)
            return cls._made(origin, stored, class_ids, class_names)

    @classmethod
    def _made(
        cls, origin: Origin, stored: dict[str, AnyArray], class_ids: Sequence[str], class_names: Sequence[str]
    ) -> Self:
        for other, name in (("wnids", "class_ids"), ("arr_0", "counts")):  # the latter by numpy.savez(file, counts)
            if other in stored and not np.array_equal(found := stored.pop(other), stored.setdefault(name, found)):
                raise DamageError(f"it holds both {name} and {other}, which are not the same. Leave out one of them")
        if "class_ids" in stored and max(stored["class_ids"].shape, default=1) == stored["class_ids"].size:
            stored["class_ids"] = stored["class_ids"].ravel()  # a column is as good as a list
        arrays = {one.name: one.take(stored[one.name]) for one in ARRAYS if one.name in stored}
        size = check_lengths(ARRAYS, arrays)["K"]
        if not size:
            raise DamageError("counts are empty, expected at least one class")
        if arrays["counts"].sum(dtype=np.float64) > MOST_IMAGES:
            raise DamageError(f"counts add up to {arrays['counts'].sum(dtype=np.float64):.3g} images")
        ids, names = (tuple(arrays[name].tolist()) if name in arrays else () for name in ("class_ids", "class_names"))
        numbers = tuple(str(label) for label in range(size))
        if class_ids and (not ids or (ids == numbers and set(class_ids) != set(ids))):
            if len(class_ids) != size:
                sums = "; its last row and column are sums: leave them out" if _ends_in_sums(arrays["counts"]) else ""
                raise DamageError(f"counts are of {size:,} classes, and the data set has {len(class_ids):,}{sums}")
            ids, names = tuple(class_ids), tuple(class_names)
        ids = ids or numbers
        check_class_ids("class_ids", ids)
        if ids[-1].casefold() in TOTALS and ids[-1] not in class_ids and _ends_in_sums(arrays["counts"]):
            raise DamageError(
                f"its last row and column, {ids[-1]!r}, are the sums of the others, as pandas.crosstab(margins=True) "
                "adds them. Leave them out"
            )
        soft = arrays.get("soft", arrays["counts"].astype(np.float64))
        return cls(origin=origin, counts=arrays["counts"], soft=soft, class_ids=ids, class_names=names or ids)


def _ends_in_sums(counts: IntArray) -> bool:
    inner = counts[:-1, :-1]
    is_sum = np.array_equal(counts[-1, :-1], inner.sum(axis=0)) and np.array_equal(counts[:-1, -1], inner.sum(axis=1))
    return bool(is_sum and counts[-1, -1] == inner.sum() > 0)


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
        naming the first bad position; 2^23 images of one class or more.
    """
    return _core.sum_probabilities(labels, ids, probabilities, num_classes, num_threads=num_threads)


def make_confusion(predictions: Predictions, origin: Origin, *, num_threads: int = 0) -> ConfusionMatrix:
    """Accumulate the confusion matrix of all predicted images; skipped files are not counted.

    Raises: ArtifactError when no image was predicted, or when there are more classes than memory for their pairs.
    """
    num_classes = len(predictions.class_ids)
    if not len(predictions.labels):
        first = "".join(f": {one.path!r} ({one.reason}) first" for one in predictions.skipped[:1])
        raise ArtifactError(f"no image was predicted, and {len(predictions.skipped):,} could not be read{first}.")
    needed, free = BYTES_A_PAIR * num_classes**2, available_bytes()
    if free is not None and needed > free:
        raise ArtifactError(
            f"a confusion matrix of {num_classes:,} classes takes {needed / 1e9:,.1f} GB; {free / 1e9:,.1f} GB are "
            "free. Are labels numbers of something else? They count classes, from 0."
        )
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


def pool_confusion(predictions: Iterable[Predictions], origin: Origin, *, num_threads: int = 0) -> ConfusionMatrix:
    """Accumulate the confusion matrix of several networks: counts and summed probabilities add up.

    The networks' predictions are taken one after another, and must be about the same classes (predictions/several.py).
    Raises: as `make_confusion`.
    """
    made = (make_confusion(one, origin, num_threads=num_threads) for one in predictions)
    pooled = next(made)
    for one in made:
        pooled = replace(pooled, counts=pooled.counts + one.counts, soft=pooled.soft + one.soft)
    return pooled
