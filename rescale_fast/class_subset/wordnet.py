"""Groups of ImageNet's classes by what they are: WordNet's tree of nouns, cut so that few groups remain.

Reads WordNet 3.0's data.noun (wndb(5WN)): a class id such as n02084071 is `n` and the byte offset of a noun. Where a
noun has several parents the one listed first is taken, so that there is a tree. Both ways of cutting it start with each
class by itself.
Source: Gao 2021 ("Subsets of ImageNet"), class method 3; the balanced way is ours.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rescale_fast.errors import SettingError


@dataclass(frozen=True)
class Nouns:
    """Names, and the first hypernym ("parent") of each noun."""

    names: dict[str, str]  # offset -> first word
    parents: dict[str, str]  # offset -> offset; roots are missing

    def path(self, offset: str) -> tuple[str, ...]:
        """From the root to the noun. Raises: SettingError when the way up has no end, or leads to no noun."""
        found = [offset]
        while found[-1] in self.parents:
            found.append(self.parents[found[-1]])
            known = found[-1] in self.names
            if found[-1] in found[:-1] or not known:
                how = "goes round" if known else "breaks off"
                raise SettingError(
                    f"--wordnet: the way up from noun {offset} {how} at {found[-1]}; the file is damaged. "
                    "Install WordNet 3.0's data.noun again."
                )
        return tuple(reversed(found))


def read_nouns(path: Path) -> Nouns:
    """Read data.noun. Raises: SettingError when it is not there, or not in that format, naming the line."""
    names, parents = {}, {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            f"--wordnet {path}: cannot be read ({error}). It is WordNet 3.0's data.noun: apt-get install wordnet-base, "
            "or give the file's place."
        ) from error
    for number, line in enumerate(lines, 1):
        if line.startswith("  "):  # the licence
            continue
        try:
            words = line.split(" ")
            offset, num_words = words[0], int(words[3], 16)
            names[offset] = words[4].replace("_", " ")
            pointers = words[5 + 2 * num_words : 5 + 2 * num_words + 4 * int(words[4 + 2 * num_words])]
            above = [pointers[i + 1] for i in range(0, len(pointers), 4) if pointers[i] in ("@", "@i")]
        except (IndexError, ValueError) as error:
            raise SettingError(f"--wordnet {path}, line {number}: not in the format of data.noun ({error}).") from error
        if above:
            parents[offset] = above[0]
    return Nouns(names, parents)


def paths_of(nouns: Nouns, class_ids: Sequence[str]) -> list[tuple[str, ...]]:
    """The path of each class from the root.

    Raises: SettingError for ids that are no nouns of WordNet 3.0, or nouns without a common root (of a damaged file).
    """
    unknown = [class_id for class_id in class_ids if class_id[:1] != "n" or class_id[1:] not in nouns.names]
    if unknown:
        raise SettingError(
            f"--grouping wordnet: {len(unknown):,} of {len(class_ids):,} class ids, such as {unknown[0]!r}, are no "
            "wnids of WordNet 3.0. It groups ImageNet's classes only; give a CSV of your own for others."
        )
    paths = [nouns.path(class_id[1:]) for class_id in class_ids]
    other = next((path for path in paths if path[0] != paths[0][0]), None)
    if other is not None:
        raise SettingError(
            f"--wordnet: the nouns {paths[0][-1]} and {other[-1]} have no common root. "
            "The file is damaged, or not WordNet 3.0's data.noun."
        )
    return paths


def merge_deepest(paths: Sequence[tuple[str, ...]], num_groups: int) -> list[str]:
    """Merge all below the deepest parent, again and again, until at most `num_groups` remain.

    One merge can join several groups, so the number reached may be smaller; groups come out very uneven.
    Returns: the noun at the top of each class's group.
    """
    tops = [list(path) for path in paths]
    while len({path[-1] for path in tops}) > num_groups:
        deepest = max((len(path), path[-2]) for path in tops if len(path) > 1)[1]
        for path in tops:
            if deepest in path:
                del path[path.index(deepest) + 1 :]
    return [path[-1] for path in tops]


def merge_smallest(paths: Sequence[tuple[str, ...]], num_groups: int) -> list[int]:
    """Merge the smallest group with the one it shares the deepest ancestor with, until `num_groups` remain.

    Of several such, the smallest, then the first. Returns: the number of each class's group, from 0, without gaps.
    """
    groups = {number: [number] for number in range(len(paths))}
    shared = dict(enumerate(paths))  # the path that all of a group have in common
    while len(groups) > num_groups:
        smallest = min(groups, key=lambda number: (len(groups[number]), number))
        others = (number for number in groups if number != smallest)
        nearest = min(
            others, key=lambda number: (-len(_common(shared[smallest], shared[number])), len(groups[number]), number)
        )
        groups[nearest] += groups.pop(smallest)
        shared[nearest] = _common(shared[nearest], shared.pop(smallest))
    number_of = {member: i for i, members in enumerate(groups.values()) for member in members}
    return [number_of[member] for member in range(len(paths))]


def common_ancestor(paths: Sequence[tuple[str, ...]]) -> str:
    """The deepest noun that all paths go through. Precondition: they have one root."""
    common = paths[0]
    for path in paths[1:]:
        common = _common(common, path)
    return common[-1]


def unique_names(names: Sequence[str]) -> list[str]:
    """The names; of those that occur more than once, the second is given " 2", and so on."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return result


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    length = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return a[:length]
