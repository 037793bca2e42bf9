"""Choosing images by difficulty at the size of ImageNet, beside a plain NumPy loop over the classes, in one run.

    python -m benchmarks.bench_image_subset [--quick]

1,000 classes of 732 to 1,300 scored images (1.28 million; 1,000 of 73 to 130 with --quick), M = 500 (50) of each. Rows:
the choice itself; with the hashing of the file names that its order comes from; and from scores.parquet on disk to
image_subset.parquet on disk. The peer reads Gao's description plainly: for each class, count the bins, raise the
threshold while that leaves too few images, sample each bin. Both must take as many of each bin. Medians of 3; writes
benchmarks/results/image_subset.csv, or, with --quick, only prints.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import write_table
from rescale_fast.artifact import Origin
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.image_subset.choose import BINS, choose_by_difficulty
from rescale_fast.image_subset.order import stable_keys
from rescale_fast.image_subset.sample import Evidence, sample_images
from rescale_fast.image_subset.settings import SampleSettings
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.scores.types import Scores
from rescale_fast.types import Float32Array, IntArray

NUM_CLASSES = 1000
REPEATS = 3
NOWHERE = Origin({}, {})


@dataclass(frozen=True)
class Scored:
    """A data set of the shape of ImageNet's train split, and scores as a good network gives them: most near 1."""

    dataset: Dataset
    scores: Scores
    per_class: int


def made_up(scale: float) -> Scored:
    rng = np.random.default_rng(0)
    sizes = np.where(rng.random(NUM_CLASSES) < 0.93, 1300, rng.integers(732, 1300, NUM_CLASSES))
    labels = np.repeat(np.arange(NUM_CLASSES), (scale * sizes).astype(int))
    ids = tuple(f"n{label:08d}" for label in range(NUM_CLASSES))
    paths = tuple(f"train/{ids[label]}/{ids[label]}_{i}.JPEG" for i, label in enumerate(labels.tolist()))
    p = rng.beta(0.9, 0.35, len(labels)).astype(np.float32)
    val = ImageList(tuple(f"val/{one}/0.JPEG" for one in ids), np.arange(NUM_CLASSES))
    dataset = Dataset("made up", "folder", Path("/"), ids, ids, {"train": ImageList(paths, labels), "val": val})
    return Scored(dataset, Scores(NOWHERE, paths, labels, p, None, (None,) * len(paths)), int(500 * scale))


def numpy_choice(labels: IntArray, true_probability: Float32Array, per_class: int) -> IntArray:
    """The peer."""
    rng = np.random.default_rng(0)
    chosen = []
    for label in range(NUM_CLASSES):
        images = np.flatnonzero(labels == label)
        bins = np.rint(100 * true_probability[images].astype(float)).astype(int)
        counts = np.bincount(bins, minlength=BINS)
        threshold = 0
        while np.minimum(counts, threshold + 1).sum() <= per_class:
            threshold += 1
        mixed = [rng.permutation(images[bins == one]) for one in range(BINS)]
        taken = np.concatenate([some[:threshold] for some in mixed])
        leftovers = np.concatenate([some[threshold : threshold + 1] for some in mixed])
        chosen += [taken, rng.choice(leftovers, per_class - len(taken), replace=False)]
    return np.sort(np.concatenate(chosen))


def timed(work: Callable[[], Any], repeats: int) -> tuple[Any, dict[str, str]]:
    """What it gives, and the median seconds it takes."""
    cpu, wall = [], []
    for _ in range(repeats):
        start, start_wall = time.process_time(), time.perf_counter()
        result = work()
        cpu.append(time.process_time() - start)
        wall.append(time.perf_counter() - start_wall)
    seconds = {"cpu_seconds": statistics.median(cpu), "wall_seconds": statistics.median(wall)}
    return result, {name: f"{value:.2f}" for name, value in seconds.items()}


def from_disk_to_disk(scored: Scored, folder: Path) -> ImageSubset:
    ids = scored.dataset.class_ids
    classes = ClassSubset(NOWHERE, "all", NUM_CLASSES, tuple(range(NUM_CLASSES)), ids, ids, {})
    scores = Scores.load(folder / "scores.parquet", probabilities=False)
    settings = SampleSettings(images="difficulty", per_class=scored.per_class)
    subset = sample_images(scored.dataset, classes, NOWHERE, settings, Evidence(scores=scores))
    subset.save(folder / "image_subset.parquet")
    return subset


def filled(scored: Scored, chosen: IntArray) -> IntArray:
    """(classes, bins) images chosen."""
    bins = np.rint(100 * scored.scores.true_probability[chosen].astype(float)).astype(int)
    counts = np.bincount(scored.scores.labels[chosen] * BINS + bins, minlength=NUM_CLASSES * BINS)
    return counts.reshape(NUM_CLASSES, BINS)


def check_same(scored: Scored, ours: IntArray, theirs: IntArray) -> None:
    """Bins differ by one at most (the leftovers), and hold as many in all."""
    difference = filled(scored, ours) - filled(scored, theirs)
    assert np.abs(difference).max() <= 1, "a bin differs by more than the leftovers"
    assert (filled(scored, ours).sum(axis=1) == scored.per_class).all()
    assert (difference.sum(axis=1) == 0).all()


def rows(scored: Scored) -> list[dict[str, object]]:
    labels, p, per_class = scored.scores.labels, scored.scores.true_probability, scored.per_class
    ids, paths = scored.dataset.class_ids, scored.dataset.splits["train"].paths
    keys = stable_keys(ids, labels, paths, "difficulty", 0)

    def with_keys() -> IntArray:
        return choose_by_difficulty(labels, p, stable_keys(ids, labels, paths, "difficulty", 0), per_class, ids)

    theirs, peer = timed(lambda: numpy_choice(labels, p, per_class), REPEATS)
    ours, bare = timed(lambda: choose_by_difficulty(labels, p, keys, per_class, ids), REPEATS)
    check_same(scored, ours, theirs)
    _, hashed = timed(with_keys, REPEATS)
    with tempfile.TemporaryDirectory() as folder:
        scored.scores.save(Path(folder) / "scores.parquet")
        subset, whole = timed(lambda: from_disk_to_disk(scored, Path(folder)), REPEATS)
    assert subset.train.indices.tolist() == ours.tolist(), "the same images"
    table: list[dict[str, object]] = [
        {"way": "NumPy, class by class", "runs": REPEATS, **peer},
        {"way": "the choice", "runs": REPEATS, **bare},
        {"way": "and hashing of names", "runs": REPEATS, **hashed},
        {"way": "scores on disk to image_subset.parquet", "runs": REPEATS, **whole},
    ]
    for row in table:
        row["images"] = len(labels)
    for row in table[:3]:  # the last does more than the peer
        row["times_faster"] = f"{float(peer['cpu_seconds']) / max(0.01, float(str(row['cpu_seconds']))):.1f}"
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the images; nothing is written")
    quick = parser.parse_args().quick
    table = rows(made_up(0.1 if quick else 1.0))
    for row in table:
        print("  ".join(f"{key} {cell}" for key, cell in row.items()), flush=True)
    if not quick:
        machine = f"{platform.machine()}, {os.cpu_count()} cores"
        write_table("image_subset", [row | {"machine": machine} for row in table])


if __name__ == "__main__":
    main()
