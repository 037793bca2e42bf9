"""What all loaders of betons share: which images an epoch has for this rank, in which order, and how they are cut."""

import os
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rescale_fast.beton.file import BetonFile, Records
from rescale_fast.errors import ArtifactError, SettingError, TrainingError
from rescale_fast.loaders.augment import Placements, place_centrally, place_randomly
from rescale_fast.loaders.draws import Purpose, stream
from rescale_fast.loaders.samples import Samples
from rescale_fast.loaders.settings import LoaderSettings
from rescale_fast.types import IntArray

if TYPE_CHECKING:
    import torch

    Batch = tuple[torch.Tensor, ...]  # images, labels and, unless left out, indices


@dataclass(frozen=True)
class Share:
    """The samples that one of several ranks goes through, epoch by epoch."""

    num_samples: int
    rank: int
    num_ranks: int
    shuffled: bool
    equal: bool  # each rank gets as many as the others, and up to num_ranks - 1 samples wait for another epoch
    seed: int

    def sample_order(self, epoch: int) -> IntArray:
        """(m,) samples of an epoch, in order."""
        order = np.arange(self.num_samples)
        if self.shuffled:
            order = stream(self.seed, epoch, Purpose.ORDER).permutation(self.num_samples)
        mine = order[self.rank :: self.num_ranks]
        return mine[: self.num_samples // self.num_ranks] if self.equal else mine


class BetonLoader(ABC):
    """Iterate for an epoch; iterate again for the next one. Made by `beton_loader`.

    `epoch` is the number of the next one, from 0: set it to go on where another process stopped, and `first_batch` if
    that was within the epoch. `image_size` may be set between epochs, too. An epoch may be left before its end; when
    the next one has begun it cannot be gone on with.
    """

    def __init__(self, beton: BetonFile, samples: Samples, settings: LoaderSettings, device: "torch.device") -> None:
        self.path = beton.path
        self.beton = beton
        self.samples = samples
        self.settings = settings
        self.device = device
        self.share = Share(
            len(samples.rows),
            int(settings.rank),
            int(settings.num_ranks),
            shuffled=settings.shuffles,
            equal=settings.split == "train",
            seed=int(settings.seed),
        )
        self.num_images = len(self.share.sample_order(0))  # of this rank, an epoch
        self.labels = samples.labels  # (N,) of all samples
        self.indices = samples.indices  # (N,)
        self._sizes = np.stack([self.image_records["height"], self.image_records["width"]], axis=1).astype(np.int64)
        payload = sum(field.has_payload for field in beton.fields[: samples.image])
        self.payloads = np.stack([beton.pointers[:, payload], beton.sizes[:, payload]], axis=1)  # (N, 2) of the images
        self._process, self._begun = os.getpid(), 0  # epochs that were begun
        if settings.split == "train" and len(self) == 0:
            raise SettingError(
                f"{beton.path}: gives {self.num_images} images to a rank, fewer than one batch of {self.batch_size}. "
                "Use a smaller batch."
            )

    @property
    def dataset(self) -> IntArray:
        """The rows of the beton that all ranks together go through. Code written for a DataLoader asks how many."""
        return self.samples.rows

    @property
    def batch_size(self) -> int:
        return int(self.settings.batch_size)

    @property
    def num_workers(self) -> int:
        return int(self.settings.num_workers)

    @property
    def image_size(self) -> int:
        """Side of the images given, pixels. May be set between epochs."""
        return int(self.settings.image_size)

    @image_size.setter
    def image_size(self, value: int) -> None:
        self.settings = replace(self.settings, image_size=value)

    @property
    def epoch(self) -> int:
        """The number of the next epoch, from 0. May be set."""
        return int(self.settings.epoch)

    @epoch.setter
    def epoch(self, value: int) -> None:
        self.settings = replace(self.settings, epoch=value)

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the next epoch, as of a DistributedSampler."""
        self.epoch = epoch

    @property
    def first_batch(self) -> int:
        """The number of the batch that the next epoch, and that alone, begins with, from 0. May be set."""
        return int(self.settings.first_batch)

    @first_batch.setter
    def first_batch(self, value: int) -> None:
        self.settings = replace(self.settings, first_batch=value)

    @property
    def image_field(self) -> str:
        """The column of records that describes images."""
        return f"f{self.samples.image}"

    @property
    def image_records(self) -> Records:
        """(N,) mode, width, height, pointer of each image."""
        return self.beton.records[self.image_field]

    def __len__(self) -> int:
        """Batches an epoch."""
        whole, rest = divmod(self.num_images, self.batch_size)
        return whole + (rest > 0 and not self.settings.drops_last)

    def __iter__(self) -> "Iterator[Batch]":
        if os.getpid() != self._process:
            raise TrainingError(
                f"{self.path}: this loader was opened by process {self._process}, and its threads did not come along "
                f"into process {os.getpid()}, its fork. Call beton_loader there."
            )
        epoch, first = self.epoch, self.first_batch
        self.settings = replace(self.settings, epoch=epoch + 1, first_batch=0)
        self._begun += 1
        return self._read(epoch, first, self._begun)

    def __reduce__(self) -> str:
        raise TrainingError(f"{self.path}: a loader cannot be copied, or sent to a process. Call beton_loader there.")

    def _read(self, epoch: int, first: int, begun: int) -> "Iterator[Batch]":
        order = self.samples.rows[self.share.sample_order(epoch)[: len(self) * self.batch_size]]
        batches = [
            order[at : at + self.batch_size] for at in range(first * self.batch_size, len(order), self.batch_size)
        ]
        self._check_newest(begun)
        if not batches:
            return
        with closing(self._images(batches, self._place(epoch))) as images:
            for rows, made in zip(batches, images, strict=True):
                made, labels = self._normalised(made), self._numbers(self.labels[rows])
                yield (made, labels, self._numbers(self.indices[rows])) if self.settings.index else (made, labels)
                self._check_newest(begun)

    def _check_newest(self, begun: int) -> None:
        # Threads, processes and buffers belong to one epoch at a time.
        if begun != self._begun:
            raise TrainingError(
                f"{self.path}: a later epoch of this loader has begun, so this one cannot be gone on with. To read two "
                "at once open two loaders."
            )

    def _numbers(self, values: IntArray) -> "torch.Tensor":
        import torch

        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def _normalised(self, images: "torch.Tensor") -> "torch.Tensor":
        """(B, 3, S, S) floating point, if that is asked for."""
        import torch

        if self.settings.normalise is None:
            return images
        mean, deviation = (torch.tensor(one, device=self.device)[:, None, None] for one in self.settings.normalise)
        normalised = torch.addcmul(-mean / deviation, images.float(), 1 / (255 * deviation))
        return normalised.to(getattr(torch, self.settings.dtype))

    def _place(self, epoch: int) -> Placements:
        if self.settings.split == "val":
            return place_centrally(self._sizes, self.settings.augment)
        return place_randomly(self._sizes, self.settings.augment, self.image_size, self.settings.seed, epoch)

    @abstractmethod
    def _images(self, batches: list[IntArray], places: Placements) -> "Generator[torch.Tensor, None, None]":
        """(B, 3, S, S) uint8 on the device, for each batch of rows; `places` are those of all samples."""

    def _refuse(self, rows: IntArray) -> None:
        """Raise ArtifactError if there are any."""
        if len(rows):
            few = ", ".join(f"{row:,}" for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
            raise ArtifactError(
                f"{self.path}: the JPEG of sample {few} does not decode to the image that its record describes. "
                f"`rescale-fast check {self.path} --list bad.csv` lists all such samples, and "
                f"`rescale-fast cut {self.path} --target NEW.beton --drop bad.csv` leaves them out."
            )
