"""The grid: every way in every case with every seed; a training that is there already is not done again.

    python -m benchmarks.experiments.recipe.grid [--parts CASE ...] [--ways NAME ...] [--seeds N] [--workers N]

Seed by seed, and in each case all ways one after another, so that what is compared was trained at one time. Killed at
any moment, at most the trainings in flight are lost: run the same command again. A result belongs to the settings it
was trained with: when a recipe changes, its trainings are done anew. On one thread for each worker.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from benchmarks.experiments.journal import add_line, claimed, in_processes, read_lines
from benchmarks.experiments.recipe.cases import CASES
from benchmarks.experiments.recipe.sets import open_set
from benchmarks.experiments.recipe.trainings import Outcome
from benchmarks.experiments.recipe.ways import Parts, Way, ways
from rescale_fast.cache import cache_folder

TRAININGS = Path(__file__).parent / "results" / "trainings.jsonl"


@dataclass(frozen=True)
class Cell:
    """What one training is of; the name of a line."""

    case: str  # of CASES
    way: str
    digest: str  # of the way's settings
    seed: int


@dataclass(frozen=True)
class Wanted:
    """Which part of the grid."""

    cases: tuple[str, ...] = tuple(CASES)
    ways: tuple[str, ...] = ()  # all
    seeds: int = 5

    def cells(self) -> Iterator[tuple[Cell, Way]]:
        """In order."""
        for seed in range(self.seeds):
            for case in self.cases:
                for way in _ways(case):
                    if seed < CASES[case].seeds and (not self.ways or way.name in self.ways):
                        yield Cell(case, way.name, way.digest, seed), way


@cache
def _ways(case: str) -> tuple[Way, ...]:
    return tuple(ways(CASES[case]))


@cache
def _parts(case: str) -> Parts:
    return open_set(CASES[case].images)


def read_trainings(path: Path) -> dict[Cell, Outcome]:
    """All that are finished."""
    found = {}
    for line in read_lines(path):
        values = json.loads(line)
        cell = Cell(*(values.pop(name) for name in ("case", "way", "digest", "seed")))
        found[cell] = Outcome(**values)
    return found


def work(path: Path, wanted: Wanted) -> None:
    """Do what is left."""
    import torch

    torch.set_num_threads(1)
    for cell, way in wanted.cells():
        if cell in read_trainings(path):
            continue
        with claimed(cache_folder() / "recipe-claims", f"{cell.case}-{cell.digest}-{cell.seed}") as mine:
            if mine and cell not in read_trainings(path):
                outcome = way.train(_parts(cell.case), cell.seed)
                add_line(path, json.dumps(asdict(cell) | asdict(outcome)))
                print(f"{cell.case}, {cell.way}, {cell.seed}: {outcome}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(CASES), default=list(CASES), help="cases")
    parser.add_argument("--ways", nargs="+", default=[], help="names of ways; by default all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--file", type=Path, default=TRAININGS)
    arguments = parser.parse_args()
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    wanted = Wanted(tuple(arguments.parts), tuple(arguments.ways), arguments.seeds)
    for case in wanted.cases:
        _parts(case)  # drawn once, before the workers would
    return in_processes(work, (arguments.file, wanted), arguments.workers)


if __name__ == "__main__":
    sys.exit(main())
