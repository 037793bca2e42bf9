"""Which classes, and how they are chosen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rescale_fast.class_subset.weights import PairWeights


@dataclass(frozen=True)
class SelectSettings:
    """Choosing classes."""

    k: int = 10
    """Number of classes to choose."""
    method: Literal["max-confusion", "validation-outcomes", "lowest-accuracy", "random"] = "max-confusion"
    """How: those most confused with one another; those that misclassified images point to (a reconstruction of
    ReIN/RePL, see --rule); those of the lowest accuracy; or any."""
    rule: Literal["votes", "errors+half", "lowest+confused"] = "votes"
    """The reading of ReIN/RePL's rule that `validation-outcomes` follows."""
    vote_pool: float = 1.5
    """With the rule `votes`: how many times k classes, from the lowest accuracy up, may vote."""
    pair_weights: PairWeights = "counts"
    """What counts as confused: images (`counts`), shares of each class's images (`rates`), probability (`soft`)."""
    effort: Literal["greedy", "fast", "thorough", "prove"] = "fast"
    """How hard to search: `greedy` takes milliseconds and falls well short; `fast` takes a second or two and is
    near the best there is; `thorough` searches on for --seconds; `prove` also bounds, in that time, what any choice
    could reach."""
    seconds: float = 120.0
    """Time that `thorough` and `prove` may take."""
    search_seed: int = 0
    """Seed of the search, and of `random`. `greedy` and `fast` depend on nothing else; the others on their time too."""
    classes: Path | None = None
    """Take the classes of this file instead, one class id a line."""
    published: str | None = None
    """Take a published list instead: ReIN30/50/100/150/200, RePL30/50, Imagenette, Imagewoof, Imagewang, ImageBirds,
    ImageNet100-CMC, ImageNet100-Kaggle, ImageNet16-120 or TinyImageNet-200."""


@dataclass(frozen=True)
class GroupSettings:
    """Coarse classes: many classes become one."""

    grouping: str | None = None
    """How: `random`, `confused` (those most confused with one another), `wordnet` (by common parent),
    `wordnet-balanced`, `coarse67` (67 labels for ImageNet's classes), or a CSV of class ids and coarse labels."""
    num_groups: int = 20
    """How many groups; a table has its own number."""
    group_seed: int = 0
    """Seed of `random` and `confused`."""
    wordnet: Path = Path("/usr/share/wordnet/data.noun")
    """WordNet 3.0's nouns, as in Debian's package wordnet-base."""
