"""Published choices of classes, by names that nobody can mistake, each with its source and a hash of its class ids."""

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.errors import SettingError
from rescale_fast.settings import Registry
from rescale_fast.types import JSON, IntArray


@dataclass(frozen=True)
class PublishedList:
    """A list of classes as somebody published it."""

    name: str
    data_set: str  # whose class ids they are: "imagenet" (wnids) or "places365"
    source: str
    class_ids: tuple[str, ...]  # sorted

    @property
    def digest(self) -> str:
        """SHA-256 of the sorted class ids, one a line: equal for two lists of the same classes."""
        return "sha256:" + hashlib.sha256("\n".join(sorted(self.class_ids)).encode()).hexdigest()

    @property
    def method(self) -> str:
        return self.name

    @property
    def facts(self) -> Mapping[str, JSON]:
        return {"source": self.source, "digest": self.digest}

    @property
    def origin(self) -> Origin:
        return Origin({}, {"published": self.name})

    def names(self, known: Sequence[str]) -> list[str]:
        return list(self.class_ids)

    def labels(self, class_ids: tuple[str, ...]) -> IntArray:
        """(k,) int64 labels among `class_ids`, increasing. Raises: SettingError when a class is not there."""
        label_of = {class_id: label for label, class_id in enumerate(class_ids)}
        missing = [class_id for class_id in self.class_ids if class_id not in label_of]
        if missing:
            raise SettingError(
                f"published list {self.name}: is a list of {self.data_set}'s classes; {len(missing)} of its "
                f"{len(self.class_ids)}, such as {missing[0]!r}, are not among the {len(class_ids):,} of this data "
                f"set, such as {class_ids[0]!r}."
            )
        return np.sort(np.array([label_of[class_id] for class_id in self.class_ids], np.int64))


def _read() -> dict[str, PublishedList]:
    text = files("rescale_fast.class_subset").joinpath("published.json").read_text(encoding="utf-8")
    return {
        name: PublishedList(name, row["data_set"], row["source"], tuple(row["classes"]))
        for name, row in json.loads(text).items()
    }


PUBLISHED = Registry(_read())


def is_published(name: str) -> bool:
    """Whether a list has just that name; case, `-` and `_` do not matter."""
    return any(_plain(published.name) == _plain(name) for published in PUBLISHED.values())


def find_published(name: str) -> PublishedList:
    """The list of that name; case, `-` and `_` do not matter.

    Raises: SettingError naming all there are, or those that an ambiguous name, such as ImageNet-100, may mean.
    """
    return published_named(name, f"published list {name!r}: no such list")


def published_named(name: str, problem: str, also: str = "") -> PublishedList:
    """As find_published. Args: problem: how the message begins. also: what may stand there beside their names."""
    wanted = _plain(name)
    for published in PUBLISHED.values():
        if _plain(published.name) == wanted:
            return published
    alike = [published for published in PUBLISHED.values() if wanted and _plain(published.name).startswith(wanted)]
    if alike:
        raise SettingError(f"published list {name!r}: could be any of {_names(alike)}. Which is meant?")
    by_plain = {_plain(published.name): published.name for published in PUBLISHED.values()}
    close = difflib.get_close_matches(wanted, by_plain, n=1)
    meant = f" Is {by_plain[close[0]]} meant?" if close else ""
    raise SettingError(f"{problem}. There are {_names(PUBLISHED.values())}{also}.{meant}")


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def _names(lists: Iterable[PublishedList]) -> str:
    return ", ".join(published.name for published in lists)
