"""The raw results: one finished training, one line of trainings.jsonl, added whole or not at all."""

import base64
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    """All finished trainings; a last line that was cut off by a crash is not one."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return {one.cell: one for one in map(Training.from_line, lines)}


def add_training(path: Path, training: Training) -> None:
    """Add a line; several processes may."""
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)  # what a crash cut off
        file.write(f"{training.to_line()}\n".encode())
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def claim(folder: Path, cell: Cell) -> Iterator[bool]:
    """Whether this process alone works on the cell now; the claim ends with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{cell.condition}@{cell.share:.4g}-{cell.network}-{cell.seed}"
    with (folder / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
