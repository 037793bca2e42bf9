"""Groups classes into coarse ones: at random, by confusion, by WordNet, or by a table.

Reads a ConfusionMatrix (for its classes, and to say how much confusion falls inside groups); makes a ClassGrouping.
Source: Gao 2021 ("Subsets of ImageNet"), class methods 2 to 6.
Measured: benchmarks/results/class_grouping.csv, by benchmarks/bench_class_grouping.py.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from rescale_fast import _core
from rescale_fast.artifact import Origin, file_sha256, to_json
from rescale_fast.class_subset.settings import GroupSettings
from rescale_fast.class_subset.types import ClassGrouping
from rescale_fast.class_subset.weights import pair_graph
from rescale_fast.class_subset.wordnet import (
    common_ancestor,
    merge_deepest,
    merge_smallest,
    paths_of,
    read_nouns,
    unique_names,
)
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import SettingError
from rescale_fast.settings import Registry
from rescale_fast.types import JSON, IntArray

MOVES = 40_000_000  # proposals; a second or so

Groups = list[tuple[str, str, list[int]]]  # id, name, labels of the members
Cut = Callable[[Sequence[tuple[str, ...]], int], Sequence[str | int]]  # paths, number of groups -> each class's group


def group_classes(confusion: ConfusionMatrix, settings: GroupSettings, origin: Origin) -> ClassGrouping:
    """Group the classes as the settings say.

    Raises: SettingError for more groups than classes, a table that does not fit the data set, or an unknown way.
    """
    check_grouping(settings, confusion.num_classes)
    groups = _maker(settings)(confusion, settings)
    return ClassGrouping(
        origin=origin,
        method=Path(settings.grouping or "").name,
        num_classes=confusion.num_classes,
        class_ids=tuple(group_id for group_id, _, _ in groups),
        class_names=tuple(name for _, name, _ in groups),
        labels=tuple(tuple(labels) for _, _, labels in groups),
        member_ids=tuple(tuple(confusion.class_ids[label] for label in labels) for _, _, labels in groups),
        facts=describe_groups(confusion, [labels for _, _, labels in groups]),
    )


def grouping_origin(settings: GroupSettings, confusion_digest: str) -> Origin:
    """What a grouping is made from: the confusion matrix with this digest, the settings, and the files they name."""
    made_from, table = {"confusion": confusion_digest}, Path(settings.grouping or "").expanduser()
    if table.is_file():
        made_from["table"] = file_sha256(table)
    if "wordnet" in settings.uses and settings.wordnet.is_file():
        made_from["wordnet"] = file_sha256(settings.wordnet)
    return Origin(made_from, dict(to_json(settings)))  # type: ignore[arg-type]


def check_grouping(settings: GroupSettings, num_classes: int) -> None:
    """Raise SettingError for no grouping, or more groups than there are classes."""
    if settings.grouping is None:
        raise SettingError(f"--grouping: say how, with one of {', '.join(GROUPINGS)} or a CSV (see --help).")
    if "num_groups" in settings.uses and settings.num_groups > num_classes:
        raise SettingError(
            f"--num-groups {settings.num_groups}: expected 2 to {num_classes:,}, the number of classes there are."
        )


def check_classes(settings: GroupSettings, class_ids: tuple[str, ...]) -> int:
    """How many groups these classes will make, at most.

    Raises: SettingError when they cannot be grouped so: a table or WordNet is absent, or of other classes.
    """
    check_grouping(settings, len(class_ids))
    if _maker(settings) is _by_table:
        return len(_read_groups(settings, class_ids))
    if "wordnet" in settings.uses:
        paths_of(read_nouns(settings.wordnet), class_ids)
    return settings.num_groups if "num_groups" in settings.uses else len(class_ids)


def _maker(settings: GroupSettings) -> Callable[[ConfusionMatrix, GroupSettings], Groups]:
    found = GROUPINGS.get(settings.grouping or "")
    return found.make if found else _by_table


def _at_random(confusion: ConfusionMatrix, settings: GroupSettings) -> Groups:
    order = np.random.default_rng(settings.group_seed).permutation(confusion.num_classes)
    return _numbered(np.argsort(order) * settings.num_groups // confusion.num_classes, confusion)


def _by_confusion(confusion: ConfusionMatrix, settings: GroupSettings) -> Groups:
    return _numbered(confused_groups(confusion, settings.num_groups, seed=settings.group_seed), confusion)


def _by_table(confusion: ConfusionMatrix, settings: GroupSettings) -> Groups:
    return _read_groups(settings, confusion.class_ids)


def _read_groups(settings: GroupSettings, class_ids: tuple[str, ...]) -> Groups:
    if settings.grouping == "coarse67":
        table = files("rescale_fast.class_subset").joinpath("coarse67.csv")
        return read_table(table, class_ids, may_name_others=True)  # a part of ImageNet is fine
    return read_table(Path(settings.grouping or "").expanduser(), class_ids)


def confused_groups(confusion: ConfusionMatrix, num_groups: int, *, seed: int = 0) -> IntArray:
    """Groups of equal size (they differ by at most one class) with as much confusion inside as can be found.

    First the most confused group is taken out, then the most confused of what is left, and so on, which leaves
    incoherent last groups; then classes are swapped between groups, by simulated annealing, until no swap helps.
    Returns: (K,) int64 group of each class, 0..num_groups-1.
    """
    graph = pair_graph(confusion)
    sizes = np.array([len(part) for part in np.array_split(np.arange(confusion.num_classes), num_groups)], np.int64)
    extracted = _core.extract_groups(graph, sizes)
    return _core.anneal_groups(graph, extracted, num_moves=MOVES, seed=seed)


def _by_wordnet(confusion: ConfusionMatrix, settings: GroupSettings, cut: Cut) -> Groups:
    nouns = read_nouns(settings.wordnet)
    paths = paths_of(nouns, confusion.class_ids)
    members: dict[str | int, list[int]] = {}
    for label, top in enumerate(cut(paths, settings.num_groups)):
        members.setdefault(top, []).append(label)
    nodes = [common_ancestor([paths[label] for label in labels]) for labels in members.values()]
    ids = [name.replace(" ", "-") for name in unique_names([f"n{node}" for node in nodes])]
    names = unique_names([nouns.names[node] for node in nodes])
    return list(zip(ids, names, members.values(), strict=True))


@dataclass(frozen=True)
class Grouping:
    """A way to make groups, and the settings that it looks at beside the classes: those of OF_GROUPINGS."""

    make: Callable[[ConfusionMatrix, GroupSettings], Groups]
    uses: frozenset[str] = frozenset()


SEEDED, BY_WORDNET = frozenset({"num_groups", "group_seed"}), frozenset({"num_groups", "wordnet"})
GROUPINGS = Registry(  # beside a table of one's own
    {
        "random": Grouping(_at_random, SEEDED),
        "confused": Grouping(_by_confusion, SEEDED),
        "wordnet": Grouping(partial(_by_wordnet, cut=merge_deepest), BY_WORDNET),
        "wordnet-balanced": Grouping(partial(_by_wordnet, cut=merge_smallest), BY_WORDNET),
        "coarse67": Grouping(_by_table),
    }
)


def _numbered(group_of: IntArray, confusion: ConfusionMatrix) -> Groups:
    """Groups without names of their own: numbers, and the names of their first classes."""
    groups: Groups = []
    for number in range(int(group_of.max()) + 1):
        labels = np.flatnonzero(group_of == number).tolist()
        shown = ", ".join(confusion.class_names[label] for label in labels[:3])
        more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
        groups.append((f"group-{number:04d}", shown + more, labels))
    return groups


def read_table(table: Path | Traversable, class_ids: tuple[str, ...], *, may_name_others: bool = False) -> Groups:
    """Read a CSV with the columns "class id" and "coarse label"; "#" starts a comment line, but in a class id.

    Classes that it does not name are in no group. Groups are in order of their first class.
    Args:
        may_name_others: pass over rows of classes that are not among `class_ids`.
    Raises: SettingError naming the file, the line and what is wrong with it.
    """
    label_of = {class_id: label for label, class_id in enumerate(class_ids)}
    members: dict[str, list[int]] = {}
    seen: set[str] = set()
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"--grouping {table}: cannot be read as text ({error}).") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or (line.startswith("#") and line.split(",")[0].strip() not in label_of):
            continue  # a class may be called #1
        try:
            (row,) = csv.reader([line], strict=True)
        except csv.Error as error:
            raise SettingError(f"{table}, line {number}: not CSV ({error}).") from error
        cells = [cell.strip() for cell in row]
        if cells == ["class id", "coarse label"]:
            continue
        if len(cells) != 2 or not cells[1]:
            raise SettingError(f"{table}, line {number}: {line[:80]!r} is not a class id and a coarse label.")
        if cells[0] not in label_of:
            if may_name_others:
                continue
            raise SettingError(
                f"{table}, line {number}: {cells[0]!r} is no class of this data set ({len(class_ids):,} classes, such "
                f"as {class_ids[0]!r}). Is the table for another data set?"
            )
        if cells[0] in seen:
            raise SettingError(f"{table}, line {number}: {cells[0]!r} is there twice.")
        seen.add(cells[0])
        members.setdefault(cells[1], []).append(label_of[cells[0]])
    if len(members) < 2:
        raise SettingError(
            f"{table}: gives the {len(class_ids):,} classes of this data set {len(members)} coarse labels, expected at "
            "least 2. Is the table for another data set?"
        )
    ordered = sorted(members.items(), key=lambda item: min(item[1]))
    return [(name, name, sorted(labels)) for name, labels in ordered]


def describe_groups(confusion: ConfusionMatrix, groups: Sequence[Sequence[int]]) -> dict[str, JSON]:
    """What is known of a grouping: how much of the confusion between its classes falls inside groups, and at random."""
    covered = np.concatenate([np.asarray(labels, np.int64) for labels in groups])
    counts = confusion.counts
    among = counts[np.ix_(covered, covered)]
    errors = int(among.sum() - np.trace(among))
    inside = sum(
        int(counts[np.ix_(labels, labels)].sum() - np.trace(counts[np.ix_(labels, labels)])) for labels in groups
    )
    sizes = np.array([len(labels) for labels in groups])
    pairs = len(covered) * (len(covered) - 1)
    return {
        "classes_left_out": confusion.num_classes - len(covered),
        "smallest_group": int(sizes.min()),
        "largest_group": int(sizes.max()),
        "errors": errors,
        "errors_inside": inside,
        "share_inside": inside / max(1, errors),
        "share_inside_at_random": float((sizes * (sizes - 1)).sum() / pairs),
        "accuracy": float((np.trace(among) + inside) / max(1, counts[covered].sum())),
        "accuracy_of_all_classes": confusion.accuracy,
    }


def coarsen(confusion: ConfusionMatrix, grouping: ClassGrouping) -> ConfusionMatrix:
    """The confusion matrix of the groups: (g, g), over images of classes in groups that were called a class in one."""
    member = np.zeros((confusion.num_classes, len(grouping.labels)))
    for group, labels in enumerate(grouping.labels):
        member[list(labels), group] = 1.0
    counts = member.T @ confusion.counts.astype(np.float64) @ member
    return ConfusionMatrix(
        origin=Origin({}, {}),
        counts=np.rint(counts).astype(np.int64),
        soft=member.T @ confusion.soft @ member,
        class_ids=grouping.class_ids,
        class_names=grouping.class_names,
    )
