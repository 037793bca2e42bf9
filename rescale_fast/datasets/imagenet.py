"""ImageNet-1k (ILSVRC 2012) or a part of it, as people have it: in class folders, flat with a list, or Kaggle's.

The order of classes is that of the sorted wnids, as torchvision and timm have it. Layouts: train/<wnid>/* and
val/<wnid>/* (torchvision's, Caffe's and NVIDIA's instructions); val/ or validation/ flat, labelled by one of the lists
in imagenet_labels.py; all of that below ILSVRC/Data/CLS-LOC (Kaggle); Tiny ImageNet's val/images; class folders
without splits, named by wnids or, as in ImageNetV2, by numbers 0 to 999.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from rescale_fast.datasets.imagenet_labels import KNOWN_IMAGES, find_labels, stem
from rescale_fast.datasets.layout import (
    Split,
    a_part,
    annotated,
    check_root,
    class_folders,
    find_split,
    is_flat,
    make_dataset,
    match_folders,
    no_val,
)
from rescale_fast.datasets.listing import ClassImages, describe, list_flat, list_folders, look_into
from rescale_fast.datasets.published import devkit_order, imagenet_classes
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import DatasetError

__all__ = ["devkit_order", "imagenet_classes", "open_imagenet"]

BASES = ("", "ILSVRC/Data/CLS-LOC/", "Data/CLS-LOC/", "CLS-LOC/")
TRAIN = ("train", "ILSVRC2012_img_train")
VAL = ("val", "validation", "ILSVRC2012_img_val")
TITLE = "ImageNet-1k (named by their wnids)"


def open_imagenet(root: Path) -> Dataset:
    """List ImageNet at `root`; of its 1,000 classes those that are there.

    Raises: DatasetError saying what was looked for, what was found and what to do.
    """
    check_root(root)
    train = find_split(root, [f"{base}{name}" for base in BASES for name in TRAIN])
    val = find_split(root, [f"{base}{name}" for base in BASES for name in VAL])
    if val is None:
        names = class_folders(root, "")
        if train is not None or not names or not all(name.isdecimal() or _wnid_in(name) for name in names):
            raise no_val(root, ", in validation/ and below ILSVRC/Data/CLS-LOC/ too")
        listed, folders = _list_folders(root, "", names)
        splits = {"val": Split(listed, f"{folders} without splits, all of it val")}
    else:
        splits = {"train": _open_folders(root, train)} if train is not None else {}
        splits["val"] = _open_val(root, val)
    listed = splits["val"].listed
    _check_known(root, listed)
    classes = imagenet_classes()
    part = a_part(listed.class_ids, list(classes))
    name = f"imagenet-{len(listed.class_ids)}" if part else "imagenet"
    return make_dataset("imagenet", name, root, splits, classes.__getitem__, *part)


def _open_val(root: Path, val: str) -> Split:
    tiny = annotated(root, val)
    if tiny is not None:
        _check_wnids(root / val, tiny.class_ids)
        return Split(tiny, f"{val}/images labelled by val_annotations.txt")
    found = look_into(root / val, val)
    if not is_flat(root / val, found):
        return _open_folders(root, val)
    source, labels, more = find_labels(root, root / val, found.images, list(imagenet_classes()))
    lacks = f", which lists {more:,} more" if more else ""
    return Split(list_flat(root, val, found, labels, source), f"{val}/ labelled by {source.name}{lacks}")


def _open_folders(root: Path, relative: str) -> Split:
    listed, folders = _list_folders(root, relative, class_folders(root, relative))
    return Split(listed, f"{relative}/{folders}")


def _list_folders(root: Path, relative: str, names: Sequence[str]) -> tuple[ClassImages, str]:
    """The images, and how the folders are named, for people."""
    folder = root / relative
    if names and all(name.isdecimal() for name in names):
        folder_of = match_folders(folder, names, _numbered(folder, names), TITLE)
        return list_folders(root, relative, folder_of), "<0 to 999, sorted wnids>"
    folder_of = match_folders(folder, names, _wnid_in, TITLE)
    return list_folders(root, relative, folder_of), "<wnid>"


def _numbered(folder: Path, names: Sequence[str]) -> Callable[[str], str | None]:
    """The class of a folder called 0 to 999. Numbers from 1 on may be the devkit's, in another order: refused."""
    if sorted(map(int, names)) != list(range(1000)):
        raise DatasetError(
            f"{folder}: its folders are numbers ({describe(folder)}), not wnids, and not ImageNetV2's 0 to 999. "
            "Numbers from 1 on count classes in the devkit's order, which is not the order of networks' outputs; "
            "rename the folders to wnids."
        )
    wnids = list(imagenet_classes())
    return lambda name: wnids[int(name)]


def _wnid_in(name: str) -> str | None:
    """The class of a folder called n01440764, n01440764_tench, "n01440764 - tench" and the like."""
    found = re.match(r"n\d{8}(?!\d)", name)
    return found[0] if found and found[0] in imagenet_classes() else None


def _check_wnids(folder: Path, class_ids: Sequence[str]) -> None:
    unknown = [class_id for class_id in class_ids if class_id not in imagenet_classes()]
    if unknown:
        raise DatasetError(f"{folder}: {unknown[0]!r} is no class of {TITLE}. Pass --dataset folder for other classes.")


def _check_known(root: Path, listed: ClassImages) -> None:
    """Two images whose class is known tell whether labels are in the order that was thought."""
    for path, label in zip(listed.images.paths, listed.images.labels, strict=True):
        known, wnid = KNOWN_IMAGES.get(stem(path.rpartition("/")[2])), listed.class_ids[label]
        if known is not None and known != wnid:
            raise DatasetError(
                f"{root}: {path} is labelled {wnid}, but that image is a {known} "
                f"({imagenet_classes()[known]}). The labels are in another order than their names say, or of "
                "another set. Use the list that came with the images."
            )
