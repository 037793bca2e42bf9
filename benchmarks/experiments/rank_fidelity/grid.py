"""The grid: which trainings, in which order; each worker does the first that nobody has done or is doing.

    python -m benchmarks.experiments.rank_fidelity.grid [--folder DIR] [--workers N] [--device cuda]

plan.csv is read again before each training, so it may be changed meanwhile: its rows (condition, share of the full
training's images, seed, which networks) are done from the top, network by network. A row whose choice is not there
waits. Killed at any moment, at most the trainings in flight are lost: run the same command again.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.experiments.journal import in_processes
from benchmarks.experiments.rank_fidelity.choices import Choice
from benchmarks.experiments.rank_fidelity.networks import FAMILIES, GUIDES, NETWORKS
from benchmarks.experiments.rank_fidelity.parts import Part
from benchmarks.experiments.rank_fidelity.pool import Pool, PoolSettings
from benchmarks.experiments.rank_fidelity.results import RESULTS, Cell, Training, add_training, claim, read_trainings
from benchmarks.experiments.rank_fidelity.training import Outcome, train
from rescale_fast.artifact import read_json, write_whole


@dataclass(frozen=True)
class Grid:
    """A folder with settings.json and plan.csv, to which the results are added."""

    folder: Path

    @property
    def trainings(self) -> dict[Cell, Training]:
        """What is finished."""
        return read_trainings(self.folder / "trainings.jsonl")

    def settings(self) -> tuple[PoolSettings, int]:
        """What is drawn, and how many times a full training sees each image."""
        values = read_json(self.folder / "settings.json", "rank_fidelity/1")
        return PoolSettings(**values["pool"]), values["epochs"]

    def cells(self) -> Iterator[Cell]:
        """In the order of the plan."""
        with (self.folder / "plan.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for network in _networks(row["networks"]):
                    yield Cell(row["condition"], float(row["share"]), int(row["seed"]), network)

    def part(self, pool: Pool, condition: str) -> Part | None:
        """What the condition trains on; None if its choice is not there yet."""
        if condition == "full":
            return Part.all(pool)
        if condition in ("half-a", "half-b"):
            return Part.half(pool, condition == "half-b")
        path = self.folder / "choices" / f"{condition}.json"
        return Choice.load(path).part(pool) if path.exists() else None


def _networks(names: str) -> list[str]:
    return list(FAMILIES[names]) if names in FAMILIES else names.split()


def work(folder: Path, device: str = "cpu") -> None:
    """Do what is left of the plan."""
    import torch

    torch.set_num_threads(1)
    grid = Grid(folder)
    settings, epochs = grid.settings()
    pool = Pool.open(settings)
    full = pool.train.size * epochs
    while (found := _do_one(grid, pool, full, device)) is not None:
        print(f"{found.cell} {found.top1:.4f} in {found.cpu_seconds:.1f} CPU-seconds", flush=True)


def _do_one(grid: Grid, pool: Pool, full: int, device: str) -> Training | None:
    done = grid.trainings
    for cell in grid.cells():
        if cell in done or (part := grid.part(pool, cell.condition)) is None:
            continue
        with claim(grid.folder / "claims", cell) as mine:
            if mine and cell not in grid.trainings:
                return _do(grid, pool, part, cell, round(full * cell.share), device)
    return None


def _do(grid: Grid, pool: Pool, part: Part, cell: Cell, images_seen: int, device: str) -> Training:
    outcome = train(NETWORKS[cell.network], pool, part, images_seen=images_seen, seed=cell.seed, device=device)
    if cell.network in GUIDES:
        _keep_predictions(grid.folder / "guides" / f"{cell.network}-{cell.condition}.npz", outcome)
    correct = outcome.predicted == part.labels(pool, part.val)
    training = Training(
        cell, float(correct.mean()), len(part.train), images_seen, outcome.checkpoints, outcome.cpu_seconds, correct
    )
    add_training(grid.folder / "trainings.jsonl", training)
    return training


def _keep_predictions(path: Path, outcome: Outcome) -> None:
    path.parent.mkdir(exist_ok=True)
    probability = np.rint(outcome.probability * 255).astype(np.uint8)  # fine enough to put images in order
    with write_whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, predicted=outcome.predicted.astype(np.int16), probability=probability)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu or cuda; the workers share it")
    arguments = parser.parse_args()
    return in_processes(work, (arguments.folder, arguments.device), arguments.workers)


if __name__ == "__main__":
    sys.exit(main())
