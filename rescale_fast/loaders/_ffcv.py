"""Betons through FFCV: its threads, buffers and decoders, with our order and our places of images."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from ffcv.fields.basics import IntDecoder
from ffcv.fields.rgb_image import SimpleRGBImageDecoder
from ffcv.libffcv import ctypes_imdecode, ctypes_resize
from ffcv.loader import Loader
from ffcv.loader.epoch_iterator import EpochIterator
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.transforms import Squeeze, ToDevice, ToTensor, ToTorchImage

from rescale_fast.beton_file import JPEG_MODE
from rescale_fast.errors import TrainingError
from rescale_fast.loaders.augment import FILL, Placements
from rescale_fast.loaders.base import BATCHES_AHEAD, BetonLoader
from rescale_fast.types import IntArray

# numba prints an error when compiled code that FFCV made is deleted before the program ends, so it is kept till then.
_COMPILED: list[Any] = []
PLACED = np.dtype(  # FFCV's record of an image, and where it is to be cut, mirrored and moved
    [("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("data_ptr", "<u8")]
    + [(name, "<u2") for name in ("top", "left", "rows", "columns")]
    + [("mirrored", "u1"), ("down", "<i2"), ("right", "<i2")],
    align=True,
)


class PlacedDecoder(SimpleRGBImageDecoder):  # type: ignore[misc]
    """Makes each image as its record, a PLACED one, says. FFCV compiles what generate_code returns."""

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size

    def declare_state_and_memory(self, previous_state: Any) -> tuple[Any, tuple[AllocationQuery, ...]]:
        shape, dtype = (self.image_size, self.image_size, 3), np.dtype("u1")
        largest = int(self.metadata["width"].max()) * int(self.metadata["height"].max()) * 3
        memory = (AllocationQuery(shape, dtype), AllocationQuery(shape, dtype), AllocationQuery((largest,), dtype))
        return replace(previous_state, jit_mode=True, shape=shape, dtype=dtype), memory

    def generate_code(self) -> Callable[..., Any]:
        each, read = Compiler.get_iterator(), self.memory_read
        finish, jpeg = Compiler.compile(_mirror_and_move), JPEG_MODE

        def make(batch: Any, memory: Any, records: Any, storage: Any) -> Any:
            images, unmoved, decoded = memory
            for i in each(len(batch)):
                record = records[batch[i]]
                payload = read(record["data_ptr"], storage)
                height, width = np.uint32(record["height"]), np.uint32(record["width"])
                if record["mode"] == jpeg:
                    pixels = decoded[i]
                    ctypes_imdecode(
                        payload.ctypes.data, payload.size, height, width, pixels.ctypes.data, height, width,
                        0, 0, 1, 1, False, False,  # no offset, no scale, the whole image, not mirrored
                    )  # fmt: skip
                else:
                    pixels = payload
                top, left = record["top"], record["left"]
                down, right = np.int64(record["down"]), np.int64(record["right"])
                image = unmoved[i] if down or right else images[i]
                ctypes_resize(
                    0, pixels.ctypes.data, height, width, top, top + record["rows"], left, left + record["columns"],
                    image.ctypes.data, image.shape[0], image.shape[1],
                )  # fmt: skip
                finish(image, record["mirrored"], down, right, images[i])
            return images[: len(batch)]

        make.is_parallel = True  # type: ignore[attr-defined]  # FFCV looks for it
        return make


def _mirror_and_move(image: Any, mirrored: int, down: int, right: int, target: Any) -> None:
    """Mirror `image`; if it is to be moved, write it, moved, to `target`. Plain loops: they compile fastest."""
    size = image.shape[0]
    if mirrored:
        for row in range(size):
            for column in range(size // 2):
                for channel in range(3):
                    saved = image[row, column, channel]
                    image[row, column, channel] = image[row, size - 1 - column, channel]
                    image[row, size - 1 - column, channel] = saved
    if down or right:
        for row in range(size):
            for column in range(size):
                inside = 0 <= row - down < size and 0 <= column - right < size
                for channel in range(3):
                    target[row, column, channel] = (
                        image[row - down, column - right, channel] if inside else FILL[channel]
                    )


class FfcvLoader(BetonLoader):
    """Through FFCV. Unlike its own Loader: torch keeps its threads, and a dead loading thread raises an error."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._torch_threads = torch.get_num_threads()
        self._decoder = PlacedDecoder(self.image_size)
        to_device = [ToDevice(self.device, non_blocking=True)] if self.device.type == "cuda" else []
        number = [IntDecoder(), ToTensor(), Squeeze(1), *to_device]
        image = [self._decoder, ToTensor(), *to_device, ToTorchImage(convert_back_int16=False)]
        self._loader = Loader(
            str(self.path),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            os_cache=True,
            batches_ahead=BATCHES_AHEAD,
            pipelines={"image": image, "label": number, "index": list(number)},
        )
        _COMPILED.append(self._loader.code)
        self._records = self._with_places(self._loader.reader.metadata)
        self._restore_threads()

    def _with_places(self, metadata: Any) -> Any:
        """FFCV's table of samples with room for the places of images."""
        wider = np.dtype(
            [(name, PLACED if name == self.image_field else metadata.dtype[name]) for name in metadata.dtype.names],
            align=True,
        )
        records = np.zeros(len(metadata), wider)
        for name in metadata.dtype.names:
            if name == self.image_field:
                for part in metadata.dtype[name].names:
                    records[name][part] = metadata[name][part]
            else:
                records[name] = metadata[name]
        return records

    def _batches(
        self, order: IntArray, places: Placements
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        image = self._records[self.image_field]
        for column, name in enumerate(("top", "left", "rows", "columns")):
            image[name] = places.boxes[:, column]
        image["mirrored"], image["down"], image["right"] = places.mirrored, places.shifts[:, 0], places.shifts[:, 1]
        self._loader.reader.metadata = self._records
        self._decoder.image_size = self.image_size
        Compiler.set_num_threads(self.num_workers)
        iterator = EpochIterator(self._loader, order)
        try:
            for _ in range(-(-len(order) // self.batch_size)):
                self._wait(iterator)
                batch = next(iterator)
                self._restore_threads()
                yield batch
        finally:
            iterator.close()

    def _wait(self, iterator: Any) -> None:
        # FFCV's own next() waits without end when its thread has died.
        while iterator.output_queue.empty():
            if not iterator.is_alive() and iterator.output_queue.empty():
                raise TrainingError(f"{self.path}: FFCV's loading thread died; its error is above.")
            time.sleep(0.0005)

    def _restore_threads(self) -> None:
        # FFCV sets torch's thread count when imported and whenever an epoch starts.
        if torch.get_num_threads() != self._torch_threads:
            torch.set_num_threads(self._torch_threads)
