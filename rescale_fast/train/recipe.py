"""Recipes: how a network is trained. A new one is a Recipe in RECIPES.

rein        Nguyen and Nguyen, Pattern Recognition Letters 185, 73-80 (2024), as the ReIN repository trains.
chrabaszcz  Chrabaszcz, Loshchilov and Hutter, "A downsampled variant of ImageNet" (2017), as their script trains. Its
            penalty is 5e-4 times the sum of squares, without one half, and spares what Lasagne does: biases.
            Where the learning rate falls, the momentum falls with it, as PyTorch has it; Lasagne's does not.
fast        what is quick today: one-cycle learning rate (Smith and Topin 2018), images that grow (Howard 2018),
            averaged weights (Polyak and Juditsky 1992), and half precision on GPUs. Networks with layer
            normalisation (transformers, ConvNeXt) get AdamW and label smoothing, as in their papers.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

from rescale_fast.errors import SettingError
from rescale_fast.loaders.augment import Augment
from rescale_fast.networks.types import IMAGENET_STD, Normalisation
from rescale_fast.settings import Between, OneOf, Registry, Settings, find_choice

RecipeName: TypeAlias = Annotated[str, OneOf("rescale_fast.train.recipe:RECIPES")]
Decays: TypeAlias = Literal["all", "all-but-biases", "weights"]
Scaling: TypeAlias = Annotated[float, Between(0, 1)]  # power of the batch's size that the learning rate goes with
GROWS_FROM = 128  # pixels; smaller images are trained on at full size from the start
GROWN_AT = 0.75  # share of the epochs after which images have their full size
SIZE_STEP = 32  # pixels


@dataclass(frozen=True)
class OneCycle(Settings):
    """A linear rise over `warm_up` of the training's steps, then half a cosine, or a line, down to nothing.

    Source: Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates"
    (2018), in its usual form with a cosine; by a line in Jordan's airbench (2024) and in ffcv-imagenet.
    """

    warm_up: Annotated[float, Between(0, 0.99)] = 0.25
    fall: Literal["cosine", "line"] = "cosine"

    def share(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Share of the highest learning rate at a step, for any number of steps from 1 on."""
        position = (step + 0.5) / (epochs * steps_per_epoch)
        if position < self.warm_up:
            return position / self.warm_up
        fallen = (position - self.warm_up) / (1 - self.warm_up)
        return 1 - fallen if self.fall == "line" else 0.5 * (1 + math.cos(math.pi * fallen))


