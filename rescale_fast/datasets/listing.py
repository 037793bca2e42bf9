"""What lies in a folder: images, folders, and what is left out and why. Knows nothing of layouts.

Left out, counted and said: hidden files (macOS's `._x.jpg` among them), files without an image suffix, names that are
not UTF-8 (no artifact could hold them), what is no file (a pipe would be read for ever), links that lead in a circle.
A link that leads nowhere is listed, as what it leads to may come back: its reader says what is wrong with it.
"""

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rescale_fast.datasets.types import ImageList, LeftOut
from rescale_fast.errors import DatasetError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")  # as torchvision's
SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found")  # of archivers, file servers, file systems
HIDDEN, NO_SUFFIX, NOT_UTF8 = "hidden", "without a suffix", "not named in UTF-8"
CIRCLE, ABOVE, TWICE = "linked in a circle", "linked to a folder above", "linked to a folder already listed"
NO_FILE, BESIDE = "that are no files", "beside the class folders"


@dataclass(frozen=True)
class Found:
    """What lies in one folder itself. Names; `left_out` as in ImageList."""

    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)  # to folders elsewhere
    images: list[str] = field(default_factory=list)
    left_out: dict[str, LeftOut] = field(default_factory=dict)

    def class_folders(self) -> list[str]:
        """Sorted names of the folders, linked ones as well."""
        return sorted(self.folders + self.links)


@dataclass(frozen=True)
class ClassImages:
    """The images of one split and the classes that they are of."""

    class_ids: tuple[str, ...]  # (K,) sorted
    images: ImageList


def look_into(folder: str | Path, relative: str) -> Found:
    """List one folder, in no order. relative: its path below the root, which paths in `left_out` begin with."""
    found = Found()
    images = found.images
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            try:
                if name.lower().endswith(IMAGE_SUFFIXES) and name[0] != "." and is_utf8(name) and entry.is_file():
                    images.append(name)  # first, as nearly all are
                    continue
                reason = _sort_in(entry, found)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                reason = CIRCLE
            if reason is not None:
                _count(found.left_out, reason, below(relative, name))
    return found


def _sort_in(entry: "os.DirEntry[str]", found: Found) -> str | None:
    """Put what is no plain image file where it belongs, or say why it is left out."""
    name = entry.name
    if name.startswith(".") or name in SYSTEM_FOLDERS:
        return HIDDEN
    if entry.is_dir():
        if not entry.is_symlink():
            found.folders.append(name)
        elif _is_above(os.path.realpath(entry.path), os.path.realpath(Path(entry.path).parent)):
            return ABOVE
        else:
            found.links.append(name)
        return None
    if not name.lower().endswith(IMAGE_SUFFIXES):
        return shown(name[name.rindex(".") :].lower()) if "." in name else NO_SUFFIX
    if not is_utf8(name):
        return NOT_UTF8
    if Path(entry.path).exists():
        return NO_FILE
    found.images.append(name)  # a link that leads nowhere
    return None


def _is_above(target: str, folder: str) -> bool:
    return f"{folder}/".startswith(target.rstrip("/") + "/")


def images_below(folder: str, relative: str) -> Found:
    """The images in a folder and in those below it, sorted, as paths that begin with `relative`.

    Links are followed, but no folder is listed twice; what lies in the folder itself goes before what is linked to.
    """
    images: list[str] = []
    left_out: dict[str, LeftOut] = {}
    places, links = [(folder, relative, False)], list[tuple[str, str]]()
    entered, seen = list[str](), set[str]()
    while places or links:
        if not places:
            links.sort(key=lambda link: link[1], reverse=True)
            places.append((*links.pop(), True))
        here, prefix, is_linked = places.pop()
        if is_linked:  # the others cannot have been seen, and real paths cost time
            seen.update(map(os.path.realpath, entered))
            entered.clear()
            if os.path.realpath(here) in seen:
                _count(left_out, TWICE, prefix)
                continue
        if not is_utf8(prefix):
            _count(left_out, NOT_UTF8, prefix)
            continue
        entered.append(here)
        found = look_into(here, prefix)
        images += [f"{prefix}/{name}" for name in found.images]
        places += [(f"{here}/{name}", f"{prefix}/{name}", is_linked) for name in found.folders]
        links += [(f"{here}/{name}", f"{prefix}/{name}") for name in found.links]
        merge(left_out, found.left_out)
    return Found(images=sorted(images), left_out=left_out)


