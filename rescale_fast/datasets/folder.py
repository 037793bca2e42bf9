"""Any ImageFolder tree: train/<class>/*, val/<class>/*; other names of the splits; or class folders alone.

Class id = folder name, classes sorted by it, images sorted by path; images in folders below a class's folder belong to
the class, as torchvision's ImageFolder has it. The split train may be missing; val may not.
"""

from pathlib import Path

from rescale_fast.datasets.layout import (
    Split,
    annotated,
    check_root,
    class_folders,
    find_split,
    make_dataset,
    no_val,
    own_classes,
)
from rescale_fast.datasets.listing import ClassImages, list_folders, look_into
from rescale_fast.datasets.types import Dataset

TRAIN = ("train", "training")
VAL = ("val", "validation", "valid")
TEST = ("test",)  # val, where there is no other


def open_folder(root: Path) -> Dataset:
    """List an ImageFolder tree at `root`. Tiny ImageNet's val/images is labelled by its val_annotations.txt.

    Raises: DatasetError for a missing folder or split, an empty class folder, or classes that differ
        between the splits.
    """
    check_root(root)
    train, val = find_split(root, TRAIN), find_split(root, VAL) or find_split(root, TEST)
    if val is None:
        if train is not None or not _is_split(root):
            raise no_val(root, f"; and for {', '.join(VAL[1:] + TEST)} as val")
        splits = {"val": Split(_list(root, ""), "<class> without splits, all of it val")}
    else:
        splits = {"train": Split(_list(root, train), f"{train}/<class>")} if train is not None else {}
        splits["val"] = _open_val(root, val)
    return make_dataset("folder", root.name, root, splits, str)


def _open_val(root: Path, val: str) -> Split:
    tiny = annotated(root, val)
    if tiny is not None:
        return Split(tiny, f"{val}/images labelled by val_annotations.txt")
    return Split(_list(root, val), f"{val}/<class>" if val == "val" else f"{val}/<class> as val")


def _list(root: Path, split: str) -> ClassImages:
    return list_folders(root, split, own_classes(root / split, class_folders(root, split)))


def _is_split(root: Path) -> bool:
    """Whether these are the class folders of a data set without splits: two or more, each with images of its own."""
    found = look_into(root, "")
    return (
        len(found.folders + found.links) > 1
        and not found.images
        and all(look_into(root / name, name).images for name in found.class_folders())
    )
