"""A training with every setting resolved: what decides the result, and what a resumed training must share."""

from dataclasses import dataclass, replace

from rescale_fast.errors import SettingError
from rescale_fast.export.types import BetonInfo
from rescale_fast.loaders.augment import Augment
from rescale_fast.loaders.settings import LoaderKind
from rescale_fast.networks.registry import plain_name
from rescale_fast.networks.types import LARGEST_DEFAULT_SIZE, SMALL_SIZE
from rescale_fast.train.recipe import Recipe, find_recipe
from rescale_fast.train.settings import TrainSettings


@dataclass(frozen=True)
class Training:
    """One network, one recipe, one seed."""

    network: str
    image_size: int  # pixels
    recipe_name: str
    recipe: Recipe
    seed: int
    loader: LoaderKind
    compiled: bool
    deterministic: bool

    @property
    def folder_name(self) -> str:
        """What its folder is called: unlike that of another network, recipe, loader or seed."""
        loader = "" if self.loader == "ffcv" else f"-{self.loader}"
        name = f"{self.network}-{self.recipe_name}{loader}-seed{self.seed}"
        return name.replace(":", "-").replace("/", "-")


def plan_training(
    settings: TrainSettings, info: BetonInfo, dataset_kind: str | None, *, loader: LoaderKind = "ffcv"
) -> Training:
    """Resolve the settings for a training beton.

    Args: info: of the training beton. dataset_kind: such as "glyphs"; None when it is not known.
    Raises: SettingError for impossible settings.
    """
    _check(settings)
    size = settings.train_size or min(LARGEST_DEFAULT_SIZE, max(info.max_width, info.max_height))
    network = plain_name(settings.train_network or ("small" if size <= SMALL_SIZE else "ResNet18"))
    recipe = find_recipe(settings.recipe, network)
    batch_size = settings.train_batch_size
    recipe = recipe.of_batch(batch_size) if batch_size else recipe.for_images(info.num_images)
    augment: Augment
    if settings.augment != "auto":
        augment = settings.augment
    else:
        augment = "shift" if dataset_kind == "glyphs" else recipe.augment
    recipe = replace(
        recipe,
        epochs=settings.epochs or recipe.epochs,
        learning_rate=settings.learning_rate or recipe.learning_rate,
        augment=augment,
        mirrored_copies=recipe.mirrored_copies and augment != "shift",
    )
    return Training(
        network=network,
        image_size=size,
        recipe_name=settings.recipe,
        recipe=recipe,
        seed=settings.seed,
        loader=loader,
        compiled=settings.train_compile,
        deterministic=settings.deterministic,
    )


def _check(settings: TrainSettings) -> None:
    if settings.epochs is not None and settings.epochs < 1:
        raise SettingError(f"--epochs {settings.epochs}: expected at least 1.")
    if settings.train_batch_size is not None and settings.train_batch_size < 2:
        raise SettingError(f"--train-batch-size {settings.train_batch_size}: expected at least 2.")
    if settings.learning_rate is not None and not settings.learning_rate > 0:
        raise SettingError(f"--learning-rate {settings.learning_rate}: expected more than 0.")
    if settings.train_size is not None and settings.train_size < 8:
        raise SettingError(f"--train-size {settings.train_size}: expected at least 8 pixels.")
    if settings.seed < 0:
        raise SettingError(f"--seed {settings.seed}: expected at least 0.")
