"""Finding splits among the places where people have them, and class folders under any spelling."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rescale_fast.datasets.listing import ClassImages, Found, describe, is_utf8, list_flat, look_into, shown
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import DatasetError

ANNOTATIONS = "val_annotations.txt"


@dataclass(frozen=True)
class Split:
    """A split that was found, and how it lies on disk, for people: `val/ labelled by val.txt`."""

    listed: ClassImages
    layout: str


def make_dataset(
    kind: str,
    name: str,
    root: Path,
    splits: Mapping[str, Split],
    display: Callable[[str], str],
    *notes: str,
) -> Dataset:
    """Put splits together. display: class id -> its name for people. notes: what else to say of the layout.

    Raises: DatasetError unless all splits have the same classes, two or more.
    """
    val = splits["val"].listed.class_ids
    for split, found in splits.items():
        _check_same_classes(root, (f"{split}/", found.listed.class_ids), ("val/", val))
    if len(val) < 2:
        raise DatasetError(f"{root}: all images are of one class, {val[0]!r}. Expected at least two classes.")
    return Dataset(
        name=name,
        kind=kind,
        root=root,
        class_ids=val,
        class_names=tuple(map(display, val)),
        splits={split: found.listed.images for split, found in splits.items()},
        layout=", ".join([*(found.layout for found in splits.values()), *notes]),
    )


def _check_same_classes(root: Path, one: tuple[str, Sequence[str]], other: tuple[str, Sequence[str]]) -> None:
    only_one, only_other = sorted(set(one[1]) - set(other[1])), sorted(set(other[1]) - set(one[1]))
    if only_one or only_other:
        example = only_one[0] if only_one else only_other[0]
        raise DatasetError(
            f"{root}: {one[0]} has {len(one[1]):,} classes, {other[0]} has {len(other[1]):,}; {len(only_one):,} are in "
            f"{one[0]} alone and {len(only_other):,} in {other[0]} alone, {example!r} first. "
            "Both splits need the same classes."
        )


def a_part(class_ids: Sequence[str], of: Sequence[str]) -> list[str]:
    """What to say when not all classes of a known data set are there."""
    return [f"a part: {len(class_ids):,} of the {len(of):,} classes"] if len(class_ids) < len(of) else []


def check_root(root: Path) -> None:
    """Raise DatasetError unless `root` is a folder with a name that artifacts can hold."""
    if not is_utf8(str(root)):
        raise DatasetError(f"{shown(str(root))}: its name is not UTF-8. Rename it, or link to it (ln -s).")
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


def find_split(root: Path, names: Sequence[str]) -> str | None:
    """The one of `names` (relative folders) that lies below `root`; None when none does.

    Raises: DatasetError naming two that both do, and are not one folder under two names.
    """
    found = [name for name in names if (root / name).is_dir()]
    for other in found[1:]:
        if not (root / other).samefile(root / found[0]):
            raise ambiguous(root, f"{found[0]}/", f"{other}/")
    return found[0] if found else None


def ambiguous(root: Path, first: str, second: str, how: str = "") -> DatasetError:
    """The error for two things of which only one can be meant."""
    return DatasetError(
        f"{root}: holds both {first} and {second}{how}, and either could be meant. "
        "Move one away, or make a new folder with links to what you mean (ln -s) and pass that as --root."
    )


def is_flat(folder: Path, found: Found) -> bool:
    """Whether a split's images lie side by side, rather than in class folders.

    Raises: DatasetError when it holds both, or neither.
    """
    has_folders = bool(found.class_folders())
    if has_folders and found.images:
        raise ambiguous(folder, "class folders", f"images beside them ({min(found.images)} first)")
    if not has_folders and not found.images:
        raise DatasetError(f"{folder}: holds no class folder and no image, only {describe(folder)}. Unpack it again.")
    return not has_folders


def class_folders(root: Path, split: str) -> list[str]:
    """Sorted names of a split's class folders: all that it holds, save Tiny ImageNet's images/ once it is empty."""
    names = look_into(root / split, split).class_folders()
    if (root / split / ANNOTATIONS).is_file():
        return [name for name in names if name != "images" or any((root / split / name).iterdir())]
    return names


def annotated(root: Path, val: str) -> ClassImages | None:
    """Tiny ImageNet's val: images side by side in val/images, labelled by val_annotations.txt.

    Its lines are `val_0.JPEG <tab> n03444034 <tab> box`. None when the images lie elsewhere: many sort them into
    class folders and leave that file where it was.
    """
    source, inside = root / val / ANNOTATIONS, f"{val}/images"
    if not source.is_file() or not (root / inside).is_dir():
        return None
    found = look_into(root / inside, inside)
    if not found.images:
        return None
    rows = [line.split() for line in read_list(source)]
    return list_flat(root, inside, found, {row[0]: row[1] for row in rows if len(row) > 1}, source)


def read_list(path: Path) -> list[str]:
    """The lines of a text file that are not empty. Raises: DatasetError when it is no text."""
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not readable as text ({error}). Fetch it again.") from error


def own_classes(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Class id -> folder, for folders whose names are the ids: composed Unicode, as macOS has accents decomposed.

    Raises: DatasetError for fewer than two, for a name that no list of classes can hold, or two that look the same.
    """
    if len(names) < 2:
        raise DatasetError(
            f"{folder}: found {len(names)} class folders ({describe(folder)}), "
            "expected one folder a class, at least two."
        )
    for name in names:
        if name != name.strip():
            raise DatasetError(f"{folder}: the class folder {name!r} begins or ends with a space. Rename it.")
    return _one_each(folder, names, lambda name: unicodedata.normalize("NFC", name))


def match_folders(
    folder: Path, names: Sequence[str], class_of: Callable[[str], str | None], title: str
) -> dict[str, str]:
    """Class id -> folder, for folders in any spelling of a known data set's classes. title: of it, for messages.

    Raises: DatasetError for unknown classes, or two folders of one class, naming both.
    """
    unknown = [name for name in names if class_of(name) is None]
    if unknown or not names:
        found = f"{len(names):,} folders, {len(unknown):,} of them unknown, {unknown[0]!r} first" if unknown else None
        raise DatasetError(
            f"{folder}: expected class folders of {title}, found {found or describe(folder)}. "
            "Take what is no class of it away; for other classes, pass --dataset folder and --weights FILE."
        )
    return _one_each(folder, names, lambda name: str(class_of(name)))


def _one_each(folder: Path, names: Sequence[str], class_of: Callable[[str], str]) -> dict[str, str]:
    folder_of: dict[str, str] = {}
    for name in sorted(names):
        check_name(folder, name)
        class_id = class_of(name)
        if class_id in folder_of:
            raise ambiguous(folder, f"{folder_of[class_id]}/", f"{name}/", f", both class {class_id!r}")
        folder_of[class_id] = name
    return folder_of


def check_name(folder: Path, name: str) -> None:
    """Raise DatasetError for a class folder whose name lists of classes and other files cannot hold."""
    if not is_utf8(name):
        raise DatasetError(
            f"{folder}: the name of the class folder {shown(name)!r} is not UTF-8. "
            "Rename it (convmv does whole folders)."
        )
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name):
        raise DatasetError(f"{folder}: the name of the class folder {name!r} holds a control character. Rename it.")
