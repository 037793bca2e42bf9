"""Places365-Standard as people have it: easy-format, torchvision's folders, or the archives as they unpack.

Class ids are the easy-format folder names, such as `apartment_building-outdoor`; sorted, they are in the order
of the labels of categories_places365.txt (CSAILVision/places365). Layouts:

- places365_standard/{train,val}/<class>/*
- train: data_256_standard/, data_large_standard/ (torchvision.datasets.Places365), data_256/ or data_large/ (the
  archives), all of them nested: a/airfield/*, a/apartment_building/outdoor/*
- val: val_256/ or val_large/, its images side by side, labelled by places365_val.txt
"""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from rescale_fast.datasets.folder import check_root, folder_names, list_flat, list_images, no_val
from rescale_fast.datasets.layout import find_split, is_flat, match_folders
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import DatasetError
from rescale_fast.reading import read_lines

BASES = ("", "places365_standard/")
TRAIN = ("train", "data_256_standard", "data_large_standard", "data_256", "data_large")
VAL = ("val", "val_256", "val_large")
LABELS = "places365_val.txt"
CATEGORIES = "categories_places365.txt"
FOLDERS = ("", "filelist_places365-standard", "places365_standard", "../filelist_places365-standard")


@cache
def places365_classes() -> tuple[str, ...]:
    """The 365 class ids, in label order."""
    table = files("rescale_fast.datasets").joinpath("places365_classes.txt").read_text(encoding="utf-8")
    return tuple(table.split())


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
    """List Places365 at `root`.

    Raises: DatasetError saying what was looked for, what was found and what to do.
    """
    check_root(root)
    train = find_split(root, [f"{base}{name}" for base in BASES for name in TRAIN])
    val = find_split(root, [f"{base}{name}" for base in BASES for name in VAL])
    if val is None:
        raise no_val(root, ", val_256/ and val_large/")
    splits, layout = {}, []
    if train is not None:
        splits["train"], how = _list_folders(root, train)
        layout.append(how)
    if is_flat(root, val):
        source = _find(root, LABELS)
        if source is None:
            raise DatasetError(
                f"{root / val}: its images lie side by side, and {LABELS} is not in {root}, nor in its "
                "filelist_places365-standard/. Unpack filelist_places365-standard.tar there."
            )
        splits["val"] = list_flat(root, val, _read_labels(root, source), places365_classes(), source)
        layout.append(f"{val}/ labelled by {LABELS}")
    else:
        splits["val"], how = _list_folders(root, val)
        layout.append(how)
    names = tuple(display_name(class_id) for class_id in places365_classes())
    return Dataset("places365", "places365", root, places365_classes(), names, splits, layout=", ".join(layout))


def _list_folders(root: Path, relative: str) -> tuple[ImageList, str]:
    folder = root / relative
    names = folder_names(folder)
    nested = bool(names) and all(len(name) == 1 for name in names)
    if nested:
        names = _nested_names(folder, names)
    matched = match_folders(folder, names, places365_classes(), class_id_of, "Places365-Standard")
    how = f"{relative}/<letter>/<class>" if nested else f"{relative}/<class>"
    return list_images(root, [f"{relative}/{name}" for name in matched]), how


def _nested_names(folder: Path, letters: list[str]) -> list[str]:
    """`a/airfield`, `a/apartment_building/outdoor`: one more level where the class has a qualifier."""
    qualified = {class_id.partition("-")[0] for class_id in places365_classes() if "-" in class_id}
    names = []
    for letter in letters:
        for base in folder_names(folder / letter):
            inner = folder_names(folder / letter / base) if base in qualified else []
            names += [f"{letter}/{base}/{qualifier}" for qualifier in inner] or [f"{letter}/{base}"]
    return names


def _find(root: Path, name: str) -> Path | None:
    return next((root / place / name for place in FOLDERS if (root / place / name).is_file()), None)


def _read_labels(root: Path, source: Path) -> dict[str, int]:
    """Read lines of `Places365_val_00000001.jpg 165`, after a look at the order of the categories beside them."""
    categories = _find(root, CATEGORIES)
    if categories is not None:
        for number, line in enumerate(read_lines(categories)):
            name, _, label = line.strip().rpartition(" ")
            if number >= len(places365_classes()) or [class_id_of(name), label] != [
                places365_classes()[number],
                str(number),
            ]:
                raise DatasetError(f"{categories}: line {number + 1} is {line!r}, which is not Places365-Standard's.")
    labels = {}
    for number, line in enumerate(read_lines(source)):
        name, _, label = line.strip().rpartition(" ")
        if not label.isdigit() or int(label) >= len(places365_classes()):
            raise DatasetError(f"{source}: line {number + 1} is {line!r}, expected a file name and a class, 0 to 364.")
        labels[name.strip().rpartition("/")[2]] = int(label)
    return labels
