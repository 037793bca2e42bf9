"""Scores training images by the two-half method: a network trained on one half scores the other, and the reverse.

Reads the two halves as betons; makes Scores, a part for each half. SGD with Nesterov momentum, one-cycle learning rate,
no label smoothing, which would keep every probability below one.
Source: Gao 2021 ("Subsets of ImageNet"), image method 2. The network there is not named; any will do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import ArtifactError
from rescale_fast.loaders import beton_loader
from rescale_fast.loaders.augment import Augment
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.machine import MachineSettings
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.scores.types import Scores
from rescale_fast.train.defaults import default_network, default_size
from rescale_fast.train.engine import Advice, Trainer, Training, trainer_of
from rescale_fast.train.recipe import SGD, OneCycle, Recipe
from rescale_fast.types import Advance, Float32Array, IntArray, Track, silent

OTHER = {"a": "b", "b": "a"}


@dataclass(frozen=True)
class Half:
    """Half of the training images: as a list, and as a beton whose `index` is a position in the list."""

    beton: Path
    info: BetonInfo  # the JSON beside it
    paths: tuple[str, ...]  # (n,)
    labels: IntArray  # (n,) in the data set
    new_labels: IntArray  # (n,) in the subset


def pending_halves(target: Path, origin: Origin) -> list[str]:
    """Which of "a" and "b" have no finished part of this origin in a folder of scores."""
    pending = []
    for name in OTHER:
        try:
            if not Scores.load(_part(target, name), probabilities=False).origin.same_as(origin):
                pending.append(name)
        except ArtifactError:  # absent, damaged, or of another version
            pending.append(name)
    return pending


def score_halves(
    target: Path,
    halves: Mapping[str, Half],
    augment: Augment,
    settings: ScoreSettings,
    origin: Origin,
    *,
    machine: MachineSettings = MachineSettings(),
    track: Track = silent,
) -> None:
    """Make the parts of `target` that are missing: each half is scored by a network trained on the other.

    Args: target: a folder, where finished parts of the origin are kept. halves: "a" and "b", of the same classes.
    Raises: UnknownNetworkError; NetworkError for images that the network does not take; TrainingError for a loss that
        is no number, and for too little memory.
    """
    infos = [half.info for half in halves.values()]
    training = plan_scoring(settings, *infos, augment=augment)
    for name in pending_halves(target, origin):
        rows, probabilities = score_half(halves[OTHER[name]], halves[name], training, machine=machine, track=track)
        _scores(halves[name], rows, probabilities, origin).save(_part(target, name))


def plan_scoring(settings: ScoreSettings, *infos: BetonInfo, augment: Augment) -> Training:
    """The training on betons of halves; a batch is as large as the smaller half, if that has fewer images."""
    size = settings.score_size or default_size(*infos)
    recipe = Recipe(
        epochs=settings.score_epochs,
        batch_size=min(settings.score_batch_size, *(info.num_images for info in infos)),
        learning_rate=settings.score_learning_rate,
        schedule=OneCycle(),
        weight_decay=5e-4,
        augment=augment,
        optimizer=SGD(nesterov=True),
        half_precision=True,
    )
    network = settings.score_network or default_network(size)
    return Training(network=network, image_size=size, recipe=recipe, seed=settings.score_seed)


def score_half(
    trained: Half,
    scored: Half,
    training: Training,
    *,
    machine: MachineSettings = MachineSettings(),
    track: Track = silent,
) -> tuple[IntArray, Float32Array]:
    """Train a network on one half and ask it about the other.

    Returns: rows, (n,) the `index` of each image in the beton scored; probabilities, (n, k) of each class.
    Raises: as score_halves.
    """
    device, recipe = machine.torch_device(), training.recipe
    open_beton = partial(
        beton_loader,
        batch_size=recipe.batch_size,
        image_size=training.image_size,
        augment=recipe.augment,
        device=device,
        num_workers=machine.threads,
        seed=training.seed,
        reuse_buffers=True,
    )
    loader, to_score = open_beton(trained.beton, split="train"), open_beton(scored.beton, split="val")
    advice = Advice(
        not_a_number=f"Lower the --score-learning-rate (it is {recipe.learning_rate:g}).",
        too_little_memory="Lower --score-batch-size or --score-size.",
        size_option="--score-size",
    )
    total = recipe.epochs * len(loader) * recipe.batch_size + to_score.num_images
    with (
        trainer_of(training, len(trained.info.class_ids), device, advice, num_threads=machine.threads) as trainer,
        track(f"Training {training.network} to score", total=total) as advance,
    ):
        trainer.train(loader, advance)
        return _ask(trainer, to_score, advance)


def _ask(trainer: Trainer, loader: BetonLoader, advance: Advance) -> tuple[IntArray, Float32Array]:
    rows, probabilities = [], []
    for logits, _, indices in trainer.ask(loader, advance):
        rows.append(indices.cpu().numpy().astype(np.int64))
        probabilities.append(logits.softmax(1).cpu().numpy())
    return np.concatenate(rows), np.concatenate(probabilities)


def _scores(half: Half, rows: IntArray, probabilities: Float32Array, origin: Origin) -> Scores:
    """Scores of a half, in its order, those of files that could not be read included."""
    reasons = {skipped["path"]: skipped["reason"] for skipped in half.info.skipped}
    full = np.full((len(half.paths), probabilities.shape[1]), np.nan, np.float32)
    full[rows] = probabilities
    return Scores(
        origin=origin,
        paths=half.paths,
        labels=half.labels,
        true_probability=full[np.arange(len(full)), half.new_labels],
        probabilities=full,
        skipped=tuple(reasons.get(path) for path in half.paths),
    )


def _part(target: Path, name: str) -> Path:
    return target / f"part-{name}.parquet"
