"""A folder for each class, as torchvision's ImageFolder and our own `--dataset folder` read it: <class id>/<file>."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rescale_fast.errors import OutputError, SettingError
from rescale_fast.export.settings import Link
from rescale_fast.export.source import SourceImage
from rescale_fast.files.images import patiently
from rescale_fast.image_subset.types import ImageSubset

FICLONE = 0x40049409  # <linux/fs.h>: share the blocks of another file until one of the two is changed
NO_SPACE = "Free some space there, or pass another --out, or `--link symlink` or `hard`, which take none."
NO_REFLINK = "That file system cannot share blocks between files (Btrfs and XFS can). Pass `--link hard`, or `copy`."
WHAT_TO_DO = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EXDEV: "It lies on another file system. Pass `--link symlink`, or `copy`.",
    errno.EMLINK: "It has as many names as its file system allows. Pass `--link symlink`, or `copy`.",
    errno.EPERM: "That file system has no such links, or you may not link files of others. Pass `--link copy`.",
    errno.EOPNOTSUPP: NO_REFLINK,
    errno.ENOTTY: NO_REFLINK,
    errno.EINVAL: NO_REFLINK,
}


def write_folder(
    target: Path,
    images: Iterator[SourceImage],
    subset: ImageSubset,
    link: Link,
) -> None:
    """Put each image into the folder of its class, under its own name (with its row where that is taken).

    Raises: SettingError for a class id that is no name for a folder; DatasetError for a file that vanished before it
        could be put there; OutputError where files cannot be put so.
    """
    folders = [target / _checked(class_id) for class_id in subset.class_ids]
    for folder in folders:
        folder.mkdir()
    place = PLACERS[link]
    taken: set[Path] = set()
    for image in images:
        goal = folders[image.label] / image.path.name
        while goal in taken:
            goal = goal.with_name(f"{goal.stem}-{image.row}{goal.suffix}")
        taken.add(goal)
        try:
            _place(place, image, goal)
        except OSError as error:
            raise OutputError(
                f"{image.path}: cannot be put into {target.parent} by --link {link}: {error.strerror}. "
                + WHAT_TO_DO.get(error.errno or 0, "Check that you may write there, or pass another --out.")
            ) from error


def _place(place: Callable[[SourceImage, Path], None], image: SourceImage, goal: Path) -> None:
    try:
        place(image, goal)
    except FileNotFoundError:  # it was there a moment ago
        patiently(partial(place, image, goal))


def _checked(class_id: str) -> str:
    if class_id in ("", ".", "..") or "/" in class_id or "\0" in class_id:
        raise SettingError(f"class id {class_id!r} is no name for a folder. Write betons, tars or parquet instead.")
    return class_id


def _copy(image: SourceImage, goal: Path) -> None:
    goal.write_bytes(image.content)


def _hard(image: SourceImage, goal: Path) -> None:
    os.link(os.path.realpath(image.path), goal)


def _symlink(image: SourceImage, goal: Path) -> None:
    goal.symlink_to(os.path.realpath(image.path, strict=True))


def _reflink(image: SourceImage, goal: Path) -> None:
    with image.path.open("rb") as old, goal.open("xb") as new:
        fcntl.ioctl(new, FICLONE, old.fileno())


PLACERS: dict[Link, Callable[[SourceImage, Path], None]] = {
    "copy": _copy,
    "hard": _hard,
    "symlink": _symlink,
    "reflink": _reflink,
}
