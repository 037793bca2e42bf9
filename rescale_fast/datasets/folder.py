"""Any ImageFolder tree: train/<class>/*, val/<class>/*. The split train may be missing; val may not."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import DatasetError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
SPLITS = ("train", "val")


def open_folder(root: Path) -> Dataset:
    """List an ImageFolder tree: class id = folder name, classes sorted by it, images sorted by name.

    Hidden files and files without an image suffix are left out; images in folders below a class's folder
    belong to the class, as torchvision's ImageFolder has it.

    Raises: DatasetError for a missing folder or split, an empty class folder, or classes that differ
        between the splits.
    """
    splits = {split: root / split for split in SPLITS if (root / split).is_dir()}
    check_splits(root, splits)
    class_ids = {split: list_classes(folder) for split, folder in splits.items()}
    if "train" in class_ids:
        _check_same_classes(root, class_ids["train"], class_ids["val"])
    return make_dataset("folder", root.name, root, class_ids["val"], class_ids["val"])


def make_dataset(kind: str, name: str, root: Path, class_ids: Sequence[str], class_names: Sequence[str]) -> Dataset:
    """List the images of known class folders below train/ and val/."""
    return Dataset(
        name=name,
        kind=kind,
        root=root,
        class_ids=tuple(class_ids),
        class_names=tuple(class_names),
        splits={split: list_images(root, split, class_ids) for split in SPLITS if (root / split).is_dir()},
    )


def check_splits(root: Path, splits: dict[str, Path]) -> None:
    """Raise DatasetError unless `root` is a folder with at least a val split."""
    if not root.exists():
        raise DatasetError(f"{root}: no such folder. Pass the folder that holds train/ and val/ as --root.")
    if not root.is_dir():
        raise DatasetError(f"{root}: is a file. Pass the folder that holds train/ and val/ as --root.")
    if "val" not in splits:
        raise DatasetError(
            f"{root}: looked for val/<class>/* (and train/<class>/*), found {describe(root)}. "
            "Pass the folder above val/ as --root; if the split has another name, link it: "
            f"ln -s NAME {root / 'val'}"
        )


def describe(folder: Path, limit: int = 6) -> str:
    """What a folder holds, for messages: its first names and how many there are."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in os.scandir(folder))
    if not names:
        return "an empty folder"
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def list_classes(split_folder: Path) -> list[str]:
    """Sorted names of the class folders of a split. Raises: DatasetError when there are fewer than two."""
    names = sorted(
        entry.name for entry in os.scandir(split_folder) if entry.is_dir() and not entry.name.startswith(".")
    )
    if len(names) < 2:
        raise DatasetError(
            f"{split_folder}: found {len(names)} class folders ({describe(split_folder)}), "
            "expected one folder a class, at least two."
        )
    return names


def list_images(root: Path, split: str, class_ids: Sequence[str]) -> ImageList:
    """List <split>/<class id>/** in order of class and path.

    Raises: DatasetError naming the first class folder that is missing or holds no image.
    """
    paths: list[str] = []
    counts: list[int] = []
    for class_id in class_ids:
        folder = root / split / class_id
        found = sorted(_images_below(folder, f"{split}/{class_id}")) if folder.is_dir() else []
        if not found:
            what = f"holds {describe(folder)}, no image" if folder.is_dir() else "does not exist"
            raise DatasetError(
                f"{folder}: {what}; each class needs images in {split}/. "
                f"Looked for files ending in {', '.join(IMAGE_SUFFIXES)}. "
                "Add the missing images, or remove the class from every split."
            )
        paths += found
        counts.append(len(found))
    return ImageList(tuple(paths), np.repeat(np.arange(len(class_ids)), counts))


def _images_below(folder: Path, prefix: str) -> list[str]:
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                found += _images_below(Path(entry.path), f"{prefix}/{entry.name}")
            elif entry.name.lower().endswith(IMAGE_SUFFIXES):
                _check_name(entry)
                found.append(f"{prefix}/{entry.name}")
    return found


def _check_name(entry: "os.DirEntry[str]") -> None:
    try:
        entry.name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DatasetError(
            f"{os.fsencode(entry.path)!r}: the file's name is not UTF-8. Rename it (convmv does whole folders)."
        ) from error


def _check_same_classes(root: Path, train: list[str], val: list[str]) -> None:
    only_train, only_val = sorted(set(train) - set(val)), sorted(set(val) - set(train))
    if only_train or only_val:
        example = only_train[0] if only_train else only_val[0]
        raise DatasetError(
            f"{root}: train/ has {len(train):,} classes, val/ has {len(val):,}; {len(only_train):,} are in train/ "
            f"alone and {len(only_val):,} in val/ alone, {example!r} first. Both splits need the same classes."
        )
