"""Which classes, and how they are chosen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class SelectSettings:
    """Choosing classes."""

    k: int = 10
    """Number of classes to choose: those most confused with one another."""
    effort: Literal["greedy", "fast"] = "fast"
    """How hard to search: `greedy` takes milliseconds and falls well short; `fast` takes a second or two."""
    search_seed: int = 0
    """Seed of the search; the result depends on nothing else."""
    classes: Path | None = None
    """Take the classes of this file instead, one class id a line."""
