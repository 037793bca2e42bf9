"""Which classes, and how they are chosen."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SelectSettings:
    """Choosing classes."""

    k: int = 10
    """Number of classes to choose: those most confused with one another."""
    classes: Path | None = None
    """Take the classes of this file instead, one class id a line."""
