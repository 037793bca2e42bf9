"""A folder for each class, as torchvision's ImageFolder and our own `--dataset folder` read it: <class id>/<file>."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from rescale_fast.errors import OutputError, SettingError
from rescale_fast.export.settings import Link
from rescale_fast.export.source import SourceImage
from rescale_fast.image_subset.types import ImageSubset

FICLONE = 0x40049409  # <linux/fs.h>: share the blocks of another file until one of the two is changed


def write_folder(target: Path, images: Iterator[SourceImage], subset: ImageSubset, link: Link) -> None:
    """Put each image into the folder of its class, under its own name (with its row where that is taken).

    Raises: SettingError for a class id that is no name for a folder; OutputError where files cannot be linked so.
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
            place(image.path.resolve(), goal)
        except OSError as error:
            raise OutputError(
                f"{image.path}, --link {link}: cannot put it into {target.parent}: {error.strerror}. "
                "`--link copy` works anywhere."
            ) from error


def _checked(class_id: str) -> str:
    if class_id in ("", ".", "..") or "/" in class_id or "\0" in class_id:
        raise SettingError(f"class id {class_id!r} is no name for a folder. Write betons, tars or parquet instead.")
    return class_id


def _reflink(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("xb") as new:
        fcntl.ioctl(new, FICLONE, old.fileno())


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


PLACERS: dict[Link, Callable[[Path, Path], None]] = {
    "copy": _copy,
    "hard": os.link,
    "symlink": os.symlink,
    "reflink": _reflink,
}
