"""Recipes: how a network is trained. A new one is a Recipe in RECIPES.

rein        Nguyen and Nguyen, Pattern Recognition Letters 185, 73-80 (2024), as the ReIN repository trains.
chrabaszcz  Chrabaszcz, Loshchilov and Hutter, "A downsampled variant of ImageNet" (2017), as their script trains. Its
            penalty is 5e-4 times the sum of squares, without one half, and spares what Lasagne does: biases.
            Where the learning rate falls, the momentum falls with it, as PyTorch has it; Lasagne's does not.
fast        what is quick today: one-cycle learning rate (Smith and Topin 2018), label smoothing, images that grow
            (Howard 2018), averaged weights (Polyak and Juditsky 1992), and bfloat16 on a GPU.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

from rescale_fast.loaders.augment import Augment
from rescale_fast.networks.types import IMAGENET_STD
from rescale_fast.settings import OneOf, Registry, find_choice

RecipeName: TypeAlias = Annotated[str, OneOf("rescale_fast.train.recipe:RECIPES")]
Decays: TypeAlias = Literal["all", "all-but-biases", "weights"]
GROWS_FROM = 128  # pixels; smaller images are trained on at full size from the start
GROWN_AT = 0.75  # share of the epochs after which images have their full size
SIZE_STEP = 32  # pixels
WARM_UP = 0.25  # share of a cycle's steps


@dataclass(frozen=True)
class OneCycle:
    """A linear rise over a quarter of the training, then half a cosine down to nothing.

    Source: Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates"
    (2018), in its usual form with a cosine.
    """

    def share(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Share of the highest learning rate at a step, for any number of steps from 1 on."""
        position = (step + 0.5) / (epochs * steps_per_epoch)
        if position < WARM_UP:
            return position / WARM_UP
        return 0.5 * (1 + math.cos(math.pi * (position - WARM_UP) / (1 - WARM_UP)))


@dataclass(frozen=True)
class Steps:
    """Multiply by `factor` every `every` epochs."""

    every: int
    factor: float

    def share(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Share of the highest learning rate at a step."""
        del epochs
        return self.factor ** (step // steps_per_epoch // self.every)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, by SGD with momentum 0.9."""

    epochs: int
    batch_size: int  # images a step, those of all ranks together
    learning_rate: float  # the highest, at that batch size; it grows and shrinks with it (Goyal et al. 2017)
    schedule: OneCycle | Steps
    weight_decay: float  # as PyTorch counts it: the loss's gradient grows by so much of the parameter
    augment: Augment = "crop-flip"
    drops_last: bool = True  # an epoch leaves out what does not fill a batch
    steps_an_epoch: int = 1  # at least: the batch is halved until a small set has so many
    nesterov: bool = False
    decays: Decays = "all"  # "all-but-biases": not normalisation's either; "weights": nor its scales
    label_smoothing: float = 0.0
    centre: Literal["colour", "image"] = "colour"  # what is taken off: ImageNet's mean colour, or the set's mean image
    std: tuple[float, float, float] = IMAGENET_STD  # 0..1 scale; what pixels are divided by
    bfloat16: bool = False  # on a GPU
    averaging: float = 0.0  # share of the steps so far that the weights' moving average, which is tested, reaches back
    first_size: float = 1.0  # share of the images' side in the first epoch
    reported_epoch: int | None = None  # the epoch whose accuracy the authors report, if neither last nor best

    def size_at(self, epoch: int, image_size: int) -> int:
        """Side of the training images in an epoch (from 0), pixels."""
        if self.first_size == 1 or image_size < GROWS_FROM:
            return image_size
        progress = min(1.0, epoch / max(1, round(GROWN_AT * self.epochs)))
        size = image_size * (self.first_size + (1 - self.first_size) * progress)
        return min(image_size, round(size / SIZE_STEP) * SIZE_STEP)

    def of_batch(self, batch_size: int) -> "Recipe":
        """The recipe with another batch size, and the learning rate that goes with it."""
        scale = batch_size / self.batch_size
        return replace(self, batch_size=batch_size, learning_rate=self.learning_rate * scale)

    def for_images(self, num_images: int) -> "Recipe":
        """The recipe for so many training images: the batch is halved while an epoch has too few steps."""
        batch_size = self.batch_size
        while batch_size > 16 and num_images // batch_size < self.steps_an_epoch:
            batch_size //= 2
        return self.of_batch(batch_size) if self.steps_an_epoch > 1 else self


FAST = Recipe(
    epochs=16,
    batch_size=256,
    learning_rate=0.4,
    schedule=OneCycle(),
    weight_decay=5e-4,
    augment="crop-flip",
    steps_an_epoch=8,
    nesterov=True,
    label_smoothing=0.1,
    bfloat16=True,
    averaging=0.02,
    first_size=0.7,
)
REIN = Recipe(
    epochs=100,
    batch_size=256,
    learning_rate=0.1,
    schedule=Steps(every=30, factor=0.1),
    weight_decay=1e-4,
    augment="crop-flip",
    drops_last=False,
)
CHRABASZCZ = Recipe(
    epochs=40,
    batch_size=128,
    learning_rate=0.01,
    schedule=Steps(every=10, factor=0.2),
    weight_decay=1e-3,
    decays="all-but-biases",
    augment="shift-both",
    centre="image",
    std=(1.0, 1.0, 1.0),
    reported_epoch=31,
)
RECIPES = Registry({"fast": FAST, "rein": REIN, "chrabaszcz": CHRABASZCZ})
EXCEPTIONS: Mapping[tuple[str, str], Recipe] = MappingProxyType(
    {
        ("rein", "VGG16"): replace(REIN, learning_rate=0.01, batch_size=32),
        # Without batch normalisation these two do not bear the others' learning rate.
        ("fast", "VGG16"): replace(FAST, learning_rate=0.04),
        ("fast", "GoogLeNet"): replace(FAST, learning_rate=0.04),
    }
)


def find_recipe(name: str, network: str) -> Recipe:
    """The recipe of that name for a network. Raises: SettingError naming all there are."""
    return EXCEPTIONS.get((name, network), find_choice(RECIPES, name, "--recipe"))
