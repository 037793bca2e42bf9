"""The stage `score`: two networks, each trained on one half of the training images, score the other half."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError, MissingInputError
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.halves import halves
from rescale_fast.image_subset.sample import check_classes, take_images
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.loaders.augment import Augment
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.own import code_digest
from rescale_fast.run.folder import RunFolder, digest, existing
from rescale_fast.run.sampling import load_chosen
from rescale_fast.scores.score import Half, pending_halves, score_halves
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.scores.types import Scores
from rescale_fast.terminal import track
from rescale_fast.types import Track, silent

WEAK = 0.5  # of the mean probability of the true class


def score(
    folder: RunFolder,
    dataset: Dataset,
    source: Path,
    corrections: Path | None,
    settings: ScoreSettings,
    machine: MachineSettings,
) -> None:
    """Make scores/part-a.parquet and part-b.parquet: each half scored by a network trained on the other."""
    if "train" not in dataset.splits:
        raise MissingInputError(f"{dataset.name} has no train split, so there is nothing to score.")
    augment: Augment = "shift" if dataset.kind == "glyphs" else "crop-flip"
    made_from = {"dataset": dataset.digest, source.stem: digest(source)}
    if corrections is not None:
        made_from["corrections"] = digest(existing(corrections, "--corrections"))
    made_from |= code_digest(settings.score_network)
    origin = Origin(made_from, {**asdict(settings), "augment": augment})

    def load(path: Path) -> Scores:
        if pending_halves(path, origin):
            raise ArtifactError(f"{path}: not finished.")
        return Scores.load(path, probabilities=False)

    def make() -> Scores:
        classes = load_chosen(folder, source)
        check_classes(dataset, classes)
        subset = take_images(dataset, classes, origin, read_corrections(corrections) if corrections else {})
        score_images(folder.scores, dataset, subset, augment, settings, machine, track=track)
        return load(folder.scores)

    folder.reuse_or_make(
        "score",
        folder.scores,
        origin,
        load,
        make,
        describe=_describe,
        work=lambda made: (len(made.paths), "images"),
    )


def _describe(made: Scores) -> str:
    sure = float(np.nanmean(made.true_probability))
    weak = "; too little to tell a label error from a hard image: raise --score-epochs" if sure < WEAK else ""
    return f"{len(made.paths):,} train images, on average {100 * sure:.1f} % sure{weak}"


def score_images(
    target: Path,
    dataset: Dataset,
    subset: ImageSubset,
    augment: Augment,
    settings: ScoreSettings,
    machine: MachineSettings,
    *,
    track: Track = silent,
) -> None:
    """Make the parts that are missing, by way of a beton for each half, which are deleted afterwards.

    Args: target: folder of the parts; finished ones of the subset's origin are kept. subset: its train is scored.
    """
    halved = halves(dataset, subset, settings.score_seed)
    betons = target / "betons"
    shutil.rmtree(betons, ignore_errors=True)

    def export(name: str, split: str) -> Half:
        images, beton = halved.split(split), betons / f"{name}.beton"
        info = export_beton(
            dataset.root,
            halved,
            split,
            beton,
            ExportSettings(),
            subset.origin,
            num_threads=machine.threads,
            track=track,
        )
        return Half(beton, info, images.paths, images.labels, images.new_labels)

    try:
        both = {"a": export("a", "train"), "b": export("b", "val")}
        score_halves(target, both, augment, settings, subset.origin, machine=machine, track=track)
    finally:
        shutil.rmtree(betons, ignore_errors=True)
