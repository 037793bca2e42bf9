"""ImageNet-1k (ILSVRC 2012) in its common layout: train/<wnid>/*.JPEG, val/<wnid>/*.JPEG.

The label of a class is its rank among the sorted wnids, as torchvision and timm have it.
"""

import csv
from functools import cache
from importlib.resources import files
from pathlib import Path

from rescale_fast.datasets.folder import SPLITS, check_splits, describe, list_classes, make_dataset
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import DatasetError


@cache
def imagenet_classes() -> dict[str, str]:
    """wnid -> name for people, in label order (sorted wnids). Names as torchvision's weights list them."""
    table = files("rescale_fast.datasets").joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    return dict(csv.reader(table.splitlines()[1:]))


def open_imagenet(root: Path) -> Dataset:
    """List ImageNet at `root`.

    Raises: DatasetError saying what was looked for, what was found and what to do.
    """
    splits = {split: root / split for split in SPLITS if (root / split).is_dir()}
    check_splits(root, splits)
    classes = imagenet_classes()
    for folder in splits.values():
        _check_wnids(folder, set(classes))
    return make_dataset("imagenet", "imagenet", root, list(classes), list(classes.values()))


def _check_wnids(folder: Path, wnids: set[str]) -> None:
    if not any(entry.is_dir() for entry in folder.iterdir()):
        raise DatasetError(
            f"{folder}: found no class folder, only {describe(folder)}. The images must be sorted into one "
            "folder a wnid (val/n01440764/ILSVRC2012_val_00000293.JPEG); PyTorch's ImageNet instructions "
            "(valprep.sh) do that."
        )
    found = set(list_classes(folder))
    unknown, missing = sorted(found - wnids), sorted(wnids - found)
    if found and all(name.isdigit() for name in found):
        raise DatasetError(
            f"{folder}: its folders are numbers ({describe(folder)}), not wnids. Numbers count classes in the "
            "devkit's order, which is not the order of networks' outputs; rename the folders to wnids."
        )
    if unknown or missing:
        example = unknown[0] if unknown else missing[0]
        raise DatasetError(
            f"{folder}: expected the 1,000 wnid folders of ImageNet-1k, found {len(found):,} folders: "
            f"{len(unknown):,} unknown, {len(missing):,} missing, {example!r} first. "
            "For a part of ImageNet, or other classes, pass --dataset folder and --weights FILE."
        )
