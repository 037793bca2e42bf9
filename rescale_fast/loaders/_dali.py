"""Betons through NVIDIA DALI: their JPEGs are decoded and resized by its pipeline, on the GPU where there is one."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.plugin.pytorch import feed_ndarray

from rescale_fast.beton_file import JPEG_MODE
from rescale_fast.errors import SettingError, TrainingError
from rescale_fast.loaders.augment import FILL, Placements
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.types import IntArray


@pipeline_def  # type: ignore[untyped-decorator]
def _pipeline(source: Any, image_size: int, on_gpu: bool, moves: bool) -> Any:
    encoded, start, shape, mirrored, *anchor = fn.external_source(source=source, num_outputs=4 + moves)
    images = fn.decoders.image_slice(
        encoded,
        start,
        shape,
        device="mixed" if on_gpu else "cpu",
        output_type=types.RGB,
        adjust_orientation=False,  # as FFCV and PIL
        normalized_anchor=True,  # a reader that scales by the DCT sees a smaller image
        normalized_shape=True,
    )
    images = fn.resize(images, size=[image_size, image_size], interp_type=types.INTERP_TRIANGULAR, antialias=True)
    images = fn.flip(images, horizontal=mirrored)
    if moves:
        images = fn.slice(
            images,
            anchor[0],
            [image_size, image_size],
            axes=(0, 1),
            normalized_anchor=False,
            normalized_shape=False,
            out_of_bounds_policy="pad",
            fill_values=FILL,
        )
    return images


class DaliLoader(BetonLoader):
    """Through DALI. A pipeline is built for each epoch."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if (self.image_records["mode"] != JPEG_MODE).any():
            raise SettingError(f"{self.path}: holds images that are no JPEGs, which DALI cannot read. Use ffcv.")
        self._bytes = np.memmap(self.path, np.uint8, "r")

    def _batches(
        self, order: IntArray, places: Placements
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        on_gpu = self.device.type == "cuda"
        moves = bool(places.shifts.any())
        rows = [order[at : at + self.batch_size] for at in range(0, len(order), self.batch_size)]
        pipeline = _pipeline(
            source=(self._inputs(chosen, places)[: 4 + moves] for chosen in rows),
            image_size=self.image_size,
            on_gpu=on_gpu,
            moves=moves,
            batch_size=self.batch_size,
            num_threads=self.num_workers,
            device_id=(self.device.index or 0) if on_gpu else None,
            prefetch_queue_depth=2,
        )
        pipeline.build()
        for chosen in rows:
            try:
                (images,) = pipeline.run()
            except RuntimeError as error:
                raise TrainingError(f"{self.path}: DALI cannot decode one of its images: {error}") from error
            numbers = (torch.from_numpy(column[chosen]) for column in (self.labels, self.indices))
            labels, indices = (number.to(self.device, non_blocking=True) for number in numbers)
            yield self._to_torch(images), labels, indices

    def _inputs(self, rows: IntArray, places: Placements) -> tuple[list[NDArray[Any]], ...]:
        """For each image of a batch: JPEG, corner and shape of its box as shares, mirrored, corner after moving."""
        payloads = zip(self.beton.pointers[rows, 0], self.beton.sizes[rows, 0], strict=True)
        sides = np.tile(self._sizes[rows], 2)
        boxes = np.ascontiguousarray((places.boxes[rows] / sides)[:, [1, 0, 3, 2]], np.float32)  # x before y
        return (
            [self._bytes[at : at + length] for at, length in payloads],
            list(boxes[:, :2]),
            list(boxes[:, 2:]),
            list(places.mirrored[rows].astype(np.int32)),
            list(-places.shifts[rows].astype(np.int32)),
        )

    def _to_torch(self, images: Any) -> torch.Tensor:
        """Copy a batch out of DALI's buffer, which the next run overwrites."""
        batch = images.as_tensor()
        copied = torch.empty(batch.shape(), dtype=torch.uint8, device=self.device)
        stream = torch.cuda.current_stream(self.device) if self.device.type == "cuda" else None
        feed_ndarray(batch, copied, cuda_stream=stream)
        return copied.permute(0, 3, 1, 2)
