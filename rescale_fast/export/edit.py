"""Makes betons from betons: cut, merge, append, reorder, relabel. No image is decoded, whoever wrote the betons."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rescale_fast.beton_file import BetonFile, read_beton
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.export.compose import Classes, Part, classes_beside, compose_beton, numbered
from rescale_fast.export.types import BetonInfo
from rescale_fast.types import IntArray, Track, silent


def cut_beton(source: Path, target: Path, rows: IntArray, *, num_threads: int = 0, track: Track = silent) -> BetonInfo:
    """Write the samples `rows` of `source`, in that order, to `target`. Also the way to reorder."""
    return compose_beton([Part(source, rows)], target, num_threads=num_threads, track=track)


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
    beton = read_beton(source)
    old = _classes(beton)
    unknown = [one for one in groups if one not in old.ids]
    if unknown:
        raise SettingError(f"{source}: has no class {unknown[0]!r}. Its classes: {', '.join(old.ids[:10])} ...")
    ids = tuple(dict.fromkeys(groups.values()))
    members = [[old.ids.index(one) for one, group in groups.items() if group == new] for new in ids]
    new_label = np.full(len(old.ids), -1)
    for new, group in enumerate(members):
        new_label[group] = new
    labels = _translate(beton, new_label)
    rows = np.flatnonzero(labels >= 0)
    part = Part(source, rows, labels[rows])
    return compose_beton([part], target, classes=old.take(members, ids), num_threads=num_threads, track=track)


def relabel_beton(
    source: Path, target: Path, labels: IntArray, *, num_threads: int = 0, track: Track = silent
) -> BetonInfo:
    """Write `source` with these labels, (n,), of the classes it has, to `target`."""
    return compose_beton([Part(source, None, labels)], target, num_threads=num_threads, track=track)


def merge_betons(sources: Sequence[Path], target: Path, *, num_threads: int = 0, track: Track = silent) -> BetonInfo:
    """Write the samples of all sources, one source after another, to `target`.

    Classes are matched by their ids, as the JSON files beside the sources name them; new ones are added at the end.
    Where no source has a JSON, labels stay as they are.
    Raises: SettingError when some sources have a JSON and others have none; else as compose_beton.
    """
    known = [path.with_suffix(".json").exists() for path in sources]
    if not any(known):
        return compose_beton([Part(path) for path in sources], target, num_threads=num_threads, track=track)
    if not all(known):
        raise SettingError(
            f"{sources[known.index(False)]}: has no JSON beside it, so that its labels cannot be matched with the "
            f"classes of {sources[known.index(True)]}. Merge with the JSON files in place, or with none."
        )
    parts, merged = [], Classes((), (), ())
    for path in sources:
        beton = read_beton(path)
        own = _classes(beton)
        added = [old for old, one in enumerate(own.ids) if one not in merged.ids]
        merged = Classes(
            merged.ids + tuple(own.ids[old] for old in added),
            merged.names + tuple(own.names[old] for old in added),
            merged.original_labels + tuple(own.original_labels[old] for old in added),
        )
        place = np.array([merged.ids.index(one) for one in own.ids])
        parts.append(Part(path, None, _translate(beton, place)))
    return compose_beton(parts, target, classes=merged, num_threads=num_threads, track=track)


def append_beton(base: Path, extra: Sequence[Path], *, num_threads: int = 0, track: Track = silent) -> BetonInfo:
    """Append the samples of `extra` to `base`, which is replaced only when the new file is complete."""
    return merge_betons([base, *extra], base, num_threads=num_threads, track=track)


def _classes(beton: BetonFile) -> Classes:
    return classes_beside(beton) or numbered(_labels(beton))


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
        raise SettingError(f"{beton.path}: has no integer field 'label', so that there are no classes in it.")
    return labels
