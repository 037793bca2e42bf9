"""Which classes, and how they are chosen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from rescale_fast.class_subset.lists import ClassList, find_list
from rescale_fast.class_subset.published import find_published
from rescale_fast.class_subset.weights import PairWeights
from rescale_fast.errors import SettingError
from rescale_fast.settings import Between, Seed, Settings

Method: TypeAlias = Literal["max-confusion", "validation-outcomes", "lowest-accuracy", "random"]
Rule: TypeAlias = Literal["votes", "errors+half", "lowest+confused"]
Effort: TypeAlias = Literal["greedy", "fast", "thorough", "prove"]


@dataclass(frozen=True)
class SelectSettings(Settings):
    """Choosing classes."""

    k: Annotated[int, Between(2)] = 10
    """Number of classes to choose."""
    method: Method = "max-confusion"
    """How: those most confused with one another; those that misclassified images point to (a reconstruction of
    ReIN/RePL, see --rule); those of the lowest accuracy; or any."""
    rule: Rule = "votes"
    """The reading of ReIN/RePL's rule that `validation-outcomes` follows."""
    vote_pool: Annotated[float, Between(0, open=True)] = 1.5
    """With the rule `votes`: how many times k classes, from the lowest accuracy up, may vote."""
    pair_weights: PairWeights = "counts"
    """What counts as confused: images (`counts`), shares of each class's images (`rates`), probability (`soft`)."""
    effort: Effort = "fast"
    """How hard to search: `greedy` takes milliseconds and falls well short; `fast` takes a second or two and is
    near the best there is; `thorough` searches on for --seconds; `prove` also bounds, in that time, what any choice
    could reach."""
    seconds: Annotated[float, Between(0, open=True)] = 120.0
    """Time that `thorough` and `prove` may take."""
    search_seed: Seed = 0
    """Seed of the search, and of `random`. `greedy` and `fast` depend on nothing else; the others on their time too."""
    classes: str | None = None
    """Take the classes of this list instead: a file with a class id a line, a published list's name, or `all`."""
    published: str | None = None
    """Take a published list instead: ReIN30/50/100/150/200, RePL30/50, Imagenette, Imagewoof, Imagewang, ImageBirds,
    ImageNet100-CMC, ImageNet100-Kaggle, ImageNet16-120 or TinyImageNet-200."""

    def check(self) -> None:
        """Raises: SettingError for an unknown list, and for settings that others leave without effect."""
        if self.classes is not None and self.published is not None:
            raise SettingError("--classes and --published: give one of them.")
        if self.listed is not None:
            of_methods = ("k", "method", "rule", "vote_pool", "pair_weights", "effort", "seconds", "search_seed")
            source = "--published" if self.classes is None else "--classes"
            self.refuse(*of_methods, because=f"as {source} says which classes to take")
        if self.method != "validation-outcomes":
            self.refuse("rule", "vote_pool", because=f"as --method is {self.method}")
        if self.method != "max-confusion":
            self.refuse("pair_weights", "effort", "seconds", because=f"as --method is {self.method}")
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


SEEDED = ("random", "confused")
BY_WORDNET = ("wordnet", "wordnet-balanced")
NUMBERED = (*SEEDED, *BY_WORDNET)


@dataclass(frozen=True)
class GroupSettings(Settings):
    """Coarse classes: many classes become one."""

    grouping: str | None = None
    """How: `random` (drawn); `confused` (classes that are most confused with one another come together); `wordnet` (by
    common parents among WordNet's nouns); `wordnet-balanced` (the same, in groups of like size); `coarse67` (a
    published table of 67 labels for ImageNet's classes); or a CSV of class ids and coarse labels."""
    num_groups: Annotated[int, Between(2)] = 20
    """How many groups; a table has its own number."""
    group_seed: Seed = 0
    """Seed of `random` and `confused`."""
    wordnet: Path = Path("/usr/share/wordnet/data.noun")
    """WordNet 3.0's nouns, as in Debian's package wordnet-base."""

    def check(self) -> None:
        """Raises: SettingError for settings that the grouping leaves without effect."""
        if self.grouping is None:
            self.refuse("num_groups", "group_seed", "wordnet", because="as no --grouping is asked for")
            return
        because = f"as --grouping is {self.grouping}"
        if self.grouping not in NUMBERED:
            self.refuse("num_groups", because=because)
        if self.grouping not in SEEDED:
            self.refuse("group_seed", because=because)
        if self.grouping not in BY_WORDNET:
            self.refuse("wordnet", because=because)
