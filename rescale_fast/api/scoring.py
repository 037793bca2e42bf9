"""Scores of training images, by networks that have not seen them."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rescale_fast.api.classes import Classes, as_classes
from rescale_fast.api.origins import content_digest, expect
from rescale_fast.artifact import Origin, file_sha256
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import MissingInputError, SettingError
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.extras import need_to_load
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.halves import halves
from rescale_fast.image_subset.sample import check_classes, take_images
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.loaders.augment import Augment
from rescale_fast.lock import lock_beside
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.given import check_callable, named_network
from rescale_fast.networks.own import code_digest
from rescale_fast.networks.registry import check_network, definition_of
from rescale_fast.scores.score import Half, pending_halves, score_halves
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.scores.types import Scores
from rescale_fast.terminal import track
from rescale_fast.types import Track, silent

if TYPE_CHECKING:
    from torch import nn


def score_images(
    dataset: Dataset,
    classes: Classes,
    network: "str | Callable[..., nn.Module] | None" = None,
    *,
    score_epochs: int = 16,
    score_batch_size: int = 64,
    score_learning_rate: float = 0.1,
    score_size: int | None = None,
    score_seed: int = 0,
    corrections: "str | Path | None" = None,
    folder: "str | Path | None" = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    num_threads: int = 0,
    progress: bool = False,
) -> Scores:
    """Score each training image of the classes by a network that has not seen it: each of two halves is scored by one
    that was trained on the other.

    Args:
        classes: as for `choose_images`.
        network: which is trained: a name, a reference or a callable, as `train` takes them. By default `small` up to
            64 px, else ResNet18.
        score_epochs: passes over each half. score_batch_size: images a step. score_learning_rate: the highest of the
            one-cycle schedule. score_size: side of the images, pixels; by default their own, at most 224.
        score_seed: of the halves, the weights and the order.
        corrections: a CSV with the columns path and class, as for `choose_images`.
        folder: keep the parts (parquet, one a half) there, and go on from them when called again.
        device: "auto" takes a GPU if there is one. num_threads: 0 = all cores; on the CPU the scores' last digits
            depend on it. progress: show a bar.
    Returns: Scores: paths (N,), labels (N,) int64 in the data set, true_probability (N,) float32 of the class that each
        has, probabilities (N, k) float32 of all; NaN of files that could not be read, for reasons in `skipped`.
    Raises: SettingError for a value that is none of these; MissingInputError without training images; NetworkError for
        a network that does not fit; ArtifactError for classes of another data set; DatasetError for a class with fewer
        than 2 images; TrainingError for a loss that is not a number.
    """
    check_callable(network)
    settings = ScoreSettings(
        network if isinstance(network, str) else None, score_epochs, score_batch_size, score_learning_rate, score_size,
        score_seed,
    )  # fmt: skip
    machine = MachineSettings(device, num_threads)
    expect("dataset", dataset, Dataset)
    need_to_load("scoring images", "ffcv")
    classes = as_classes(dataset, classes)
    made_from = {classes.schema.partition("/")[0]: content_digest(classes)}
    listed = Path(corrections) if corrections is not None else None
    if listed is not None:
        if not listed.exists():
            raise SettingError(f"--corrections {listed}: no such file or folder.")
        made_from["corrections"] = file_sha256(listed)
    with ExitStack() as held:
        name = held.enter_context(named_network(network, len(classes.class_ids)))
        settings = replace(settings, score_network=name)
        if name is not None:
            check_network(name)
        target = Path(folder) if folder is not None else Path(held.enter_context(tempfile.TemporaryDirectory()), "s")
        held.enter_context(lock_beside(target, "score"))
        origin, shown = scores_origin(dataset, made_from, settings), track if progress else silent
        make_scores(target, dataset, classes, listed, settings, origin, machine, track=shown)
        return Scores.load(target)


def scores_origin(dataset: Dataset, made_from: dict[str, str], settings: ScoreSettings) -> Origin:
    """What scores come from. made_from: digests of the classes and the corrections."""
    config = {**asdict(settings), "augment": _augment(dataset), **definition_of(settings.score_network)}
    return Origin({"dataset": dataset.digest, **made_from, **code_digest(settings.score_network)}, config)


def _augment(dataset: Dataset) -> Augment:
    return "shift" if dataset.kind == "glyphs" else "crop-flip"


def make_scores(
    target: Path,
    dataset: Dataset,
    classes: ClassSubset | ClassGrouping,
    corrections: Path | None,
    settings: ScoreSettings,
    origin: Origin,
    machine: MachineSettings,
    *,
    track: Track = silent,
) -> None:
    """Make the parts of `target` that are missing: of all training images of the classes. Raises: as score_images."""
    if "train" not in dataset.splits:
        raise MissingInputError(f"{dataset.name} has no train split, so there is nothing to score.")
    if pending_halves(target, origin):
        check_classes(dataset, classes)
        subset = take_images(dataset, classes, origin, read_corrections(corrections) if corrections else {})
        score_subset(target, dataset, subset, _augment(dataset), settings, machine, track=track)


def score_subset(
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
