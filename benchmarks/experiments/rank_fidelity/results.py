"""The raw results: one finished training, one line of trainings.jsonl, added whole or not at all."""

import base64
import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiments.journal import add_line, claimed, read_lines

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, order=True)
class Cell:
    """What one training is of; the name of a line."""

    condition: str  # what is trained on
    share: float  # of the images that a full training sees
    seed: int
    network: str


@dataclass(frozen=True)
class Training:
    """A line."""

    cell: Cell
    top1: float  # on the condition's own validation images
    num_train: int  # different images trained on
    images_seen: int
    checkpoints: tuple[float, ...]  # top-1 on the way, on fewer validation images; the last is the end
    cpu_seconds: float
    correct: NDArray[np.bool_]  # (V,) of each validation image, class after class

    def to_line(self) -> str:
        """One line of JSON; `correct` as packed bits in base64."""
        bits = base64.b64encode(np.packbits(self.correct).tobytes()).decode()
        rest = {name: value for name, value in asdict(self).items() if name not in ("cell", "correct")}
        return json.dumps({**asdict(self.cell), **rest, "num_val": len(self.correct), "correct": bits})

    @classmethod
    def from_line(cls, line: str) -> "Training":
        """The reverse of `to_line`."""
        values = json.loads(line)
        cell = Cell(*(values.pop(name) for name in ("condition", "share", "seed", "network")))
        packed = np.frombuffer(base64.b64decode(values.pop("correct")), np.uint8)
        correct = np.unpackbits(packed, count=values.pop("num_val")).astype(bool)
        return cls(cell, correct=correct, **(values | {"checkpoints": tuple(values["checkpoints"])}))


def read_trainings(path: Path) -> dict[Cell, Training]:
    """All finished trainings."""
    return {one.cell: one for one in map(Training.from_line, read_lines(path))}


def add_training(path: Path, training: Training) -> None:
    """Add a line; several processes may."""
    add_line(path, training.to_line())


def claim(folder: Path, cell: Cell) -> AbstractContextManager[bool]:
    """Whether this process alone works on the cell now; the claim ends with the process, however that ends."""
    return claimed(folder, f"{cell.condition}@{cell.share:.4g}-{cell.network}-{cell.seed}")
