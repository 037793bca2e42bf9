"""Puts the parts of a down-sampled set together: batch files, .npz, betons, and what leads each row back to its file.

A set is a folder: the files of each form, train_images.csv and val_images.csv (label, class id and path of each row),
and, when all of them are complete, variant.json.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rescale_fast.artifact import Origin, write_whole
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import DatasetError
from rescale_fast.files.csv_files import write_csv
from rescale_fast.settings import Registry
from rescale_fast.small.batches import BATCHES, batch_ends, batch_names
from rescale_fast.small.parts import Part, StoredPixels
from rescale_fast.small.pixel_beton import write_pixels
from rescale_fast.small.settings import VariantForm
from rescale_fast.small.types import VariantInfo
from rescale_fast.types import Advance, IntArray, Track, silent


@dataclass(frozen=True)
class VariantClasses:
    """The k classes of a set."""

    ids: tuple[str, ...]  # (k,)
    names: tuple[str, ...]  # (k,)
    labels: tuple[int, ...]  # (k,) in batch files
    original_labels: tuple[tuple[int, ...], ...]  # (k,) in the data set


@dataclass(frozen=True)
class VariantSplit:
    """The images that were asked for, in order, and where their pixels are."""

    paths: Sequence[str]  # (N,)
    classes: IntArray  # (N,) 0..k-1
    parts: Sequence[Part]

    @property
    def rows(self) -> IntArray:
        """(n,) those that could be read."""
        return np.concatenate([part.rows for part in self.parts]) if self.parts else np.zeros(0, np.int64)

    def reasons(self) -> list[tuple[int, str]]:
        """Rows that could not be read, and why."""
        return [pair for part in self.parts for pair in sorted(part.skipped.items())]

    @property
    def skipped(self) -> tuple[dict[str, str], ...]:
        return tuple({"path": self.paths[row], "reason": why} for row, why in self.reasons())


def write_variant(
    folder: Path,
    name: str,
    classes: VariantClasses,
    splits: Mapping[str, VariantSplit],
    shape: tuple[int, int],
    forms: Sequence[VariantForm],
    origin: Origin,
    *,
    track: Track = silent,
) -> VariantInfo:
    """Write every form of every split that has images, then variant.json.

    Args: shape: (side, channels).
    Raises: DatasetError when no image of a class can be read; OutputError when a file cannot be written.
    """
    present = {split: one for split, one in splits.items() if len(one.paths)}
    for split, one in present.items():
        _check_classes_left(split, one, classes)
    (folder / VariantInfo.NAME).unlink(missing_ok=True)  # it would describe another set
    files = _write_files(folder, classes, present, shape, forms, origin, track)
    info = VariantInfo(
        origin=origin,
        name=name,
        side=shape[0],
        channels=shape[1],
        forms=tuple(forms),
        labels=classes.labels,
        class_ids=classes.ids,
        class_names=classes.names,
        original_labels=classes.original_labels,
        num_images={split: len(one.rows) for split, one in present.items()},
        skipped={split: one.skipped for split, one in present.items()},
        files=files,
    )
    info.save(folder / VariantInfo.NAME)
    return info


def _write_files(
    folder: Path,
    classes: VariantClasses,
    present: Mapping[str, VariantSplit],
    shape: tuple[int, int],
    forms: Sequence[VariantForm],
    origin: Origin,
    track: Track,
) -> dict[str, int]:
    files: dict[str, int] = {}
    for split, one in present.items():
        _write_listing(folder / f"{split}_images.csv", one, classes)
        with track(f"Writing {split}", total=len(forms) * len(one.rows)) as advance:
            for form in forms:
                files |= FORMS[form](folder, split, one, classes, shape, origin, advance)
    return files


def _check_classes_left(split: str, one: VariantSplit, classes: VariantClasses) -> None:
    counts = np.bincount(one.classes[one.rows], minlength=len(classes.ids))
    if counts.min() == 0:
        empty = int(counts.argmin())
        reasons = [f"{one.paths[row]}: {why}" for row, why in one.reasons() if one.classes[row] == empty]
        first = f" First: {reasons[0]}" if reasons else ""
        raise DatasetError(f"class {classes.ids[empty]!r} has no readable {split} image.{first}")


def _write_listing(path: Path, one: VariantSplit, classes: VariantClasses) -> None:
    listed = ((one.classes[row], one.paths[row]) for row in one.rows.tolist())
    write_csv(path, ("label", "class_id", "path"), ((classes.labels[of], classes.ids[of], name) for of, name in listed))


def _write_batches(
    folder: Path,
    split: str,
    one: VariantSplit,
    classes: VariantClasses,
    shape: tuple[int, int],
    origin: Origin,
    advance: Advance,
    *,
    form: str,
) -> dict[str, int]:
    del shape, origin
    suffix, write = BATCHES[form]
    names, pixels = batch_names(split, suffix), StoredPixels(one.parts)
    labels = np.array(classes.labels, np.int64)[one.classes[one.rows]]
    values = len(one.parts[0].total)
    mean = np.sum([part.total for part in one.parts], axis=0) / len(pixels) if split == "train" else None
    begin, files = 0, {}
    for name, end in zip(names, batch_ends(len(pixels), len(names)), strict=True):
        with write_whole(folder / name) as temporary:
            with temporary.open("wb") as file:
                write(file, (end - begin, values), pixels.blocks(begin, end), labels[begin:end], mean)
            files[name] = temporary.stat().st_size
        advance(end - begin)
        begin = end
    return files


def _write_beton(
    folder: Path,
    split: str,
    one: VariantSplit,
    classes: VariantClasses,
    shape: tuple[int, int],
    origin: Origin,
    advance: Advance,
) -> dict[str, int]:
    target = folder / f"{split}.beton"
    labels, side = one.classes[one.rows], shape[0]
    target.with_suffix(".json").unlink(missing_ok=True)
    size, digest = write_pixels(target, StoredPixels(one.parts), labels, side, advance)
    BetonInfo(
        origin=origin,
        split=split,
        num_images=len(labels),
        class_ids=classes.ids,
        class_names=classes.names,
        original_labels=classes.original_labels,
        images_per_class=tuple(np.bincount(labels, minlength=len(classes.ids)).tolist()),
        stored={"raw pixels": len(labels)},
        skipped=one.skipped,
        max_width=side,
        max_height=side,
        bytes=size,
        digest=digest,
    ).save(target.with_suffix(".json"))
    return {target.name: size}


# Each writes the files of a split into the folder of the set, and gives their names and sizes, bytes.
Writer: TypeAlias = Callable[
    [Path, str, VariantSplit, VariantClasses, tuple[int, int], Origin, Advance], Mapping[str, int]
]
FORMS: Registry[Writer] = Registry(
    {**{form: partial(_write_batches, form=form) for form in BATCHES}, "beton": _write_beton}
)
