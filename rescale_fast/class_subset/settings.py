"""Which classes, and how they are chosen."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, TypeAlias

from rescale_fast.class_subset.lists import ClassList, find_list
from rescale_fast.class_subset.network_hits import check_number
from rescale_fast.class_subset.published import find_published
from rescale_fast.class_subset.weights import PairWeights
from rescale_fast.errors import SettingError
from rescale_fast.settings import Between, OneOf, Seed, Settings

Method: TypeAlias = Annotated[str, OneOf("rescale_fast.class_subset.choose:METHODS")]
Rule: TypeAlias = Annotated[str, OneOf("rescale_fast.class_subset.choose:RULES")]
Effort: TypeAlias = Annotated[str, OneOf("rescale_fast.class_subset.choose:EFFORTS")]
Published: TypeAlias = Annotated[
    str, OneOf("rescale_fast.class_subset.published:PUBLISHED", or_else="another spelling of one")
]
Listed: TypeAlias = Annotated[  # what `find_list` finds
    str, OneOf("rescale_fast.class_subset.published:PUBLISHED", or_else="all, or a file with one class id per line")
]


@dataclass(frozen=True)
class SelectSettings(Settings):
    """Choosing classes."""

    k: Annotated[int, Between(2)] = 10
    """Number of classes to choose."""
    method: Method = "max-confusion"
    """Which classes to choose. `max-confusion`: those most confused with one another; `validation-outcomes`: those that
    misclassified images point to (a reconstruction of ReIN/RePL, see --rule); `rank-fidelity`: those on which several
    networks (--predictions of each) keep the order that they have on all classes."""
    rule: Rule = "votes"
    """With --method validation-outcomes, the reading of ReIN/RePL's rule."""
    vote_pool: Annotated[float, Between(0, open=True)] = 1.5
    """With --rule votes, how many times --k classes, from the lowest accuracy up, may vote."""
    pair_weights: PairWeights = "counts"
    """What counts as confused: images (`counts`), shares of each class's images (`rates`), probability (`soft`)."""
    effort: Effort = "fast"
    """How hard to search: `greedy` takes milliseconds and falls well short; `fast` takes a second or two and is
    near the best there is; `thorough` searches on for --seconds; `prove` also bounds, in that time, what any choice
    could reach."""
    seconds: Annotated[float, Between(0, open=True)] = 120.0
    """Seconds that `thorough` and `prove` may take."""
    search_seed: Seed = 0
    """Seed of the search, of `random`, and of which networks are held out. `greedy`, `fast` and `rank-fidelity` depend
    on nothing else; the others on their time too."""
    classes: Listed | None = None
    """Take these classes instead: a published list, `all`, or a file with one class id per line."""
    published: Published | None = None
    """Take the classes of a published list instead."""
    held_out: Annotated[float, Between(0.01, 0.5)] = 0.33
    """With --method rank-fidelity, the share of the networks that is held out at a time, to see whether the choice is
    good for networks that had no part in it."""
    hardness: Annotated[float, Between(0, 1)] = 0.0
    """With --method rank-fidelity, what counts: from 0, order alone, to 1, confusion alone."""

    def check(self) -> None:
        """Raises: SettingError for an unknown list, and for settings that others leave without effect."""
        if self.classes is not None and self.published is not None:
            raise SettingError("--classes and --published: give one of them.")
        if self.listed is not None:
            of_methods = [field.name for field in fields(self) if field.name not in ("classes", "published")]
            source = "--published" if self.classes is None else "--classes"
            self.refuse(*of_methods, because=f"as {source} says which classes to take")
        if self.method != "validation-outcomes":
            self.refuse("rule", "vote_pool", because=f"as --method is {self.method}")
        if self.method != "max-confusion":
            self.refuse("pair_weights", "effort", "seconds", because=f"as --method is {self.method}")
        if self.method != "rank-fidelity":
            self.refuse("held_out", "hardness", because=f"as --method is {self.method}")
        if self.rule != "votes":
            self.refuse("vote_pool", because=f"as --rule is {self.rule}")
        if self.effort in ("greedy", "fast"):
            self.refuse("seconds", because=f"as --effort is {self.effort}")

    @property
    def listed(self) -> ClassList | None:
        """The list that says which classes to take; None when a method chooses them. Raises: SettingError."""
        if self.published is not None:
            return find_published(self.published)
        return None if self.classes is None else find_list(self.classes)

    def check_networks(self, number: int) -> None:
        """Raises: SettingError when the method compares networks, and there are predictions of so few."""
        if self.method == "rank-fidelity":
            check_number(number)


GroupingName: TypeAlias = Annotated[str, OneOf("rescale_fast.class_subset.group:GROUPINGS", or_else="a CSV")]
OF_GROUPINGS = ("num_groups", "group_seed", "wordnet")  # settings that not every grouping looks at


@dataclass(frozen=True)
class GroupSettings(Settings):
    """Making coarse classes, each of many."""

    grouping: GroupingName | None = None
    """How to group: `random` (drawn); `confused` (classes that are most confused with one another come together);
    `wordnet` (by common parents among WordNet's nouns); `wordnet-balanced` (the same, in groups of like size);
    `coarse67` (a published table of 67 labels for ImageNet's classes); or a CSV of class ids and coarse labels."""
    num_groups: Annotated[int, Between(2)] = 20
    """Number of groups; a table has its own."""
    group_seed: Seed = 0
    """Seed of `random` and `confused`."""
    wordnet: Path = Path("/usr/share/wordnet/data.noun")
    """WordNet 3.0's nouns, as in Debian's package wordnet-base."""

    def check(self) -> None:
        """Raises: SettingError for what is no grouping, and for settings that the grouping leaves without effect."""
        from rescale_fast.class_subset.group import GROUPINGS

        grouping = self.grouping
        if grouping is not None and grouping not in GROUPINGS and not Path(grouping).expanduser().is_file():
            raise SettingError(f"--grouping {grouping}: neither a file nor one of {', '.join(GROUPINGS)}.")
        unused = [name for name in OF_GROUPINGS if name not in self.uses]
        if unused:
            because = f"as --grouping is {self.grouping}" if self.grouping else "as no --grouping is asked for"
            self.refuse(*unused, because=because)

    @property
    def uses(self) -> frozenset[str]:
        """Which of OF_GROUPINGS the grouping looks at: a table, and none at all, at none."""
        from rescale_fast.class_subset.group import GROUPINGS

        found = GROUPINGS.get(self.grouping or "")
        return found.uses if found else frozenset()
