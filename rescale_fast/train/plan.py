"""A benchmark training with every setting resolved, and what a resumed one must share."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rescale_fast.artifact import Origin, to_json
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import NetworkError, SettingError, UnknownNetworkError
from rescale_fast.loaders.augment import AUGMENTS, Augment
from rescale_fast.loaders.settings import LoaderKind
from rescale_fast.networks.own import code_digest, is_reference, short_name
from rescale_fast.networks.registry import (
    build_for_training,
    check_network,
    check_own,
    definition_of,
    plain_name,
    takes,
)
from rescale_fast.networks.traits import normalisation_of, prototype
from rescale_fast.train.defaults import default_network, default_size
from rescale_fast.train.engine import Training
from rescale_fast.train.recipe import find_recipe
from rescale_fast.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Benchmark(Training):
    """A training that is reported, by the name of its recipe."""

    recipe_name: str
    loader: LoaderKind

    @property
    def folder_name(self) -> str:
        """What its folder is called: unlike that of another network, recipe, loader or seed."""
        loader = "" if self.loader == "ffcv" else f"-{self.loader}"
        name = f"{short_name(self.network)}-{self.recipe_name}{loader}-seed{self.seed}"
        return name.replace(":", "-").replace("/", "-")


def training_origin(training: Training, infos: Mapping[str, BetonInfo]) -> Origin:
    """What a training is made from: both betons, and the file of a network by reference, which config calls by name."""
    config: Any = to_json(replace(training, network=short_name(training.network)))
    config |= definition_of(training.network)
    return Origin({split: info.digest for split, info in infos.items()} | code_digest(training.network), config)


def check_training(
    settings: TrainSettings, most_images: int, num_classes: int | None = None, *, num_ranks: int = 1
) -> None:
    """Find out before there is a beton what no beton of at most so many training images could be trained with.

    Args: num_classes: the outputs that somebody's own network must have, where that is known already.
    Raises: UnknownNetworkError, also for own code that makes no network that fits; SettingError for images that the
        network does not take, and a batch that is larger than the set, or no multiple of the ranks.
    """
    if settings.train_network is not None:
        check_network(settings.train_network)
        _check_size(settings.train_network, num_classes, settings.train_size)
    recipe = find_recipe(settings.recipe, plain_name(settings.train_network or ""))
    batch_size = settings.train_batch_size or recipe.for_images(most_images).batch_size
    copies = AUGMENTS[recipe.augment if settings.augment == "auto" else settings.augment].copies
    if batch_size % num_ranks:
        raise SettingError(f"--train-batch-size {batch_size}: expected a multiple of {num_ranks}, the ranks' number.")
    if recipe.drops_last and batch_size > copies * most_images:
        whose = "" if settings.train_batch_size else f" (of --recipe {settings.recipe})"
        raise SettingError(
            f"--train-batch-size {batch_size}{whose}: there are {most_images:,} training images at most. "
            "Pass a smaller one."
        )


def _check_size(network: str, num_classes: int | None, image_size: int | None) -> None:
    import torch

    try:
        if is_reference(network):
            check_own(network, num_classes, image_size)
        elif image_size is not None:
            with torch.random.fork_rng(devices=[]):
                build_for_training(network, 2, image_size)
    except UnknownNetworkError:
        raise
    except NetworkError as error:
        raise SettingError(f"--train-size {image_size}: {error}") from error


def plan_training(
    settings: TrainSettings, info: BetonInfo, dataset_kind: str | None, *, loader: LoaderKind = "ffcv"
) -> Benchmark:
    """Resolve the settings for a training beton.

    Args: info: of the training beton. dataset_kind: such as "glyphs"; None when it is not known.
    Raises: SettingError for an unknown recipe.
    """
    size = settings.train_size or default_size(info)
    network = plain_name(settings.train_network or default_network(size))
    made = prototype(network, len(info.class_ids))
    recipe = find_recipe(settings.recipe, network, normalisation_of(made))
    batch_size = settings.train_batch_size
    recipe = recipe.of_batch(batch_size) if batch_size else recipe.for_images(info.num_images)
    augment: Augment
    if settings.augment != "auto":
        augment = settings.augment
    else:
        augment = "shift" if dataset_kind == "glyphs" else recipe.augment
    if settings.flip_test and not AUGMENTS[augment].mirrors:
        raise SettingError(
            f"--flip-test: the network is not trained on mirror images (--augment {augment}), which may be of another "
            "class. Leave it out, or pass an --augment that mirrors."
        )
    recipe = replace(
        recipe,
        epochs=settings.epochs or recipe.epochs,
        learning_rate=settings.learning_rate or recipe.learning_rate,
        augment=augment,
    )
    if not (AUGMENTS[augment].crops and _holds(info, recipe.tested_size(size))):
        recipe = replace(recipe, test_size=1.0)
    return Benchmark(
        network=network,
        image_size=size,
        recipe_name=settings.recipe,
        recipe=recipe.within(lambda side: takes(made, len(info.class_ids), side), size),
        seed=settings.seed,
        loader=loader,
        compiled=settings.train_compile,
        deterministic=settings.deterministic,
        flip_test=settings.flip_test,
    )


def _holds(info: BetonInfo, side: int) -> bool:
    """Whether the centre of the largest images, of 7/8 of their side, has so many pixels."""
    return min(info.max_width, info.max_height) * 7 // 8 >= side
