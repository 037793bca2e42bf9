"""Finding flipped labels on purpose: precision and recall of each of cleanlab's ways, on two-half scores of glyphs.

    python -m benchmarks.bench_label_errors [--quick]

5 % of the training labels of a glyphs data set are changed to another class, drawn at random; two networks, each
trained on one half of these labels, score the other half; the images named are compared with those that were changed.
Over 3 seeds (of flips, halves and weights); with --quick, one smaller set and one seed. Writes
benchmarks/results/label_errors.csv, or, with --quick, only prints.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.table import write_table
from rescale_fast.api.scoring import score_subset
from rescale_fast.artifact import Origin
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.datasets.glyphs import GlyphSettings, open_glyphs
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.image_subset.label_errors import likely_errors
from rescale_fast.image_subset.sample import take_images
from rescale_fast.machine import MachineSettings
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.scores.types import Scores
from rescale_fast.terminal import track
from rescale_fast.types import IntArray

SHARE = 0.05
OURS = "low_self_confidence"
OTHER_WAYS = ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "low_normalized_margin")
NOWHERE = Origin({}, {})


def flipped(dataset: Dataset, seed: int) -> tuple[Dataset, set[str]]:
    """The data set with 5 % of its training labels changed, and the paths of those images."""
    rng = np.random.default_rng(seed)
    train = dataset.splits["train"]
    labels = train.labels.copy()
    changed = rng.choice(len(labels), round(SHARE * len(labels)), replace=False)
    shifts = rng.integers(1, dataset.num_classes, len(changed))
    labels[changed] = (labels[changed] + shifts) % dataset.num_classes
    splits = dict(dataset.splits) | {"train": ImageList(train.paths, labels)}
    return replace(dataset, splits=splits), {train.paths[i] for i in changed}


def two_half_scores(dataset: Dataset, seed: int, folder: Path) -> Scores:
    ids = dataset.class_ids
    classes = ClassSubset(NOWHERE, "all", len(ids), tuple(range(len(ids))), ids, ids, {})
    subset = take_images(dataset, classes, NOWHERE, {})
    score_subset(folder, dataset, subset, "shift", ScoreSettings(score_seed=seed), MachineSettings(), track=track)
    return Scores.load(folder)


def by_cleanlab(scores: Scores, way: str) -> set[str]:
    from cleanlab.filter import find_label_issues

    found: IntArray = np.flatnonzero(find_label_issues(scores.labels, scores.probabilities, filter_by=way, n_jobs=1))
    return {scores.paths[i] for i in found}


def measure(num_classes: int, train: int, seed: int) -> list[dict[str, object]]:
    glyphs = open_glyphs(GlyphSettings(classes=num_classes, train=train, val=1), track=track)
    dataset, changed = flipped(glyphs, seed)
    with tempfile.TemporaryDirectory() as folder:
        scores = two_half_scores(dataset, seed, Path(folder))
    assert scores.probabilities is not None
    named = {way: by_cleanlab(scores, way) for way in OTHER_WAYS}
    named[f"{OURS} (ours)"] = set(
        likely_errors(scores.paths, scores.labels, scores.probabilities, dataset.class_ids).paths
    )
    top1 = float((scores.probabilities.argmax(axis=1) == scores.labels).mean())
    return [
        {
            "classes": num_classes, "images": len(scores.paths), "seed": seed, "agrees_with_label": f"{top1:.3f}",
            "way": way, "flipped": len(changed), "named": len(found),
            "precision": f"{len(found & changed) / max(1, len(found)):.3f}",
            "recall": f"{len(found & changed) / len(changed):.3f}",
        }
        for way, found in named.items()
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    table: list[dict[str, object]] = []
    for num_classes, train in [(20, 60)] if quick else [(30, 100), (60, 120)]:
        for seed in range(1 if quick else 3):
            table += measure(num_classes, train, seed)
            for row in table[-len(OTHER_WAYS) - 1 :]:
                print("  ".join(f"{key} {cell}" for key, cell in row.items()), flush=True)
    if not quick:
        write_table("label_errors", table)


if __name__ == "__main__":
    main()
