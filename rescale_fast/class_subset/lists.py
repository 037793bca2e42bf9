"""Classes that somebody has listed: in a file, in a list published under a name, by their ids, or all there are.

A list says which classes to take whatever is known of them, so that nothing has to be known.
"""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np

from rescale_fast.artifact import Origin, file_sha256, json_sha256
from rescale_fast.class_subset.published import PublishedList, is_published, published_named
from rescale_fast.datasets.published import imagenet_classes, places365_classes
from rescale_fast.errors import SettingError
from rescale_fast.files.reading import read_text
from rescale_fast.types import JSON, IntArray

ALL = "all"
KNOWN: Mapping[str, Callable[[], Collection[str]]] = {"ImageNet": imagenet_classes, "Places365": places365_classes}


@dataclass(frozen=True)
class ListFile:
    """A text file with one class id a line, as the published lists come. "#" starts a comment, but in an id."""

    path: Path

    method: ClassVar[str] = "list"
    facts: ClassVar[Mapping[str, JSON]] = {}

    @property
    def origin(self) -> Origin:
        return Origin({"classes": file_sha256(self.path)}, {})  # wherever it lies

    def labels(self, class_ids: tuple[str, ...]) -> IntArray:
        return read_list(self.path, class_ids)

    def names(self, known: Sequence[str]) -> list[str]:
        return [name for _, name in listed_names(self.path, known)]


@dataclass(frozen=True)
class GivenIds:
    """Class ids that a program passes."""

    ids: tuple[str, ...]

    method: ClassVar[str] = "list"
    facts: ClassVar[Mapping[str, JSON]] = {}

    @property
    def origin(self) -> Origin:
        return Origin({"classes": json_sha256(self.ids)}, {})

    def labels(self, class_ids: tuple[str, ...]) -> IntArray:
        return _labels("classes", [(f"classes[{i}]", name) for i, name in enumerate(self.ids)], class_ids)

    def names(self, known: Sequence[str]) -> list[str]:
        return list(self.ids)


@dataclass(frozen=True)
class AllClasses:
    """Every class of the data set."""

    method: ClassVar[str] = ALL
    facts: ClassVar[Mapping[str, JSON]] = {}

    @property
    def origin(self) -> Origin:
        return Origin({}, {"classes": ALL})

    def labels(self, class_ids: tuple[str, ...]) -> IntArray:
        return np.arange(len(class_ids))

    def names(self, known: Sequence[str]) -> list[str]:
        return list(known)


# Each has `labels(class_ids)`, (k,) int64 and increasing; `names(known)`, in the list's order, which need not be among
# those known; `origin`, what it is, whatever it is a list for; and for a ClassSubset its `method` and `facts`.
ClassList: TypeAlias = ListFile | PublishedList | AllClasses | GivenIds


def find_list(text: str, option: str = "--classes") -> ClassList:
    """What an option names: a file, a published list (case, `-` and `_` do not matter), or `all` classes.

    Raises: SettingError for a text that names nothing, or both a list and a file.
    """
    path = Path(text).expanduser()
    if text == ALL or is_published(text):
        if path.is_file():
            raise SettingError(
                f"{option} {text}: is the name of a list, and of a file here. Pass ./{text} if the file is meant; "
                "rename or move it if not."
            )
        return AllClasses() if text == ALL else published_named(text, "")
    if path.is_file() and path.suffix != ".json":
        return ListFile(path)
    if path.exists():
        raise SettingError(
            f"{option} {text}: is no list. Pass a text with a class id a line, such as the .txt beside a "
            "class_subset.json, or the name of a published list."
        )
    if "/" in text or path.suffix:
        raise SettingError(f"{option} {text}: no such file.")
    return published_named(text, f"{option} {text}: no such file, nor a list of that name", f"; and `{ALL}`")


def read_list(path: Path, class_ids: tuple[str, ...]) -> IntArray:
    """Read a list of class ids, one a line; return their labels, increasing.

    Raises: SettingError naming the file, the line and the class that is unknown or repeated.
    """
    names = [(f"{path}, line {number}", name) for number, name in listed_names(path, set(class_ids))]
    return _labels(str(path), names, class_ids)


def _labels(source: str, names: Sequence[tuple[str, str]], class_ids: tuple[str, ...]) -> IntArray:
    """(k,) labels, increasing. Args: names: (where it stands, class id)."""
    label_of = {class_id: label for label, class_id in enumerate(class_ids)}
    chosen: set[int] = set()
    for where, name in names:
        if name not in label_of:
            raise SettingError(f"{where}: {_no_class(name, [one for _, one in names], class_ids)}")
        if label_of[name] in chosen:
            raise SettingError(f"{where}: {name!r} is there twice.")
        chosen.add(label_of[name])
    if len(chosen) < 2:
        raise SettingError(f"{source}: names {len(chosen)} classes, expected at least 2.")
    return np.array(sorted(chosen), np.int64)


def _no_class(name: str, listed: Sequence[str], class_ids: tuple[str, ...]) -> str:
    fit = len(set(listed) & set(class_ids))
    return (
        f"{name!r} is no class of this data set ({len(class_ids):,} classes, such as {class_ids[0]!r}); {fit:,} of the "
        f"{len(set(listed)):,} classes listed are. {_why_not(name, listed, class_ids)}"
    )


def _why_not(name: str, listed: Sequence[str], class_ids: tuple[str, ...]) -> str:
    owner = data_set_of(listed)
    if owner is not None and owner != data_set_of(class_ids):
        return f"It is a list of {owner}'s classes."
    if owner is not None and name in KNOWN[owner]():
        return f"The data set is a part of {owner} without it."
    alike = difflib.get_close_matches(name, class_ids, n=1, cutoff=0.75)
    return f"Is {alike[0]!r} meant?" if alike else "Is the list for another data set?"


def data_set_of(class_ids: Collection[str]) -> str | None:
    """Which known data set most of these classes are of."""
    for owner, classes in KNOWN.items():
        if 2 * len(set(class_ids) & set(classes())) > len(class_ids):
            return owner
    return None


def numbered_data_set(listed: ClassList, num_classes: int) -> str | None:
    """Which known data set of so many classes the list names classes of, and nothing else."""
    for owner, classes in KNOWN.items():
        known = tuple(classes())
        if len(known) == num_classes and listed != AllClasses() and set(listed.names(known)) <= set(known):
            return owner
    return None


def check_data_set(source: Path, names: Sequence[str], class_ids: tuple[str, ...]) -> None:
    """Raise SettingError for a list of a known data set's classes, and of others than these. source: who has these."""
    unknown = next((name for name in names if name not in class_ids), None)
    if unknown is not None and data_set_of(names) is not None:
        raise SettingError(f"{source}: {_no_class(unknown, names, class_ids)}")


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
