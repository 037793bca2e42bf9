"""Betons the way most people load images: PIL and torchvision in the processes of a torch DataLoader.

The sampler hands each image's place to the workers, so that they need not be told of epochs, and live on.
"""

import io
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional as F  # noqa: N812 (its customary name)

from rescale_fast.beton.file import JPEG_MODE, BetonFile
from rescale_fast.errors import TrainingError
from rescale_fast.loaders.augment import FILL, Placements
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.loaders.samples import Samples
from rescale_fast.loaders.settings import LoaderSettings
from rescale_fast.workers import start_worker, worker_context


@dataclass(frozen=True)
class Task:
    """One image to make. Numbers are plain: they travel between processes."""

    position: int  # in the file, bytes
    length: int
    mode: int
    stored: tuple[int, int]  # height, width a reader sees
    box: tuple[int, int, int, int]  # top, left, height, width
    mirrored: bool
    shift: tuple[int, int]  # down, right
    size: int


class _Images(torch.utils.data.Dataset[tuple[torch.Tensor, bool]]):
    """Tasks are its indices. An image that cannot be decoded is black, and said to be."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __getitem__(self, task: Task) -> tuple[torch.Tensor, bool]:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            payload = os.pread(descriptor, task.length, task.position)
        finally:
            os.close(descriptor)
        try:
            return _made(task, payload), True
        except Exception:  # PIL raises all kinds for damaged images
            return torch.zeros(3, task.size, task.size, dtype=torch.uint8), False


def _made(task: Task, payload: bytes) -> torch.Tensor:
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
    made: torch.Tensor = F.pil_to_tensor(image)
    return made


def _scaled(task: Task, image: Image.Image) -> tuple[int, int, int, int]:
    """The box in the decoded image, which is larger than a reader of the beton sees it if that scales by the DCT."""
    down, right = image.height / task.stored[0], image.width / task.stored[1]
    top, left, height, width = task.box
    return round(top * down), round(left * right), max(1, round(height * down)), max(1, round(width * right))


class TorchvisionLoader(BetonLoader):
    """Through torchvision."""

    def __init__(self, beton: BetonFile, samples: Samples, settings: LoaderSettings, device: torch.device) -> None:
        super().__init__(beton, samples, settings, device)
        self._epoch = _Epoch()
        self._loader = self._start()

    def _start(self) -> Any:
        return torch.utils.data.DataLoader(
            _Images(self.path),
            batch_sampler=self._epoch,
            num_workers=self.num_workers,
            persistent_workers=True,
            multiprocessing_context=worker_context(),
            worker_init_fn=start_worker,
            pin_memory=self.device.type == "cuda",
        )

    def _images(self, places: Placements) -> Generator[torch.Tensor, None, None]:
        batches = list(places.batches(self.batch_size))
        self._epoch.tasks = [[self._task(batch, i) for i in range(len(batch))] for batch in batches]
        for batch, (images, decoded) in zip(batches, self._loaded(), strict=True):
            self._refuse(batch.rows[~decoded.numpy()])
            yield images.to(self.device, non_blocking=True)

    def _loaded(self) -> Iterator[Any]:
        try:
            yield from self._loader
        except (RuntimeError, EOFError, OSError) as error:
            self._loader = self._start()  # for the next epoch
            raise TrainingError(f"{self.path}: a loading process stopped: {_reason(error)}") from error

    def _task(self, places: Placements, i: int) -> Task:
        row = places.rows[i]
        record = self.image_records[row]
        return Task(
            int(self.payloads[row, 0]),
            int(self.payloads[row, 1]),
            int(record["mode"]),
            (int(record["height"]), int(record["width"])),
            tuple(places.boxes[i].tolist()),
            bool(places.mirrored[i]),
            tuple(places.shifts[i].tolist()),
            self.image_size,
        )


def _reason(error: Exception) -> str:
    if "bootstrapping phase" in str(error):
        return 'the script that made it runs again in each. Put what it does under `if __name__ == "__main__":`.'
    lines = [type(error).__name__, *filter(None, map(str.strip, str(error).splitlines()))]
    return lines[-1]


class _Epoch(torch.utils.data.Sampler[list[Any]]):
    """What is to be done in an epoch, batch by batch.

    It does not know its loader: in a circle of references, a DataLoader is ended by the garbage collector, which takes
    apart first what its processes would be told to end by, and then waits five seconds for each.
    """

    def __init__(self) -> None:
        self.tasks: list[list[Task]] = []

    def __iter__(self) -> Iterator[list[Any]]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)
