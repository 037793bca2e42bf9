"""The classes of a beton: what its labels mean, by the JSON beside it or else by number."""

from collections.abc import Sequence
from dataclasses import dataclass

from rescale_fast.artifact import parse_json
from rescale_fast.beton.file import BetonFile
from rescale_fast.beton.types import BetonInfo
from rescale_fast.files.reading import DamageError, read_text, reading
from rescale_fast.types import IntArray

MAX_NUMBERED = 100_000  # classes; labels above are numbers of another kind, and would fill a JSON with classes

NOT_OURS = "Move it, or the beton, to another folder."


@dataclass(frozen=True)
class Classes:
    """What labels mean; k classes."""

    ids: tuple[str, ...]  # (k,) by label
    names: tuple[str, ...]  # (k,)
    original_labels: tuple[tuple[int, ...], ...]  # (k,) in the data set

    def joined(self, other: "Classes") -> "Classes":
        """These classes, then those of `other` that are not among them."""
        known = set(self.ids)
        new = [label for label, one in enumerate(other.ids) if one not in known]
        added = other.take([[label] for label in new], [other.ids[label] for label in new])
        return Classes(self.ids + added.ids, self.names + added.names, self.original_labels + added.original_labels)

    def take(self, groups: Sequence[Sequence[int]], ids: Sequence[str]) -> "Classes":
        """Each group of these classes as one, of a new id; a group of one keeps its name."""
        return Classes(
            tuple(ids),
            tuple(self.names[group[0]] if len(group) == 1 else name for group, name in zip(groups, ids, strict=True)),
            tuple(tuple(sorted(one for old in group for one in self.original_labels[old])) for group in groups),
        )


def info_beside(beton: BetonFile) -> BetonInfo | None:
    """The JSON beside a beton, if there is one. Raises: ArtifactError when it is damaged."""
    beside = beton.path.with_suffix(".json")
    if not beside.exists():
        return None
    with reading(beside, "JSON", NOT_OURS):
        found = parse_json(read_text(beside))
        if not (isinstance(found, dict) and str(found.get("schema")).startswith("beton_info/")):
            raise DamageError("does not describe the beton beside it; it is another program's")
    return BetonInfo.load(beside)


def classes_beside(beton: BetonFile) -> Classes | None:
    """The classes that the JSON beside a beton names."""
    info = info_beside(beton)
    return Classes(info.class_ids, info.class_names, info.original_labels) if info else None


def numbered(labels: IntArray | None) -> Classes:
    """One class a label, called by its number; none where the labels are no class numbers."""
    if labels is None or labels.min() < 0 or labels.max() >= MAX_NUMBERED:
        return numbered_classes(0)
    return numbered_classes(int(labels.max()) + 1)


def numbered_classes(count: int) -> Classes:
    """Classes that are called by their numbers."""
    ids = tuple(map(str, range(count)))
    return Classes(ids, ids, tuple((label,) for label in range(count)))
