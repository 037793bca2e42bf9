"""Batches of a set's images, cut, mirrored and moved where rescale_fast's own loaders would, but never decoded.

So all ways of training get the same images in the same order, and what they cost is theirs, not the loader's.
"""

import time
from collections.abc import Iterator

import cv2
import numpy as np
import torch

from benchmarks.experiments.recipe.sets import Images, Pixels
from rescale_fast.loaders.augment import FILL, Placements, place_centrally, place_randomly
from rescale_fast.loaders.base import Share
from rescale_fast.types import IntArray


class InMemory:
    """What the engine takes for a loader: (B, 3, S, S) uint8, (B,) labels, (B,) rows; epoch after epoch."""

    path = "images in memory"
    first_batch = 0  # trainings are not resumed here

    def __init__(
        self,
        images: Images,
        batch_size: int,
        image_size: int,
        augment: str,
        seed: int = 0,
        *,
        trains: bool,
        drops_last: bool = False,
    ) -> None:
        self.images, self.batch_size, self.image_size, self.augment = images, batch_size, image_size, augment
        self.seed, self.trains, self.drops_last, self.epoch = seed, trains, drops_last, 0
        self.dataset = images.labels
        self.cpu_seconds = 0.0  # spent here so far
        self._share = Share(len(images.labels), rank=0, num_ranks=1, shuffled=trains, equal=trains, seed=seed)
        self._sizes = np.array([images.pixels.shape[1:3]] * len(images.labels))

    @property
    def images_an_epoch(self) -> int:
        """Those of its batches."""
        return min(len(self.images.labels), len(self) * self.batch_size)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.images.labels), self.batch_size)
        return whole + (rest > 0 and not self.drops_last)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        rows = self._share.sample_order(self.epoch)[: self.images_an_epoch]
        places = self._places(rows)
        self.epoch += 1
        for at in range(0, len(rows), self.batch_size):
            start = time.process_time()
            these = range(at, min(at + self.batch_size, len(rows)))
            made = np.stack([_made(self.images.pixels[rows[i]], places, i, self.image_size) for i in these])
            batch, labels = (
                torch.from_numpy(made).permute(0, 3, 1, 2),
                torch.from_numpy(self.images.labels[rows[these]]),
            )
            self.cpu_seconds += time.process_time() - start
            yield batch, labels, torch.from_numpy(rows[these])

    def _places(self, rows: IntArray) -> Placements:
        if not self.trains:
            return place_centrally(rows, self._sizes, self.augment)
        once = np.zeros_like(rows)
        return place_randomly(rows, once, self._sizes, self.augment, self.image_size, self.seed, self.epoch)


def _made(pixels: Pixels, places: Placements, i: int, size: int) -> Pixels:
    top, left, height, width = places.boxes[i]
    image = pixels[top : top + height, left : left + width]
    if image.shape[:2] != (size, size):
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)  # as FFCV does
    if places.mirrored[i]:
        image = image[:, ::-1]
    down, right = places.shifts[i]
    if down or right:
        moved = np.empty_like(image)
        moved[:] = FILL
        moved[max(0, down) : size + min(0, down), max(0, right) : size + min(0, right)] = image[
            max(0, -down) : size - max(0, down), max(0, -right) : size - max(0, right)
        ]
        image = moved
    return image
