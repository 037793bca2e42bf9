"""Places365-Standard in its easy-format layout: train/<class>/*.jpg, val/<class>/*.jpg.

Class ids are the easy-format folder names, such as `apartment_building-outdoor`; sorted, they are in the order
of the labels of categories_places365.txt (CSAILVision/places365).
"""

from functools import cache
from importlib.resources import files
from pathlib import Path

from rescale_fast.datasets.folder import SPLITS, check_splits, describe, list_classes, make_dataset
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import DatasetError


@cache
def places365_classes() -> tuple[str, ...]:
    """The 365 class ids, in label order."""
    table = files("rescale_fast.datasets").joinpath("places365_classes.txt").read_text(encoding="utf-8")
    return tuple(table.split())


def display_name(class_id: str) -> str:
    """`apartment_building-outdoor` -> `apartment building (outdoor)`."""
    base, _, qualifier = class_id.replace("_", " ").partition("-")
    return f"{base} ({qualifier})" if qualifier else base


def open_places365(root: Path) -> Dataset:
    """List Places365 at `root`.

    Raises: DatasetError saying what was looked for, what was found and what to do.
    """
    splits = {split: root / split for split in SPLITS if (root / split).is_dir()}
    check_splits(root, splits)
    classes = places365_classes()
    for folder in splits.values():
        _check_names(folder, set(classes))
    names = [display_name(class_id) for class_id in classes]
    return make_dataset("places365", "places365", root, classes, names)


def _check_names(folder: Path, class_ids: set[str]) -> None:
    if not any(entry.is_dir() for entry in folder.iterdir()):
        raise DatasetError(
            f"{folder}: found no class folder, only {describe(folder)}. The easy-format archive "
            "(places365standard_easyformat.tar) has one folder a class; unpack that one."
        )
    found = set(list_classes(folder))
    unknown, missing = sorted(found - class_ids), sorted(class_ids - found)
    if unknown and all(len(name) == 1 for name in found):
        raise DatasetError(
            f"{folder}: its folders are single letters ({describe(folder)}): this is the nested layout "
            "(a/airfield/). Unpack places365standard_easyformat.tar, whose folders are the 365 classes."
        )
    if unknown or missing:
        example = unknown[0] if unknown else missing[0]
        raise DatasetError(
            f"{folder}: expected the 365 class folders of Places365-Standard, found {len(found):,}: "
            f"{len(unknown):,} unknown, {len(missing):,} missing, {example!r} first. "
            "For a part of Places365, or other classes, pass --dataset folder and --weights FILE."
        )
