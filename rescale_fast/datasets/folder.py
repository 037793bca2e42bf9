"""Any ImageFolder tree: train/<class>/*, val/<class>/*. The split train may be missing; val may not."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import DatasetError
from rescale_fast.reading import read_lines

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
SPLITS = ("train", "val")


def open_folder(root: Path) -> Dataset:
    """List an ImageFolder tree: class id = folder name, classes sorted by it, images sorted by name.

    Hidden files and files without an image suffix are left out; images in folders below a class's folder
    belong to the class, as torchvision's ImageFolder has it. A val split as Tiny ImageNet's (val/images and
    val_annotations.txt) is labelled by that file.

    Raises: DatasetError for a missing folder or split, an empty class folder, or classes that differ
        between the splits.
    """
    check_root(root)
    splits = {split: root / split for split in SPLITS if (root / split).is_dir()}
    if "val" not in splits:
        raise no_val(root)
    if (splits["val"] / "val_annotations.txt").is_file():
        return _open_annotated(root)
    class_ids = {split: list_classes(folder) for split, folder in splits.items()}
    if "train" in class_ids:
        _check_same_classes(root, class_ids["train"], class_ids["val"])
    return make_dataset("folder", root.name, root, class_ids["val"], class_ids["val"])


def _open_annotated(root: Path) -> Dataset:
    """Tiny ImageNet: lines of `val_0.JPEG <tab> n03444034 <tab> box`, images in val/images."""
    annotations = root / "val" / "val_annotations.txt"
    rows = [line.split() for line in read_lines(annotations)]
    class_of = {row[0]: row[1] for row in rows if len(row) > 1}
    classes = sorted(set(class_of.values()))
    labels = {name: classes.index(class_id) for name, class_id in class_of.items()}
    splits = {"val": list_flat(root, "val/images", labels, classes, annotations)}
    if (root / "train").is_dir():
        _check_same_classes(root, list_classes(root / "train"), classes)
        splits["train"] = list_images(root, [f"train/{class_id}" for class_id in classes])
    return Dataset(
        name=root.name,
        kind="folder",
        root=root,
        class_ids=tuple(classes),
        class_names=tuple(classes),
        splits=splits,
        layout="train/<class>, val/images labelled by val_annotations.txt",
    )


def make_dataset(kind: str, name: str, root: Path, class_ids: Sequence[str], class_names: Sequence[str]) -> Dataset:
    """List the images of known class folders below train/ and val/."""
    found = [split for split in SPLITS if (root / split).is_dir()]
    return Dataset(
        name=name,
        kind=kind,
        root=root,
        class_ids=tuple(class_ids),
        class_names=tuple(class_names),
        splits={split: list_images(root, [f"{split}/{class_id}" for class_id in class_ids]) for split in found},
        layout=", ".join(f"{split}/<class>" for split in found),
    )


def check_root(root: Path) -> None:
    """Raise DatasetError unless `root` is a folder."""
    if not root.exists():
        raise DatasetError(f"{root}: no such folder. Pass the folder that holds train/ and val/ as --root.")
    if not root.is_dir():
        raise DatasetError(f"{root}: is a file. Pass the folder that holds train/ and val/ as --root.")


def no_val(root: Path, also: str = "") -> DatasetError:
    """The error for a folder without a val split. `also`: what else was looked for."""
    return DatasetError(
        f"{root}: looked for val/<class>/* (and train/<class>/*){also}, found {describe(root)}. "
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


def folder_names(folder: Path) -> list[str]:
    """Sorted names of the folders inside `folder`, hidden ones left out."""
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))


def list_classes(split_folder: Path) -> list[str]:
    """Sorted names of the class folders of a split. Raises: DatasetError when there are fewer than two."""
    names = folder_names(split_folder)
    if len(names) < 2:
        raise DatasetError(
            f"{split_folder}: found {len(names)} class folders ({describe(split_folder)}), "
            "expected one folder a class, at least two."
        )
    return names


def list_images(root: Path, folders: Sequence[str]) -> ImageList:
    """List one folder a class, in order of class and path. folders: (K,) relative to `root`.

    Raises: DatasetError naming the first class folder that is missing or holds no image.
    """
    paths: list[str] = []
    counts: list[int] = []
    for relative in folders:
        folder = root / relative
        found = sorted(_images_below(folder, relative)) if folder.is_dir() else []
        if not found:
            what = f"holds {describe(folder)}, no image" if folder.is_dir() else "does not exist"
            raise DatasetError(
                f"{folder}: {what}; each class needs images in each split. "
                f"Looked for files ending in {', '.join(IMAGE_SUFFIXES)}. "
                "Add the missing images, or remove the class from every split."
            )
        paths += found
        counts.append(len(found))
    return ImageList(tuple(paths), np.repeat(np.arange(len(folders)), counts))


def list_flat(
    root: Path, relative: str, labels: Mapping[str, int], class_ids: Sequence[str], source: Path
) -> ImageList:
    """List a folder whose images lie side by side, in order of class and name.

    Args:
        labels: file name -> class. source: the file they were read from, for messages.
    Raises: DatasetError naming the first image without a label, or the first class without an image.
    """
    names = flat_images(root / relative)
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise DatasetError(
            f"{root / relative}: {len(unknown):,} of {len(names):,} images have no label in {source}, "
            f"{unknown[0]!r} first. Is that the list of this folder?"
        )
    names.sort(key=lambda name: (labels[name], name))
    found = np.array([labels[name] for name in names], np.int64)
    absent = np.setdiff1d(np.arange(len(class_ids)), found)
    if len(absent):
        raise DatasetError(
            f"{root / relative}: {len(absent):,} of {len(class_ids):,} classes have no image, by the labels in "
            f"{source}; {class_ids[absent[0]]!r} first. Unpack the whole archive again."
        )
    return ImageList(tuple(f"{relative}/{name}" for name in names), found)


def flat_images(folder: Path) -> list[str]:
    """Sorted names of the images that lie in `folder` itself."""
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.name.lower().endswith(IMAGE_SUFFIXES) and not entry.name.startswith(".") and not entry.is_dir()
    )


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
