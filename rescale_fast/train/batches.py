"""The images that a benchmark training learns and is tested on, as its recipe wants them."""

from functools import partial
from pathlib import Path

import numpy as np

from rescale_fast.artifact import write_whole
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.loaders import beton_loader
from rescale_fast.loaders.augment import AUGMENTS
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.machine import MachineSettings
from rescale_fast.train.group import Group
from rescale_fast.train.plan import Benchmark
from rescale_fast.train.recipe import Recipe
from rescale_fast.types import FloatArray


def open_loaders(
    betons: dict[str, Path],
    infos: dict[str, BetonInfo],
    training: Benchmark,
    machine: MachineSettings,
    group: Group,
) -> dict[str, BetonLoader]:
    """This rank's loaders of "train" and "val".

    Raises: SettingError for a batch that the ranks cannot share, or that is larger than the set; ArtifactError for a
        beton that is damaged, or has labels without a class.
    """
    recipe, num_ranks = training.recipe, group.count
    if recipe.batch_size % num_ranks:
        raise SettingError(
            f"--train-batch-size {recipe.batch_size}: expected a multiple of {num_ranks}, the ranks' number."
        )
    opened = partial(
        beton_loader,
        batch_size=recipe.batch_size // num_ranks,
        image_size=training.image_size,
        augment=recipe.augment,
        device=machine.torch_device(),
        num_workers=machine.threads,
        seed=training.seed,
        rank=group.ranks.rank,
        num_ranks=num_ranks,
        loader=training.loader,
        reuse_buffers=True,
    )
    normalise = None
    if recipe.centre == "image":
        normalise = mean_image(opened(betons["train"], split="val"), group), recipe.std
    drop_last = _drops_last(recipe, infos["train"].num_images, num_ranks)
    loaders = {
        "train": opened(betons["train"], split="train", normalise=normalise, drop_last=drop_last),
        "val": opened(betons["val"], split="val", normalise=normalise),
    }
    for loader in loaders.values():
        _check_labels(loader, len(infos["train"].class_ids))
    return loaders


def mean_image(loader: BetonLoader, group: Group = Group()) -> FloatArray:
    """(3, S, S) the mean of all images, of values from 0 to 1.

    Whole numbers are added up, so it is the same to the last bit whatever the order and the number of ranks.
    Args: loader: of split "val", which gives each image once, to one of the ranks.
    """
    import torch

    side = loader.image_size
    total = torch.zeros(3, side, side, dtype=torch.int64, device=loader.device)
    for images, *_ in loader:
        total += images.sum(0, dtype=torch.int64)
    mean: FloatArray = group.sum(total).cpu().numpy() / (255 * len(loader.dataset))
    return mean


def save_mean_image(path: Path, loader: BetonLoader) -> None:
    """Write the mean image that the loader takes off, if it does: (3, S, S) float32, of values from 0 to 1."""
    normalise = loader.settings.normalise
    if normalise is not None and normalise.side is not None:
        with write_whole(path) as temporary, temporary.open("wb") as file:
            np.save(file, normalise.mean)


def _drops_last(recipe: Recipe, num_images: int, num_ranks: int) -> bool:
    """Whether the last batch of an epoch is left out if it is not whole.

    A rank's last batch of one image always is: its features may be of one pixel, which has no deviation to be divided
    by in batch normalisation. It is another image in each epoch.
    """
    share = AUGMENTS[recipe.augment].copies * num_images // num_ranks
    return recipe.drops_last or share % (recipe.batch_size // num_ranks) == 1


def _check_labels(loader: BetonLoader, num_classes: int) -> None:
    wrong = np.flatnonzero((loader.labels < 0) | (loader.labels >= num_classes))
    if wrong.size:
        raise ArtifactError(
            f"{loader.path}: sample {wrong[0]} has the label {loader.labels[wrong[0]]}, but the JSON beside it "
            f"names {num_classes} classes, 0 to {num_classes - 1}. Export it again, or `rescale-fast relabel` it."
        )
