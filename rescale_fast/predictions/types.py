"""Predictions: per validation image, what a pre-trained network said; and which files could not be read.

Stored as parquet parts, one a chunk of consecutive images, so that finished chunks survive an interruption
and any number of processes can share the work. COLUMNS are those of a part, and how to bring your own: one file, or a
folder of part-*.parquet, with integers, floats and texts of any width, and nothing of ours in the metadata.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from rescale_fast.artifact import Artifact, Origin, check_schema
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError, UnreadableFileError
from rescale_fast.files.arrays import AnyArray, Values, check_lengths
from rescale_fast.files.fields import ClassesMeta, from_tree
from rescale_fast.files.reading import DamageError, check_class_ids, reading
from rescale_fast.files.tables import Table, read_table, write_table
from rescale_fast.settings import Between
from rescale_fast.types import Float32Array, IntArray

TOP = 5
LABELS = Between(0, 2**31 - 1)
COLUMNS = (
    Values(
        "index",
        "int64",
        ("N",),
        Between(0),
        optional=True,
        meaning="position in the data set's val list; by default the row",
    ),
    Values("path", "text", ("N",), meaning="relative to the data set's root"),
    Values("label", "int32", ("N",), LABELS, meaning="true class"),
    Values(
        "top_ids",
        "int32",
        ("N", "T"),
        LABELS,
        meaning="classes ranked highest, best first: 5, or K if that is less; null if skipped",
    ),
    Values(
        "top_probabilities", "float32", ("N", "T"), Between(0, 1), meaning="of these, never increasing; null if skipped"
    ),
    Values("true_probability", "float32", ("N",), Between(0, 1), meaning="of the true class; null if skipped"),
    Values("skipped", "text", ("N",), optional=True, meaning="why the file could not be read; else null or empty"),
)
THEN = (
    "Give a parquet file, or a folder of part-*.parquet of one run, with path, label, top_ids, top_probabilities and "
    "true_probability: docs/formats.md describes these columns."
)
OF_PREDICTED = COLUMNS[2:6]
MOST_CLASSES = 10**6  # called by their numbers


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

    def missing(self, dataset: Dataset) -> list[str]:
        """The data set's validation images that are not here, in its order.

        Raises: ArtifactError where these are of other classes or images, or have an image under another label.
        """
        if self.class_ids != dataset.class_ids:
            raise ArtifactError(
                f"the predictions are about {len(self.class_ids):,} classes from {self.class_ids[0]!r}, "
                f"{dataset.name} has {dataset.num_classes:,} from {dataset.class_ids[0]!r}. Validate again."
            )
        listed = dataset.splits["val"]
        label_of = dict(zip(listed.paths, listed.labels.tolist(), strict=True))
        here = dict(zip(self.paths, self.labels.tolist(), strict=True)) | {one.path: one.label for one in self.skipped}
        unknown = [path for path in here if path not in label_of]
        if unknown:
            raise ArtifactError(
                f"the predictions are of {unknown[0]!r} ({len(unknown):,} such images), which is no validation image "
                f"of {dataset.name}. Paths begin at its root, as {listed.paths[0]!r}."
            )
        wrong = [path for path, label in here.items() if label != label_of[path]]
        if wrong:
            path, shift = wrong[0], {label - label_of[path] for path, label in here.items()}
            hint = "They count from 1; count from 0." if shift == {1} else "Give labels in the order of its classes."
            raise ArtifactError(
                f"the predictions have {path!r} under the label {here[path]}, {dataset.name} under {label_of[path]} "
                f"({len(wrong):,} such images). {hint}"
            )
        return [path for path in listed.paths if path not in here]

    def save(self, path: Path) -> None:
        """Write one parquet part."""
        places = np.concatenate([self.indices, np.array([one.index for one in self.skipped], np.int64)])
        order = np.argsort(places, kind="stable")
        is_skipped = (np.arange(len(places)) >= len(self.indices))[order]

        def padded(array: AnyArray) -> AnyArray:
            nothing = np.zeros((len(self.skipped), *array.shape[1:]), array.dtype)
            return np.concatenate([array, nothing])[order]

        def joined(predicted: Sequence[str | None], skipped: Sequence[str | None]) -> list[str | None]:
            both = [*predicted, *skipped]
            return [both[i] for i in order.tolist()]

        arrays = {
            "index": places[order],
            "path": joined(self.paths, [one.path for one in self.skipped]),
            "label": np.concatenate([self.labels, np.array([one.label for one in self.skipped], np.int64)])[order],
            "top_ids": padded(self.top_ids),
            "top_probabilities": padded(self.top_probabilities),
            "true_probability": padded(self.true_probability),
            "skipped": joined([None] * len(self.labels), [one.reason for one in self.skipped]),
        }
        ids = {"class_ids": self.class_ids, "class_names": self.class_names}
        nulls = dict.fromkeys(("top_ids", "top_probabilities", "true_probability"), is_skipped)
        write_table(path, COLUMNS, arrays, {"schema": self.schema, **ids, **self.origin.to_dict()}, nulls)

    @classmethod
    def load(cls, path: Path, *, class_ids: Sequence[str] = (), class_names: Sequence[str] = ()) -> Self:
        """Read one parquet part, or a folder of parts (`part-*.parquet`) that belong together.

        Args: class_ids, class_names: (K,) of the data set, for a file that does not say them; without these, classes
            are called by their numbers.
        Raises: ArtifactError for an unreadable part, parts of different runs, or an image in two parts.
        """
        parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
        if not parts:
            raise ArtifactError(f"{path}: holds no part-*.parquet. `rescale-fast validate` makes them.")
        read: list[tuple[Path, Self]] = []
        for part in parts:
            begin = sum(len(one.indices) + len(one.skipped) for _, one in read)
            read.append((part, cls._read(part, begin)))
        joined = cls._join(path, read)
        with reading(path, "predictions", THEN):
            return joined._named(class_ids, class_names)

    @classmethod
    def _read(cls, path: Path, begin: int) -> Self:
        """Without class ids, if the file has none. Args: begin: the index of the first row, if it has none."""
        table = read_table(path, COLUMNS, THEN)
        with reading(path, "predictions", THEN):
            origin, class_ids, class_names = Origin({}, {}), (), ()
            if table.meta is not None:
                check_schema(table.meta.get("schema"), cls.schema)
                origin = Origin.from_dict(table.meta)
                meta = from_tree(ClassesMeta, table.meta)
                class_ids, class_names = meta["class_ids"], meta["class_names"]
            index = table.array("index") if "index" in table else np.arange(begin, begin + len(table))
            is_read = np.array([reason is None for reason in table.texts_or_none("skipped")], bool)
            read, bad = table.where(is_read), table.where(~is_read)
            arrays = {one.name: read.array(one.name) for one in OF_PREDICTED}
            check_lengths(OF_PREDICTED, arrays)
            _check_ranking(arrays["top_ids"], arrays["top_probabilities"])
            return cls(
                origin=origin,
                class_ids=class_ids,
                class_names=class_names,
                indices=index[is_read],
                paths=read.texts("path"),
                labels=arrays["label"],
                top_ids=arrays["top_ids"],
                top_probabilities=arrays["top_probabilities"],
                true_probability=arrays["true_probability"],
                skipped=_skipped(bad, index[~is_read]),
            )

    def _named(self, class_ids: Sequence[str], class_names: Sequence[str]) -> Self:
        """With the class ids that these have, else those given, else numbers."""
        ids, names = (self.class_ids, self.class_names) if self.class_ids else (class_ids, class_names)
        labels = [self.labels, self.top_ids, np.array([one.label for one in self.skipped], np.int64)]
        num_seen = 1 + max(int(some.max(initial=-1)) for some in labels)
        if ids and num_seen > len(ids):
            lowest = min(int(some.min(initial=num_seen)) for some in labels)
            hint = "; these count from 1" if (lowest, num_seen) == (1, len(ids) + 1) else ""
            raise DamageError(
                f"names class {num_seen - 1:,}, and there are {len(ids):,} classes, numbered from 0{hint}"
            )
        if not ids and num_seen > MOST_CLASSES:
            raise DamageError(f"names class {num_seen - 1:,}, expected less than {MOST_CLASSES:,}")
        ids = ids or [str(label) for label in range(num_seen)]
        if len(names or ids) != len(ids):
            raise DamageError(f"has {len(ids):,} class ids and {len(names):,} names")
        check_class_ids("class_ids", ids)
        return replace(self, class_ids=tuple(ids), class_names=tuple(names or ids))

    @classmethod
    def _join(cls, source: Path, parts: list[tuple[Path, Self]]) -> Self:
        (_, first) = parts[0]
        for path, part in parts[1:]:
            if part.class_ids != first.class_ids or not part.origin.same_as(first.origin):
                raise UnreadableFileError(path, f"was made by another run than {parts[0][0].name}", THEN)
        skipped = tuple(one for _, part in parts for one in part.skipped)
        indices = np.concatenate([part.indices for _, part in parts])
        paths = [path for _, part in parts for path in part.paths]
        _check_once(source, np.concatenate([indices, np.array([one.index for one in skipped], np.int64)]).tolist())
        _check_once(source, [*paths, *(one.path for one in skipped)])
        if len({part.top_ids.shape[1] for _, part in parts if len(part.top_ids)}) > 1:
            raise UnreadableFileError(source, "its parts rank different numbers of classes", THEN)
        order = np.argsort(indices, kind="stable")

        def joined(name: str) -> AnyArray:
            arrays = [getattr(part, name) for _, part in parts]
            return np.concatenate([array for array in arrays if len(array)] or arrays[:1])[order]

        return replace(
            first,
            indices=indices[order],
            paths=tuple([paths[i] for i in order.tolist()]),
            labels=joined("labels"),
            top_ids=joined("top_ids"),
            top_probabilities=joined("top_probabilities"),
            true_probability=joined("true_probability"),
            skipped=tuple(sorted(skipped, key=lambda one: one.index)),
        )


def _check_ranking(top_ids: IntArray, probabilities: Float32Array) -> None:
    """Raise DamageError unless each row names different classes, best first."""
    wrong = np.flatnonzero((np.diff(probabilities, axis=1) > 0).any(axis=1))
    if len(wrong):
        raise DamageError(f"top_probabilities[{wrong[0]}] is not best first ({len(wrong):,} such rows)")
    wrong = np.flatnonzero((np.diff(np.sort(top_ids, axis=1), axis=1) == 0).any(axis=1))
    if len(wrong):
        raise DamageError(f"top_ids[{wrong[0]}] names a class twice ({len(wrong):,} such rows)")


def _skipped(table: Table, index: IntArray) -> tuple[Skipped, ...]:
    labels, reasons = table.array("label").tolist(), table.texts_or_none("skipped")
    rows = zip(index.tolist(), table.texts("path"), labels, reasons, strict=True)
    return tuple(Skipped(place, path, label, str(reason)) for place, path, label, reason in rows)


def _check_once(source: Path, images: Sequence[int | str]) -> None:
    if len(set(images)) < len(images):
        seen: set[int | str] = set()
        twice = next(one for one in images if one in seen or seen.add(one))  # type: ignore[func-returns-value]
        raise UnreadableFileError(source, f"image {twice!r} is in more than one place", THEN)
