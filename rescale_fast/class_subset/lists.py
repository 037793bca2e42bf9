"""Lists of classes: text files with one class id a line, as the published subsets come."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from rescale_fast.errors import SettingError
from rescale_fast.files.reading import read_text
from rescale_fast.types import IntArray


def read_list(path: Path, class_ids: tuple[str, ...]) -> IntArray:
    """Read a list of class ids, one a line; return their labels, increasing. "#" starts a comment, but in an id.

    Raises: SettingError naming the file, the line and the class that is unknown or repeated.
    """
    label_of = {class_id: label for label, class_id in enumerate(class_ids)}
    chosen: set[int] = set()
    for number, name in listed_names(path, label_of):
        if name not in label_of:
            raise SettingError(
                f"{path}, line {number}: {name!r} is no class of this data set ({len(class_ids):,} classes, such as "
                f"{class_ids[0]!r}). Is the list for another data set?"
            )
        if label_of[name] in chosen:
            raise SettingError(f"{path}, line {number}: {name!r} is there twice.")
        chosen.add(label_of[name])
    if len(chosen) < 2:
        raise SettingError(f"{path}: names {len(chosen)} classes, expected at least 2.")
    return np.array(sorted(chosen), np.int64)


def listed_names(path: Path, known: Collection[str]) -> list[tuple[int, str]]:
    """(line number, name) of each line that is not empty; "#" starts a comment, but in one of the known names.

    Raises: SettingError for a file that is no text.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise SettingError(f"--classes {path}: cannot be read as text ({error}). Save it as UTF-8.") from error
    names = ((number, _without_comment(line, known)) for number, line in enumerate(lines, 1))
    return [(number, name) for number, name in names if name]


def _without_comment(line: str, known: Collection[str]) -> str:
    name = line.strip()
    return name if name in known else name.split("#")[0].strip()  # a class may be called C#
