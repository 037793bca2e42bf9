"""Makes betons from betons: cut, merge, append, reorder, relabel. No image is decoded, whoever wrote the betons."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rescale_fast.beton.classes import Classes, classes_beside, numbered, numbered_classes
from rescale_fast.beton.compose import Part, chosen_rows, compose_beton
from rescale_fast.beton.file import BetonFile, read_beton
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.lock import lock_beside
from rescale_fast.types import IntArray, Track, silent


def cut_beton(source: Path, target: Path, rows: IntArray, *, num_threads: int = 0, track: Track = silent) -> BetonInfo:
    """Write the samples `rows` of `source`, in that order, to `target`. Also the way to reorder."""
    with lock_beside(target, "cut"):
        return compose_beton([Part(source, rows)], target, num_threads=num_threads, track=track)


def drop_samples(
    source: Path, target: Path, rows: IntArray, *, num_threads: int = 0, track: Track = silent
) -> BetonInfo:
    """Write the samples of `source` but for `rows`, in the order they have, to `target`."""
    with lock_beside(target, "cut"):
        beton = read_beton(source)
        left = np.setdiff1d(np.arange(len(beton)), chosen_rows(Part(source, rows), beton))
        return compose_beton([Part(source, left)], target, num_threads=num_threads, track=track)


def cut_classes(
    source: Path, target: Path, class_ids: Sequence[str], *, num_threads: int = 0, track: Track = silent
) -> BetonInfo:
    """Write the samples of these classes, in the order they have, to `target`; the i-th class gets the label i."""
    return group_classes(source, target, {one: one for one in class_ids}, num_threads=num_threads, track=track)


def group_classes(
    source: Path, target: Path, groups: Mapping[str, str], *, num_threads: int = 0, track: Track = silent
) -> BetonInfo:
    """Write the samples of the classes in `groups` to `target`, under the labels of their groups.

    Args: groups: class id -> id of its group; groups are numbered in the order in which they appear first.
    Raises: SettingError for a class that `source` has not; else as compose_beton.
    """
    with lock_beside(target, "cut"):
        beton = read_beton(source)
        old = _known(beton)
        unknown = [one for one in groups if one not in old.ids]
        if unknown:
            known = f"Its classes: {', '.join(old.ids[:10])} ..." if old.ids else "Its labels are no class numbers."
            raise SettingError(f"{source}: has no class {unknown[0]!r}. {known}")
        ids = tuple(dict.fromkeys(groups.values()))
        members = [[old.ids.index(one) for one, group in groups.items() if group == new] for new in ids]
        new_label = np.full(len(old.ids), -1)
        for new, group in enumerate(members):
            new_label[group] = new
        labels = _translate(beton, new_label)
        rows = np.flatnonzero(labels >= 0)
        part = Part(source, rows, labels[rows])
        return compose_beton([part], target, classes=old.take(members, ids), num_threads=num_threads, track=track)


def known_classes(source: Path) -> Classes:
    """The classes of a beton: those that the JSON beside it names, or else its labels."""
    return _known(read_beton(source))


def _known(beton: BetonFile) -> Classes:
    return classes_beside(beton) or numbered(_labels(beton))


def relabel_beton(
    source: Path, target: Path, labels: IntArray, *, num_threads: int = 0, track: Track = silent
) -> BetonInfo:
    """Write `source` with these labels, (n,), of the classes it has, to `target`."""
    with lock_beside(target, "relabel"):
        return compose_beton([Part(source, None, labels)], target, num_threads=num_threads, track=track)


def merge_betons(sources: Sequence[Path], target: Path, *, num_threads: int = 0, track: Track = silent) -> BetonInfo:
    """Write the samples of all sources, one source after another, to `target`.

    Classes are matched by their ids, as the JSON files beside the sources name them; new ones are added at the end.
    Where no source has a JSON that names them, labels stay as they are: numbers.
    Raises: SettingError when classes have names in some sources and none in others; else as compose_beton.
    """
    with lock_beside(target, "merge"):
        return _merge(sources, target, None, num_threads, track)


def _merge(sources: Sequence[Path], target: Path, replaces: Path | None, num_threads: int, track: Track) -> BetonInfo:
    betons = [read_beton(path) for path in sources]
    named = [_named_classes(beton) for beton in betons]
    if not any(named):
        parts, merged = [Part(path) for path in sources], _all_numbered(betons)
    else:
        parts, merged = [], numbered_classes(0)
        for beton, own in zip(betons, named, strict=True):
            if own is None:
                other = sources[[one is not None for one in named].index(True)]
                raise SettingError(
                    f"{beton.path}: has no JSON beside it that names its classes, so that its labels cannot be matched "
                    f"with the classes of {other}. Merge with the JSON files in place, or with none."
                )
            merged = merged.joined(own)
            place = np.array([merged.ids.index(one) for one in own.ids])
            parts.append(Part(beton.path, None, _translate(beton, place)))
    return compose_beton(parts, target, classes=merged, replaces=replaces, num_threads=num_threads, track=track)


def _named_classes(beton: BetonFile) -> Classes | None:
    """The classes that the JSON beside a beton names; None when they are but numbers, as those of a foreign beton."""
    classes = classes_beside(beton)
    return None if classes is None or classes == numbered_classes(len(classes.ids)) else classes


def _all_numbered(betons: Sequence[BetonFile]) -> Classes | None:
    """As many classes as there are labels in all betons, or in any JSON beside them; None without labels."""
    labels = [one for one in (beton.integers("label") for beton in betons) if one is not None]
    if not labels:
        return None
    found = numbered(np.concatenate(labels))
    said = [classes for classes in map(classes_beside, betons) if classes] if found.ids else []
    return max([found, *said], key=lambda classes: len(classes.ids))


def append_beton(base: Path, extra: Sequence[Path], *, num_threads: int = 0, track: Track = silent) -> BetonInfo:
    """Append the samples of `extra` to `base`, which is replaced only when the new file is complete."""
    if any(path.exists() and base.exists() and path.samefile(base) for path in extra):
        raise SettingError(f"{base}: cannot be appended to itself, which would double its samples. Name other betons.")
    with lock_beside(base, "append"):
        return _merge([base, *extra], base, base, num_threads, track)


def _translate(beton: BetonFile, new_label: IntArray) -> IntArray:
    """The new label of each sample; new_label: (k,) by old label."""
    labels = _labels(beton)
    if labels.min() < 0 or labels.max() >= len(new_label):
        raise ArtifactError(
            f"{beton.path}: has labels from {labels.min()} to {labels.max()}, but {len(new_label)} classes. "
            "Put the JSON that belongs to it beside it."
        )
    return new_label[labels]


def _labels(beton: BetonFile) -> IntArray:
    labels = beton.integers("label")
    if labels is None:
        names = ", ".join(repr(field.name) for field in beton.fields)
        raise SettingError(
            f"{beton.path}: has no integer field 'label', so that there are no classes in it. Its fields: {names}."
        )
    return labels