@dataclass(frozen=True)
class Steps(Settings):
    """Multiply by `factor` every `every` epochs."""

    every: Annotated[int, Between(1)]
    factor: Annotated[float, Between(0, open=True)]

    def share(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Share of the highest learning rate at a step."""
        del epochs
        return self.factor ** (step // steps_per_epoch // self.every)


@dataclass(frozen=True)
class SGD(Settings):
    """Stochastic gradient descent."""

    momentum: Annotated[float, Between(0, 0.9999)] = 0.9
    nesterov: bool = False
    scaling: Scaling = 1.0  # as of Goyal et al. 2017

    def check(self) -> None:
        """Raises: SettingError for Nesterov's momentum without any."""
        if self.nesterov and not self.momentum:
            raise SettingError("--nesterov True: without --momentum there is nothing to look ahead by.")


@dataclass(frozen=True)
class AdamW(Settings):
    """Adam whose decay stays out of its means (Loshchilov and Hutter 2019)."""

    beta1: Annotated[float, Between(0, 0.9999)] = 0.9
    beta2: Annotated[float, Between(0, 0.9999)] = 0.999
    scaling: Scaling = 0.5  # as of Malladi et al. 2022, and in timm


@dataclass(frozen=True)
class Recipe(Settings):
    """How a network is trained."""

    epochs: Annotated[int, Between(1)]
    batch_size: Annotated[int, Between(2)]  # images a step, those of all ranks together
    learning_rate: Annotated[float, Between(0, open=True)]  # the highest, at that batch size
    schedule: OneCycle | Steps
    weight_decay: Annotated[float, Between(0)]  # as PyTorch counts it: no half of squares, and AdamW in its own way
    optimizer: SGD | AdamW = SGD()
    augment: Augment = "crop-flip"
    drops_last: bool = True  # an epoch leaves out what does not fill a batch
    steps_an_epoch: Annotated[int, Between(1)] = 1  # at least: the batch is halved until a small set has so many
    decays: Decays = "all"  # "all-but-biases": not normalisation's either; "weights": nor its scales and embeddings
    clip_norm: Annotated[float, Between(0)] = 0.0  # what gradients are shortened to; 0 = they are left as they are
    label_smoothing: Annotated[float, Between(0, 0.99)] = 0.0
    centre: Literal["colour", "image"] = "colour"  # what is taken off: ImageNet's mean colour, or the set's mean image
    std: tuple[Annotated[float, Between(0, open=True)], ...] = IMAGENET_STD  # 0..1 scale; what pixels are divided by
    half_precision: bool = False  # on a GPU
    averaging: Annotated[float, Between(0, 1)] = 0.0  # share of the steps so far that the weights' mean reaches back
    first_size: Annotated[float, Between(0.1, 1)] = 1.0  # share of the images' side in the first epoch
    test_size: Annotated[float, Between(0.5, 2)] = 1.0  # side of the tested images, as a multiple of the trained
    blur_pool: bool = False  # blur what convolutions with a stride take, which makes another network
    reported_epoch: Annotated[int, Between(1)] | None = None  # whose accuracy authors report, if not the last or best

    def check(self) -> None:
        """Raises: SettingError for deviations of other than three channels, and for a mean image of another size."""
        if len(self.std) != 3:
            raise SettingError(f"--std {self.std}: expected the deviations of three channels.")
        if self.centre == "image" and (self.first_size, self.test_size) != (1, 1):
            raise SettingError(
                "--centre image: the mean image has one size, so --first-size and --test-size must be 1."
            )

    def size_at(self, epoch: int, image_size: int) -> int:
        """Side of the training images in an epoch (from 0), pixels."""
        if self.first_size == 1 or image_size < GROWS_FROM:
            return image_size
        progress = min(1.0, epoch / max(1, round(GROWN_AT * self.epochs)))
        size = image_size * (self.first_size + (1 - self.first_size) * progress)
        return min(image_size, round(size / SIZE_STEP) * SIZE_STEP)

    def within(self, takes: Callable[[int], bool], image_size: int) -> "Recipe":
        """The recipe with images of the sides, pixels, alone that a network `takes`, beside its own."""
        sizes = {self.size_at(epoch, image_size) for epoch in range(self.epochs)} - {image_size}
        grows = all(takes(side) for side in sizes)
        tests = (tested := self.tested_size(image_size)) == image_size or takes(tested)
        return replace(self, first_size=self.first_size if grows else 1.0, test_size=self.test_size if tests else 1.0)

    def tested_size(self, image_size: int) -> int:
        """Side of the tested images, pixels."""
        if self.test_size == 1 or image_size < GROWS_FROM:
            return image_size
        return round(image_size * self.test_size / SIZE_STEP) * SIZE_STEP

    def of_batch(self, batch_size: int) -> "Recipe":
        """The recipe with another batch size, and the learning rate that goes with it."""
        scale = (batch_size / self.batch_size) ** self.optimizer.scaling
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
    learning_rate=0.8,
    schedule=OneCycle(),
    weight_decay=5e-4,
    decays="weights",
    optimizer=SGD(nesterov=True, scaling=0.5),
    augment="crop-flip",
    steps_an_epoch=16,
    drops_last=False,
    half_precision=True,
    averaging=0.02,
    first_size=0.7,
)
# Decay of Touvron et al. (DeiT 2021) and Liu et al. (Swin 2021, ConvNeXt 2022), whose last 4e-3 at 4,096 images is 1e-3
# at 256 by the square root; the norm of Beyer et al., "Better plain ViT baselines for ImageNet-1k" (2022).
FAST_ADAMW = replace(FAST, learning_rate=1e-3, weight_decay=0.05, optimizer=AdamW(), label_smoothing=0.1, clip_norm=1.0)
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
    {("rein", "VGG16"): replace(REIN, learning_rate=0.01, batch_size=32)}
)
BY_NORMALISATION: Mapping[tuple[str, Normalisation], Recipe] = MappingProxyType(
    {
        ("fast", "layer"): FAST_ADAMW,
        ("fast", "none"): replace(FAST, learning_rate=FAST.learning_rate / 10),  # they do not bear the others'
    }
)


def find_recipe(name: str, network: str, normalisation: Normalisation = "other") -> Recipe:
    """The recipe of that name for a network; epochs and batches do not depend on how it normalises.

    Raises: SettingError naming all there are.
    """
    of_kind = BY_NORMALISATION.get((name, normalisation))
    return EXCEPTIONS.get((name, network)) or of_kind or find_choice(RECIPES, name, "--recipe")
