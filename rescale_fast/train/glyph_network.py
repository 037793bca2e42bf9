"""Trains the network for glyphs: SmallNet, on the train split of a glyphs data set.

Reads the images into memory; makes a checkpoint in the cache. On the CPU, in under a minute on 2 cores.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import DatasetError
from rescale_fast.files.images import open_image, patient_map
from rescale_fast.loaders.base import Share
from rescale_fast.networks.glyph_network import cached_file, transform
from rescale_fast.networks.saving import save_state
from rescale_fast.train.engine import Advice, Training, trainer_of
from rescale_fast.train.recipe import OneCycle, Recipe
from rescale_fast.types import Track, silent

if TYPE_CHECKING:
    import torch

    from rescale_fast.loaders.base import Batch

MAX_EPOCHS, MIN_EPOCHS, IMAGE_VISITS = 6, 2, 120_000  # bound the time whatever the number of images
BATCH, LEARNING_RATE = 128, 0.2
ADVICE = Advice(
    not_a_number="Draw other glyphs (--glyph-seed, --glyph-train), or pass --weights FILE.",
    too_little_memory="Draw fewer glyphs (--glyph-train), or pass --weights FILE.",
    size_option="--glyph-size",
)


def train_glyph_network(dataset: Dataset, *, track: Track = silent) -> None:
    """Train the network for this data set and put it into the cache.

    Raises: DatasetError when the data set has no train split; TrainingError when the training cannot go on.
    """
    import torch

    if "train" not in dataset.splits:
        raise DatasetError(
            f"{dataset.root}: has no train split to train the network for glyphs on. "
            "Draw some (--glyph-train 60), or pass --weights FILE."
        )
    size, images = transform(dataset).crop, dataset.splits["train"]
    recipe = _recipe(len(images))
    batches = InMemory(_read_all(dataset, images, size), images, recipe.batch_size)
    training = Training(network="small", image_size=size, recipe=recipe, seed=0)
    total = recipe.epochs * len(batches) * recipe.batch_size
    with (
        trainer_of(training, dataset.num_classes, torch.device("cpu"), ADVICE) as trainer,
        track("Training the network for glyphs", total=total) as advance,
    ):
        trainer.train(batches, advance)
        save_state(cached_file(dataset), trainer.tested.state_dict())


def _recipe(num_images: int) -> Recipe:
    return Recipe(
        epochs=min(MAX_EPOCHS, max(MIN_EPOCHS, IMAGE_VISITS // num_images)),
        batch_size=min(BATCH, num_images),
        learning_rate=LEARNING_RATE,
        schedule=OneCycle(),
        weight_decay=5e-4,
        nesterov=True,
        label_smoothing=0.1,
    )


class InMemory:
    """Batches of images that lie in memory, shuffled each epoch, and neither cut nor moved."""

    def __init__(self, pixels: "torch.Tensor", images: ImageList, batch_size: int) -> None:
        """pixels: (N, 3, S, S) uint8 of the images."""
        import torch

        self.pixels, self.labels = pixels, torch.from_numpy(images.labels)
        self.batch_size, self.image_size = batch_size, pixels.shape[-1]
        self.epoch = self.first_batch = 0
        self._share = Share(len(images), rank=0, num_ranks=1, shuffled=True, equal=True, seed=0)

    def __len__(self) -> int:
        return len(self.labels) // self.batch_size

    def __iter__(self) -> "Iterator[Batch]":
        import torch

        order = torch.from_numpy(self._share.sample_order(self.epoch))
        for rows in order[: len(self) * self.batch_size].view(len(self), self.batch_size)[self.first_batch :]:
            yield self.pixels[rows], self.labels[rows], rows


def _read_all(dataset: Dataset, images: ImageList, side: int) -> "torch.Tensor":
    """(N, 3, side, side) uint8, channels last in memory."""
    import torch
    from PIL import Image

    def read(path: str) -> np.ndarray:
        with open_image(dataset.root / path) as image:
            return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))

    with ThreadPoolExecutor() as pool:
        pixels = np.stack(list(patient_map(pool, read, images.paths)))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)
