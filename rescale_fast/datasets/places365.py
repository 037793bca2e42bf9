"""Places365-Standard as people have it: easy-format, torchvision's folders, or the archives as they unpack.

Class ids are the easy-format folder names, such as `apartment_building-outdoor`; sorted, they are in the order
of the labels of categories_places365.txt (CSAILVision/places365). Layouts:

- places365_standard/{train,val}/<class>/*
- train: data_256_standard/, data_large_standard/ and the same with _challenge (torchvision.datasets.Places365),
  data_256/ or data_large/ (the archives), all of them nested: a/airfield/*, a/apartment_building/outdoor/*
- val: val_256/ or val_large/, its images side by side, labelled by places365_val.txt
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from rescale_fast.datasets.layout import (
    Split,
    a_part,
    check_root,
    class_folders,
    find_split,
    is_flat,
    make_dataset,
    match_folders,
    no_val,
    read_list,
)
from rescale_fast.datasets.listing import list_flat, list_folders, look_into
from rescale_fast.datasets.published import places365_classes
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import DatasetError

BASES = ("", "places365_standard/")
TRAIN = {size: [f"data_{size}{which}" for which in ("_standard", "_challenge", "")] for size in ("256", "large")}
VAL = {size: [f"val_{size}"] for size in TRAIN}
LABELS = "places365_val.txt"
CATEGORIES = "categories_places365.txt"
LISTS = ("filelist_places365-standard", "filelist_places365-challenge")
FOLDERS = ("", *LISTS, "places365_standard", *(f"../{name}" for name in LISTS), "meta")


def display_name(class_id: str) -> str:
    """`apartment_building-outdoor` -> `apartment building (outdoor)`."""
    base, _, qualifier = class_id.replace("_", " ").partition("-")
    return f"{base} ({qualifier})" if qualifier else base


def class_id_of(spelling: str) -> str | None:
    """The class id of any spelling of a class; None for what is none.

    `apartment_building-outdoor`, `/a/apartment_building/outdoor`, `apartment_building_outdoor` and
    `apartment building (outdoor)` are one class.
    """
    without_letter = re.sub(r"^/?[a-z]/", "", spelling)
    return _ids_by_key().get(_key(without_letter))


@cache
def _ids_by_key() -> dict[str, str]:
    return {_key(class_id): class_id for class_id in places365_classes()}


def _key(spelling: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", spelling.lower()).strip("_")


def open_places365(root: Path) -> Dataset:
    """List Places365 at `root`; of its 365 classes those that are there.

    Raises: DatasetError saying what was looked for, what was found and what to do.
    """
    check_root(root)
    train, val = _find_splits(root)
    if val is None:
        raise no_val(root, ", val_256/ and val_large/")
    splits = {"train": _open_folders(root, train)} if train is not None else {}
    found = look_into(root / val, val)
    if is_flat(root / val, found):
        source = _find(root, LABELS)
        if source is None:
            raise DatasetError(
                f"{root / val}: its images lie side by side, and {LABELS} is not in {root}, nor in its "
                "filelist_places365-standard/. Unpack filelist_places365-standard.tar there."
            )
        labels = _read_labels(root, source)
        more = len(labels.keys() - set(found.images))
        lacks = f", which lists {more:,} more" if more else ""
        splits["val"] = Split(list_flat(root, val, found, labels, source), f"{val}/ labelled by {LABELS}{lacks}")
    else:
        splits["val"] = _open_folders(root, val)
    part = a_part(splits["val"].listed.class_ids, places365_classes())
    name = f"places365-{len(splits['val'].listed.class_ids)}" if part else "places365"
    return make_dataset("places365", name, root, splits, display_name, *part)


def _find_splits(root: Path) -> tuple[str | None, str | None]:
    """Folders of train and val. Where images lie in two sizes, that of which both splits are there, or else 256 px."""

    def find(names: Sequence[str]) -> str | None:
        return find_split(root, [f"{base}{name}" for base in BASES for name in names])

    sizes = sorted(TRAIN, key=lambda size: not (find(TRAIN[size]) and find(VAL[size])))
    train = next(filter(None, (find(TRAIN[size]) for size in sizes)), None)
    val = next(filter(None, (find(VAL[size]) for size in sizes)), None)
    return find(["train", *([train] if train else [])]), find(["val", *([val] if val else [])])


def _open_folders(root: Path, relative: str) -> Split:
    names = class_folders(root, relative)
    nested = bool(names) and all(len(name) == 1 for name in names)
    if nested:
        names = _nested_names(root / relative, names)
    folder_of = match_folders(root / relative, names, class_id_of, "Places365-Standard")
    how = f"{relative}/<letter>/<class>" if nested else f"{relative}/<class>"
    return Split(list_folders(root, relative, folder_of), how)


def _nested_names(folder: Path, letters: list[str]) -> list[str]:
    """`a/airfield`, `a/apartment_building/outdoor`: one more level where the class has a qualifier."""
    qualified = {class_id.partition("-")[0] for class_id in places365_classes() if "-" in class_id}
    names = []
    for letter in letters:
        for base in look_into(folder / letter, letter).class_folders():
            at = f"{letter}/{base}"
            inner = look_into(folder / at, at).class_folders() if base in qualified else []
            names += [f"{at}/{qualifier}" for qualifier in inner] or [at]
    return names


def _find(root: Path, name: str) -> Path | None:
    return next((root / place / name for place in FOLDERS if (root / place / name).is_file()), None)


def _read_labels(root: Path, source: Path) -> dict[str, str]:
    """Read lines of `Places365_val_00000001.jpg 165`, after a look at the order of the categories beside them."""
    class_ids = places365_classes()
    categories = _find(root, CATEGORIES)
    for number, line in enumerate(read_list(categories) if categories is not None else ()):
        name, _, label = line.strip().rpartition(" ")
        if number >= len(class_ids) or [class_id_of(name), label] != [class_ids[number], str(number)]:
            raise DatasetError(f"{categories}: line {number + 1} is {line!r}, which is not Places365-Standard's.")
    of_label = {str(label): class_id for label, class_id in enumerate(class_ids)}
    labels = {}
    for number, line in enumerate(read_list(source)):
        name, _, label = line.strip().rpartition(" ")
        if label not in of_label:
            raise DatasetError(f"{source}: line {number + 1} is {line!r}, expected a file name and a class, 0 to 364.")
        labels[name.strip().rpartition("/")[2]] = of_label[label]
    return labels
