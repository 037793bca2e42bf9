"""What all loaders of betons share: which images an epoch has for this rank, in which order, and how they are cut."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rescale_fast.beton_file import BetonFile, Records
from rescale_fast.errors import SettingError
from rescale_fast.loaders.augment import Augment, Placements, place_centrally, place_randomly
from rescale_fast.types import IntArray

if TYPE_CHECKING:
    import torch

BATCHES_AHEAD = 3  # that FFCV makes while one is used


@dataclass(frozen=True)
class Share:
    """The samples that one of several ranks goes through, epoch by epoch."""

    num_samples: int
    rank: int
    num_ranks: int
    shuffled: bool
    seed: int

    def sample_order(self, epoch: int) -> IntArray:
        """(m,) samples of an epoch, in order."""
        if not self.shuffled:
            return np.arange(self.rank, self.num_samples, self.num_ranks)
        order = np.random.default_rng(self.seed + epoch).permutation(self.num_samples)
        return order[self.rank :: self.num_ranks][: self.num_samples // self.num_ranks]


class BetonLoader(ABC):
    """Iterate for an epoch; iterate again for the next one. Made by `beton_loader`.

    `epoch` is the number of the next one, from 0: set it to go on where another process stopped. `image_size` may be
    set between epochs, too.
    """

    def __init__(
        self,
        beton: BetonFile,
        share: Share,
        *,
        batch_size: int,
        image_size: int,
        augment: Augment,
        device: "torch.device",
        num_workers: int,
    ) -> None:
        self.path = beton.path
        self.beton = beton
        self.share = share
        self.batch_size = batch_size
        self.image_size = image_size
        self.augment = augment
        self.device = device
        self.num_workers = num_workers
        self.epoch = 0
        self.num_images = len(share.sample_order(0))  # of this rank, an epoch
        self.labels = self._column("label")  # (N,) of all samples
        self.indices = self._column("index")  # (N,)
        self._sizes = np.stack([self.image_records["height"], self.image_records["width"]], axis=1).astype(np.int64)
        if share.shuffled and len(self) == 0:
            raise SettingError(
                f"{beton.path}: gives {self.num_images} images to a rank, fewer than one batch of {batch_size}. "
                "Use a smaller batch."
            )

    def _column(self, name: str) -> IntArray:
        values = self.beton.integers(name)
        assert values is not None  # beton_loader has looked
        return values

    @property
    def image_field(self) -> str:
        """The column of records that describes images."""
        return f"f{[field.name for field in self.beton.fields].index('image')}"

    @property
    def image_records(self) -> Records:
        """(N,) mode, width, height, pointer of each image."""
        return self.beton.records[self.image_field]

    def __len__(self) -> int:
        """Batches an epoch. In training those that are not whole are left out."""
        whole, rest = divmod(self.num_images, self.batch_size)
        return whole + (rest > 0 and not self.share.shuffled)

    def __iter__(self) -> "Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]":
        epoch, self.epoch = self.epoch, self.epoch + 1
        order = self.share.sample_order(epoch)[: len(self) * self.batch_size]
        if len(order):
            yield from self._batches(order, self._place(epoch))

    def _place(self, epoch: int) -> Placements:
        if not self.share.shuffled:
            return place_centrally(self._sizes, self.augment)
        return place_randomly(self._sizes, self.augment, self.image_size, self.share.seed, epoch)

    @abstractmethod
    def _batches(
        self, order: IntArray, places: Placements
    ) -> "Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]":
        """Images (B, 3, S, S) uint8, labels (B,), indices (B,), on the device; `places` are those of all samples."""
