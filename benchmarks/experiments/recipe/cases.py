"""What is trained on, by which network: half of the cases to choose by, half to see whether the choice holds there."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.experiments.recipe.sets import SetSettings
from rescale_fast.networks.traits import normalisation_of, prototype
from rescale_fast.train.recipe import Recipe, find_recipe

NETWORKS = "benchmarks.experiments.recipe.networks"


@dataclass(frozen=True)
class Case:
    """A set and a network."""

    half: str  # "choose" or "confirm"
    images: SetSettings
    network: str  # of networks.py
    ways: tuple[str, ...] = ()  # names; none = all
    seeds: int = 5

    @property
    def reference(self) -> str:
        """What the engine calls the network."""
        return f"{NETWORKS}:{self.network}"

    @property
    def num_images(self) -> int:
        """To train on."""
        return self.images.classes * self.images.train

    def fast(self) -> Recipe:
        """The recipe `fast` for this network, for any number of images."""
        return find_recipe("fast", self.reference, normalisation_of(prototype(self.reference, self.images.classes)))


MANY = ("fast", "rate x 2", "rate / 2", "label smoothing 0.1", "plain loop", "timm, same images")
LARGE = ("fast", "no growing", "tested larger", "BlurPool", "plain loop", "timm, same images")
CASES: Mapping[str, Case] = {
    "letters-32-10": Case("choose", SetSettings("glyphs", 10, 32, 30, 250, noise=70.0), "plain"),
    "mirrored-64-100": Case("choose", SetSettings("mirrored", 100, 64, 10, 25), "resnet"),
    "objects-64-20": Case("choose", SetSettings("objects", 20, 64, 40, 125), "resnet"),
    "objects-64-20-vit": Case("choose", SetSettings("objects", 20, 64, 25, 125), "vit"),
    "objects-128-10": Case("choose", SetSettings("objects", 10, 128, 40, 200, seed=2), "resnet", LARGE),
    "mirrored-32-100": Case("confirm", SetSettings("mirrored", 100, 32, 15, 25, seed=1), "plain"),
    "letters-64-10": Case("confirm", SetSettings("glyphs", 10, 64, 40, 250, noise=100.0, seed=1), "resnet"),
    "objects-64-50": Case("confirm", SetSettings("objects", 50, 64, 16, 50, seed=1), "resnet"),
    "mirrored-64-50-convnext": Case("confirm", SetSettings("mirrored", 50, 64, 10, 50, seed=1), "convnext"),
    "mirrored-32-100-many": Case("confirm", SetSettings("mirrored", 100, 32, 80, 25, seed=4), "plain", MANY, seeds=3),
    "objects-128-20": Case("confirm", SetSettings("objects", 20, 128, 20, 100, seed=3), "resnet", LARGE),
}
