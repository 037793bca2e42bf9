"""Corrections: the class that certain images are of after all, or that they are to be left out.

A CSV with the columns `path` (relative to the data set's root) and `class`: a class id of the data set, the id of a
group, or nothing, which leaves the image out. Other columns are free, so label_errors.csv is such a file.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rescale_fast.errors import SettingError
from rescale_fast.files.csv_files import bare
from rescale_fast.types import IntArray

Corrections: TypeAlias = Mapping[str, str | None]  # path -> class id; None leaves the image out


def read_corrections(table: Path) -> dict[str, str | None]:
    """Read the CSV. Raises: SettingError naming the file, the line and what is wrong with it."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise SettingError(f"--corrections {table}: cannot be read as a CSV ({error}).") from error
    header = rows[0] if rows else []
    if not {"path", "class"} <= set(header):
        raise SettingError(f"{table}: its first line is {','.join(header)!r}; expected the columns path and class.")
    at_path, at_class = header.index("path"), header.index("class")
    corrections: dict[str, str | None] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(row):
            continue
        if len(row) != len(header):
            raise SettingError(f"{table}, row {number}: has {len(row)} cells, the first line {len(header)}.")
        path, class_id = bare(row[at_path].strip()), bare(row[at_class].strip())
        if path in corrections:
            raise SettingError(f"{table}, row {number}: {path!r} is there twice.")
        corrections[path] = class_id or None
    return corrections


def check_corrections(corrections: Corrections, paths: Sequence[Sequence[str]], known: Sequence[Sequence[str]]) -> None:
    """Raise SettingError for an image or a class that does not exist.

    Args: paths: those of each split. known: the class ids of the data set, and of the subset.
    """
    absent = set(corrections).difference(*paths)
    if absent:
        raise SettingError(
            f"--corrections: {len(absent):,} of {len(corrections):,} images are not in the data set, "
            f"{min(absent)!r} first. Paths are relative to its root, such as {next(iter(paths[0]))!r}."
        )
    ids = set().union(*known)
    for path, class_id in corrections.items():
        if class_id is not None and class_id not in ids:
            raise SettingError(
                f"--corrections: {path!r} is to be of class {class_id!r}, which does not exist. Name a class id, such "
                f"as {known[0][0]!r}, or nothing to leave the image out."
            )


def corrected_labels(
    paths: Sequence[str],
    labels: IntArray,
    corrections: Corrections,
    new_label: IntArray,
    new_ids: Sequence[str],
    class_ids: Sequence[str],
) -> IntArray:
    """(n,) the new label of each image when the corrections have been made; -1 for none.

    Args: labels: (n,) in the data set. new_label: (K,) of each of its classes. new_ids: by new label. class_ids: (K,).
    """
    new_labels = new_label[labels]
    if not corrections:
        return new_labels
    # A group may have the id of a class that is in it, so the data set's classes come last.
    label_of: dict[str | None, int] = {class_id: label for label, class_id in enumerate(new_ids)}
    label_of |= dict(zip(class_ids, new_label.tolist(), strict=True))
    label_of[None] = -1
    listed = zip(paths, new_labels.tolist(), strict=True)
    return np.array([label_of[corrections[path]] if path in corrections else new for path, new in listed], np.int64)
