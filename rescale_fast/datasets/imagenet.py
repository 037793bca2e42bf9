"""ImageNet-1k (ILSVRC 2012) as people have it: sorted into folders, flat with a list of labels, or Kaggle's.

The label of a class is its rank among the sorted wnids, as torchvision and timm have it. Layouts: train/<wnid>/* and
val/<wnid>/* (torchvision's, Caffe's and NVIDIA's instructions); val/ or validation/ flat, labelled by one of the lists
in imagenet_labels.py; all of that below ILSVRC/Data/CLS-LOC (Kaggle).
"""

import csv
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from rescale_fast.datasets.folder import check_root, describe, flat_images, folder_names, list_flat, list_images, no_val
from rescale_fast.datasets.imagenet_labels import KNOWN_IMAGES, find_labels, stem
from rescale_fast.datasets.layout import find_split, is_flat, match_folders
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import DatasetError

BASES = ("", "ILSVRC/Data/CLS-LOC/", "Data/CLS-LOC/")
TITLE = "ImageNet-1k (named by their wnids)"


@cache
def imagenet_classes() -> dict[str, str]:
    """wnid -> name for people, in label order (sorted wnids). Names as torchvision's weights list them."""
    table = files("rescale_fast.datasets").joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    return dict(csv.reader(table.splitlines()[1:]))


@cache
def devkit_order() -> tuple[str, ...]:
    """(1000,) wnids in the order of ILSVRC 2012's devkit, whose ids begin with 1 (map_clsloc.txt of ILSVRC)."""
    return tuple(files("rescale_fast.datasets").joinpath("imagenet_devkit_order.txt").read_text().split())


def open_imagenet(root: Path) -> Dataset:
    """List ImageNet at `root`.

    Raises: DatasetError saying what was looked for, what was found and what to do.
    """
    check_root(root)
    train = find_split(root, [f"{base}train" for base in BASES])
    val = find_split(root, [f"{base}{name}" for base in BASES for name in ("val", "validation")])
    if val is None:
        raise no_val(root, ", in validation/ and below ILSVRC/Data/CLS-LOC/ too")
    splits, layout = {}, []
    if train is not None:
        splits["train"] = _list_folders(root, train)
        layout.append(f"{train}/<wnid>")
    if is_flat(root, val):
        splits["val"], labelled_by = _list_flat(root, val)
        layout.append(f"{val}/ labelled by {labelled_by}")
    else:
        splits["val"] = _list_folders(root, val)
        layout.append(f"{val}/<wnid>")
    _check_known(root / val, splits["val"])
    classes = imagenet_classes()
    return Dataset(
        "imagenet", "imagenet", root, tuple(classes), tuple(classes.values()), splits, layout=", ".join(layout)
    )


def _list_folders(root: Path, relative: str) -> ImageList:
    folder = root / relative
    names = folder_names(folder)
    if names and all(name.isdigit() for name in names):
        raise DatasetError(
            f"{folder}: its folders are numbers ({describe(folder)}), not wnids. Numbers count classes in the "
            "devkit's order, which is not the order of networks' outputs; rename the folders to wnids."
        )
    matched = match_folders(folder, names, list(imagenet_classes()), _wnid_in, TITLE)
    return list_images(root, [f"{relative}/{name}" for name in matched])


def _wnid_in(name: str) -> str | None:
    """The class of a folder called n01440764, n01440764_tench, "n01440764 - tench" and the like."""
    found = re.match(r"n\d{8}(?!\d)", name)
    return found[0] if found and found[0] in imagenet_classes() else None


def _list_flat(root: Path, relative: str) -> tuple[ImageList, str]:
    wnids = list(imagenet_classes())
    source, labels = find_labels(root, root / relative, flat_images(root / relative), wnids)
    return list_flat(root, relative, labels, wnids, source), source.name


def _check_known(folder: Path, images: ImageList) -> None:
    """Two images whose class is known tell whether labels are in the order that was thought."""
    wnids = list(imagenet_classes())
    for path, label in zip(images.paths, images.labels, strict=True):
        known = KNOWN_IMAGES.get(stem(path.rpartition("/")[2]))
        if known is not None and known != wnids[label]:
            raise DatasetError(
                f"{folder}: {path} is labelled {wnids[label]}, but that image is a {known} "
                f"({imagenet_classes()[known]}). The labels are in another order than their names say, or of "
                "another set. Use the list that came with the images."
            )
