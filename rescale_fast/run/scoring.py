"""The stage `score`: two networks, each trained on one half of the training images, score the other half."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.beton.types import BetonInfo
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError, MissingInputError
from rescale_fast.export.settings import ExportSettings
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.sample import check_classes, take_images
from rescale_fast.image_subset.scores import Scores
from rescale_fast.image_subset.settings import ScoreSettings
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from rescale_fast.loaders.augment import Augment
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.own import code_digest
from rescale_fast.run.folder import RunFolder, digest, existing
from rescale_fast.run.sampling import load_chosen
from rescale_fast.terminal import track
from rescale_fast.types import Float32Array, IntArray, Track, silent

HALVES = {"a": ("val", "train"), "b": ("train", "val")}  # part -> (half trained on, half scored)
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
        if _pending(path, origin):
            raise ArtifactError(f"{path}: not finished.")
        return Scores.load(path, probabilities=False)

    def make() -> Scores:
        classes = load_chosen(folder, source)
        check_classes(dataset, classes)
        subset = take_images(dataset, classes, origin, read_corrections(corrections) if corrections else {})
        score_halves(folder.scores, dataset, subset, augment, settings, machine, track=track)
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


def _pending(path: Path, origin: Origin) -> list[str]:
    """The halves without a finished part of this origin."""
    pending = []
    for half in HALVES:
        try:
            if not Scores.load(path / f"part-{half}.parquet", probabilities=False).origin.same_as(origin):
                pending.append(half)
        except ArtifactError:  # absent, damaged, or of another version
            pending.append(half)
    return pending


def score_halves(
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
    from rescale_fast.export.beton import export_beton
    from rescale_fast.image_subset.score import halves, score_half, score_size

    halved = halves(dataset, subset, settings.score_seed)
    betons = target / "betons"
    shutil.rmtree(betons, ignore_errors=True)
    try:
        infos = {
            half: export_beton(
                dataset.root, halved, half, betons / f"{half}.beton", ExportSettings(), subset.origin,
                num_threads=machine.threads, track=track,
            )
            for half in ("train", "val")
        }  # fmt: skip
        size = score_size(settings, max(max(info.max_width, info.max_height) for info in infos.values()))
        batch = min(settings.score_batch_size, *(info.num_images for info in infos.values()))
        for part in _pending(target, subset.origin):
            trained, scored = HALVES[part]
            rows, probabilities = score_half(
                betons / f"{trained}.beton", betons / f"{scored}.beton", subset.class_ids, size, augment,
                replace(settings, score_batch_size=batch), machine=machine, track=track,
            )  # fmt: skip
            made = _scores(halved.split(scored), rows, probabilities, infos[scored], subset.origin)
            made.save(target / f"part-{part}.parquet")
    finally:
        shutil.rmtree(betons, ignore_errors=True)


def _scores(
    images: SubsetImages, rows: IntArray, probabilities: Float32Array, info: BetonInfo, origin: Origin
) -> Scores:
    """Scores of a half, in its order, those of files that could not be read included."""
    reasons = {skipped["path"]: skipped["reason"] for skipped in info.skipped}
    full = np.full((len(images), probabilities.shape[1]), np.nan, np.float32)
    full[rows] = probabilities
    return Scores(
        origin=origin,
        paths=images.paths,
        labels=images.labels,
        true_probability=full[np.arange(len(images)), images.new_labels],
        probabilities=full,
        skipped=tuple(reasons.get(path) for path in images.paths),
    )
