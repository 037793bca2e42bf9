"""Which classes, and how they are chosen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rescale_fast.class_subset.weights import PairWeights


@dataclass(frozen=True)
class SelectSettings:
    """Choosing classes."""

    k: int = 10
    """Number of classes to choose: those most confused with one another."""
    pair_weights: PairWeights = "counts"
    """What counts as confused: images (`counts`), shares of each class's images (`rates`), probability (`soft`)."""
    effort: Literal["greedy", "fast", "thorough", "prove"] = "fast"
    """How hard to search: `greedy` takes milliseconds and falls well short; `fast` takes a second or two and is
    near the best there is; `thorough` searches on for --seconds; `prove` also bounds, in that time, what any choice
    could reach."""
    seconds: float = 120.0
    """Time that `thorough` and `prove` may take."""
    search_seed: int = 0
    """Seed of the search. `greedy` and `fast` depend on nothing else, the others on the time they are given too."""
    classes: Path | None = None
    """Take the classes of this file instead, one class id a line."""