def list_folders(root: Path, split: str, folder_of: Mapping[str, str]) -> ClassImages:
    """List one folder a class, in order of class and path. folder_of: class id -> folder in `split`, itself below root.

    Raises: DatasetError naming the first class folder that is missing or holds no image.
    """
    class_ids = tuple(sorted(folder_of))
    paths: list[str] = []
    counts: list[int] = []
    beside = look_into(root / split, split) if (root / split).is_dir() else Found()
    left_out = beside.left_out
    for name in beside.images:
        _count(left_out, BESIDE, below(split, name))
    for class_id in class_ids:
        relative = below(split, folder_of[class_id])
        found = _images_of_class(f"{root}/{relative}", relative)
        paths += found.images
        counts.append(len(found.images))
        merge(left_out, found.left_out)
    labels = np.repeat(np.arange(len(class_ids)), counts)
    return ClassImages(class_ids, ImageList(tuple(paths), labels, left_out))


def _images_of_class(folder: str, relative: str) -> Found:
    with suppress(FileNotFoundError, NotADirectoryError):
        found = images_below(folder, relative)
        if found.images:
            return found
    what = f"holds {describe(Path(folder))}, no image" if Path(folder).is_dir() else "does not exist"
    raise DatasetError(
        f"{folder}: {what}; each class needs images in each split. "
        f"Looked for files ending in {', '.join(IMAGE_SUFFIXES)}. "
        "Add the missing images, or remove the class from every split."
    )


def list_flat(root: Path, relative: str, found: Found, class_of: Mapping[str, str], source: Path) -> ClassImages:
    """List a folder whose images lie side by side, in order of class and name.

    Args:
        found: what lies in it. class_of: file name -> class id. source: the file they were read from, for messages.
    Raises: DatasetError naming the first image without a class.
    """
    unknown = sorted(name for name in found.images if name not in class_of)
    if unknown:
        raise DatasetError(
            f"{root / relative}: {len(unknown):,} of {len(found.images):,} images have no label in {source}, "
            f"{unknown[0]!r} first. Is that the list of this folder?"
        )
    names = sorted(found.images, key=lambda name: (class_of[name], name))
    class_ids = tuple(sorted({class_of[name] for name in names}))
    label_of = {class_id: label for label, class_id in enumerate(class_ids)}
    labels = np.array([label_of[class_of[name]] for name in names], np.int64)
    return ClassImages(class_ids, ImageList(tuple(f"{relative}/{name}" for name in names), labels, found.left_out))


def describe(folder: Path, limit: int = 6) -> str:
    """What a folder holds, for messages: its first names and how many there are."""
    names = sorted(shown(entry.name) + ("/" if Path(entry.path).is_dir() else "") for entry in os.scandir(folder))
    if not names:
        return "an empty folder"
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def merge(into: dict[str, LeftOut], more: Mapping[str, LeftOut]) -> None:
    """Add what was left out elsewhere."""
    for reason, what in more.items():
        before = into.get(reason, LeftOut(0, what.first))
        into[reason] = LeftOut(before.count + what.count, min(before.first, what.first))


def _count(left_out: dict[str, LeftOut], reason: str, path: str) -> None:
    merge(left_out, {reason: LeftOut(1, shown(path))})


def below(relative: str, name: str) -> str:
    """`name` inside `relative`, which is "" for the root itself."""
    return f"{relative}/{name}" if relative else name


def is_utf8(name: str) -> bool:
    """Whether a name's bytes on disk are UTF-8: os.scandir gives the others back as lone surrogates."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def shown(name: str) -> str:
    """A name for people, with bytes that are not UTF-8 as \\xe9."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
