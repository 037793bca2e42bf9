"""Betons the way most people load images: PIL and torchvision in the processes of a torch DataLoader.

The sampler hands each image's place to the workers, so that they need not be told of epochs, and live on.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional as F  # noqa: N812 (its customary name)

from rescale_fast.beton_file import JPEG_MODE
from rescale_fast.loaders.augment import FILL, Placements
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.types import IntArray
from rescale_fast.workers import start_worker


@dataclass(frozen=True)
class Task:
    """One image to make. Numbers are plain: they travel between processes."""

    row: int
    position: int  # in the file, bytes
    length: int
    mode: int
    stored: tuple[int, int]  # height, width a reader sees
    box: tuple[int, int, int, int]  # top, left, height, width
    mirrored: bool
    shift: tuple[int, int]  # down, right
    size: int


class _Images(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """Tasks are its indices."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __getitem__(self, task: Task) -> tuple[torch.Tensor, int]:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            payload = os.pread(descriptor, task.length, task.position)
        finally:
            os.close(descriptor)
        if task.mode == JPEG_MODE:
            image = Image.open(io.BytesIO(payload)).convert("RGB")
        else:
            image = Image.fromarray(np.frombuffer(payload, np.uint8).reshape(*task.stored, 3))
        top, left, height, width = _scaled(task, image)
        image = F.resized_crop(image, top, left, height, width, [task.size, task.size])
        if task.mirrored:
            image = F.hflip(image)
        if any(task.shift):
            image = F.affine(image, 0, [task.shift[1], task.shift[0]], 1, [0, 0], fill=list(FILL))
        return F.pil_to_tensor(image), task.row


def _scaled(task: Task, image: Image.Image) -> tuple[int, int, int, int]:
    """The box in the decoded image, which is larger than a reader of the beton sees it if that scales by the DCT."""
    down, right = image.height / task.stored[0], image.width / task.stored[1]
    top, left, height, width = task.box
    return round(top * down), round(left * right), max(1, round(height * down)), max(1, round(width * right))


class TorchvisionLoader(BetonLoader):
    """Through torchvision."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._tasks: list[list[Task]] = []  # of the epoch, batch by batch; the DataLoader's sampler
        self._loader = torch.utils.data.DataLoader(
            _Images(self.path),
            batch_sampler=_Batches(self),
            num_workers=self.num_workers,
            persistent_workers=True,
            multiprocessing_context="forkserver",  # torch's own threads do not survive a fork
            worker_init_fn=start_worker,
            pin_memory=self.device.type == "cuda",
        )

    @property
    def tasks(self) -> list[list[Task]]:
        return self._tasks

    def _batches(
        self, order: IntArray, places: Placements
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        tasks = [self._task(int(row), places) for row in order]
        self._tasks = [tasks[at : at + self.batch_size] for at in range(0, len(tasks), self.batch_size)]
        for images, rows in self._loader:
            numbers = (torch.from_numpy(column[rows.numpy()]) for column in (self.labels, self.indices))
            labels, indices = (number.to(self.device, non_blocking=True) for number in numbers)
            yield images.to(self.device, non_blocking=True), labels, indices

    def _task(self, row: int, places: Placements) -> Task:
        record = self.image_records[row]
        return Task(
            row,
            int(self.beton.pointers[row, 0]),
            int(self.beton.sizes[row, 0]),
            int(record["mode"]),
            (int(record["height"]), int(record["width"])),
            tuple(places.boxes[row].tolist()),
            bool(places.mirrored[row]),
            tuple(places.shifts[row].tolist()),
            self.image_size,
        )


class _Batches(torch.utils.data.Sampler[list[Any]]):
    def __init__(self, loader: TorchvisionLoader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[list[Any]]:
        return iter(self.loader.tasks)

    def __len__(self) -> int:
        return len(self.loader.tasks)
