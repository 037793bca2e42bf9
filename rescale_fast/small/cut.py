"""Cuts classes out of a down-sampled set: of ours, or of batch files that others made. No image is decoded.

Labels become 1..k in the order of the classes, images keep their order, and the mean image is that of the training
images that are left.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rescale_fast.artifact import Origin, file_sha256, write_whole_folder
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.files.csv_files import read_rows
from rescale_fast.small.batches import BATCHES, Batch, batch_names, read_batch, square_of
from rescale_fast.small.parts import Part, load_part, save_part
from rescale_fast.small.settings import VariantForm
from rescale_fast.small.types import VariantInfo
from rescale_fast.small.write import VariantClasses, VariantSplit, write_variant
from rescale_fast.types import IntArray, Track, silent


@dataclass(frozen=True)
class VariantSource:
    """A folder of batch files."""

    folder: Path
    classes: VariantClasses
    form: VariantForm  # "batches" or "npz"
    splits: tuple[str, ...]

    def files(self, split: str) -> list[Path]:
        return [self.folder / name for name in batch_names(split, BATCHES[self.form][0])]

    def images(self, split: str) -> list[str] | None:
        """The path of the file behind each row; None for a set that does not say."""
        listing = self.folder / f"{split}_images.csv"
        if not listing.is_file():
            return None
        return [row["path"] for row in read_rows(listing, ("path",))]


def find_batches(folder: Path, others: VariantClasses) -> VariantSource:
    """Look for batch files. others: what the labels mean when there is no variant.json.

    Raises: ArtifactError when there are none, naming what was looked for.
    """
    for form, (suffix, _) in BATCHES.items():
        splits = tuple(split for split in ("train", "val") if (folder / batch_names(split, suffix)[0]).is_file())
        if splits:
            beside = folder / VariantInfo.NAME
            classes = _classes_of(VariantInfo.load(beside)) if beside.exists() else others
            return VariantSource(folder, classes, form, splits)
    raise ArtifactError(f"{folder}: holds no batch file. Looked for train_data_batch_1, val_data, and both as .npz.")


def _classes_of(info: VariantInfo) -> VariantClasses:
    return VariantClasses(info.class_ids, info.class_names, info.labels, info.original_labels)


def cut_variant(source: VariantSource, class_ids: Sequence[str], target: Path, *, track: Track = silent) -> VariantInfo:
    """Write the images of some classes to the folder `target`, in the form that they have.

    Raises: SettingError for unknown or repeated classes, or a target that is the source; ArtifactError for a damaged
        batch file, or labels that no class has; OutputError when a file cannot be written.
    """
    if target.resolve() == source.folder.resolve():
        raise SettingError(f"--target {target}: is the set itself. Name another folder.")
    if target.exists() and not (target / VariantInfo.NAME).is_file():
        raise SettingError(f"--target {target}: exists, and is no down-sampled set. Name another folder.")
    kept = _find(source, class_ids)
    made_from = {path.name: _digest(path) for split in source.splits for path in source.files(split)}
    origin = Origin(made_from, {"classes": list(class_ids)})
    name = re.sub(r"-\d+$", "", source.folder.resolve().name) + f"-{len(kept)}"
    with write_whole_folder(target) as folder:
        splits, shape = {}, (0, 0)
        for split in source.splits:
            splits[split], shape = _cut_split(source, split, kept, folder / "parts", track)
        classes = _renumbered(source.classes, kept)
        info = write_variant(folder, name, classes, splits, shape, [source.form], origin, track=track)
        shutil.rmtree(folder / "parts")
    return info


def _renumbered(old: VariantClasses, kept: Sequence[int]) -> VariantClasses:
    return VariantClasses(
        tuple(old.ids[one] for one in kept),
        tuple(old.names[one] for one in kept),
        tuple(range(1, len(kept) + 1)),
        tuple(old.original_labels[one] for one in kept),
    )


def _digest(path: Path) -> str:
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file; the other batch files of its split are there.")
    return file_sha256(path)


def _find(source: VariantSource, class_ids: Sequence[str]) -> list[int]:
    if not class_ids:
        raise SettingError("no class is named. Name at least one.")
    place = {class_id: i for i, class_id in enumerate(source.classes.ids)}
    for i, class_id in enumerate(class_ids):
        if class_id not in place or class_id in class_ids[:i]:
            what = "is there twice" if class_id in place else f"is none of its {len(place):,} classes"
            raise SettingError(f"{source.folder}: class {class_id!r} {what}.")
    return [place[class_id] for class_id in class_ids]


def _cut_split(
    source: VariantSource, split: str, kept: list[int], folder: Path, track: Track
) -> tuple[VariantSplit, tuple[int, int]]:
    new = np.full(max(source.classes.labels) + 1, -1, np.int64)  # of a label in the files: the new class
    for at, one in enumerate(kept):
        new[source.classes.labels[one]] = at
    files, images = source.files(split), source.images(split)
    parts: list[Part] = []
    paths: list[str] = []
    found: list[IntArray] = []
    shapes: set[tuple[int, int]] = set()
    begin = 0  # row of the file's first image in the whole split
    with track(f"Cutting {split}", total=len(files), unit="files") as advance:
        for number, path in enumerate(files):
            batch = read_batch(path)
            rows = _rows_of(path, batch, source, new)
            shapes.add(square_of(path, batch.data.shape[1]))
            if len(shapes) > 1:
                raise ArtifactError(f"{path}: its images are of another size than those of {files[0].name}.")
            if images is not None and len(images) < begin + len(batch.data):
                raise ArtifactError(f"{path}: holds more images than {split}_images.csv lists.")
            paths += [images[begin + row] if images is not None else f"{path.name}:{row}" for row in rows.tolist()]
            part = folder / f"{split}-{number:06d}.npz"
            save_part(part, "", batch.data[rows], np.arange(len(paths) - len(rows), len(paths)), {})
            parts.append(load_part(part, ""))
            found.append(new[batch.labels[rows]])
            begin += len(batch.data)
            advance(1)
    if images is not None and len(images) != begin:
        raise ArtifactError(
            f"{source.folder}: {split}_images.csv lists {len(images):,} images, and there are {begin:,}."
        )
    return VariantSplit(paths, np.concatenate(found), parts), shapes.pop()


def _rows_of(path: Path, batch: Batch, source: VariantSource, new: IntArray) -> IntArray:
    """The rows of a batch whose classes are wanted."""
    unknown = np.flatnonzero(~np.isin(batch.labels, source.classes.labels))
    if len(unknown):
        raise ArtifactError(
            f"{path}: image {unknown[0]} has the label {batch.labels[unknown[0]]}, and the classes are "
            f"{min(source.classes.labels)} to {max(source.classes.labels)}. Is it of another set?"
        )
    return np.flatnonzero(new[batch.labels] >= 0)
