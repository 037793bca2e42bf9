"""Betons through FFCV: its threads, buffers and decoders, with our order and our places of images.

FFCV makes batches in buffers that it fills again five batches later, and does not look at what its decoder returns
(nor would that tell a warning from an error). So batches are copied before they are given, and a decoder that gave up
is known by the last pixel, which it left as it was.
On a GPU FFCV's own ToDevice is not used: it copies from page-locked buffers without waiting, and its threads wait for a
copy on the GPU only. Where the GPU is more than five batches behind, they fill a buffer that is still to be copied.
"""

import weakref
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import torch
from ffcv.fields.rgb_image import SimpleRGBImageDecoder
from ffcv.libffcv import ctypes_imdecode
from ffcv.loader import Loader
from ffcv.loader.epoch_iterator import EpochIterator
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.transforms import ToTensor, ToTorchImage
from numba import get_num_threads, get_thread_id  # type: ignore[attr-defined]
from numpy.typing import NDArray

from rescale_fast.beton.file import JPEG_MODE, BetonFile
from rescale_fast.errors import TrainingError
from rescale_fast.loaders._triangle import resize
from rescale_fast.loaders.augment import FILL, Placements
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.loaders.checks import BATCHES_AHEAD, check_memory, largest_image
from rescale_fast.loaders.samples import Samples
from rescale_fast.loaders.settings import LoaderSettings

# numba prints an error when compiled code that FFCV made is deleted before the program ends, so it is kept till then.
_COMPILED: list[Any] = []
MOST_KEPT = 3  # batches: the one that is used, the next, and one more
SECONDS_BETWEEN_LOOKS = 0.2  # at whether the thread that is waited for still lives
PLACED = np.dtype(  # FFCV's record of an image, where it is to be cut, mirrored and moved, and what came of it
    [("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("data_ptr", "<u8")]
    + [(name, "<u2") for name in ("top", "left", "rows", "columns")]
    + [("mirrored", "u1"), ("down", "<i2"), ("right", "<i2"), ("refused", "u1")],
    align=True,
)


class PlacedDecoder(SimpleRGBImageDecoder):  # type: ignore[misc]
    """Makes each image as its record, a PLACED one, says. FFCV compiles what generate_code returns."""

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size

    def declare_state_and_memory(self, previous_state: Any) -> tuple[Any, AllocationQuery]:
        shape, dtype = (self.image_size, self.image_size, 3), np.dtype("u1")
        return replace(previous_state, jit_mode=True, shape=shape, dtype=dtype), AllocationQuery(shape, dtype)

    def generate_code(self) -> Callable[..., Any]:
        each, read = Compiler.get_iterator(), self.memory_read
        decode, finish, jpeg = Compiler.compile(_decode), Compiler.compile(_mirror_and_move), JPEG_MODE
        largest = largest_image(self.metadata)

        def make(batch: Any, images: Any, records: Any, storage: Any) -> Any:
            # One for each thread, where FFCV's own decoders have one for each image: they stay in the caches.
            decoded = np.empty((get_num_threads(), largest * 3), np.uint8)
            unmoved = np.empty((get_num_threads(), *images.shape[1:]), np.uint8)
            for i in each(len(batch)):
                thread = get_thread_id()
                record = records[batch[i]]
                payload = read(record["data_ptr"], storage)
                height, width = np.uint32(record["height"]), np.uint32(record["width"])
                if record["mode"] == jpeg:
                    pixels = decoded[thread]
                    if not decode(payload, height, width, pixels):
                        record["refused"] = 1
                        continue
                else:
                    pixels = payload
                down, right = np.int64(record["down"]), np.int64(record["right"])
                image = unmoved[thread] if down or right else images[i]
                resize(
                    pixels, np.int64(width), np.int64(record["top"]), np.int64(record["left"]),
                    np.int64(record["rows"]), np.int64(record["columns"]), image,
                )  # fmt: skip
                finish(image, record["mirrored"], down, right, images[i])
            return images[: len(batch)]

        make.is_parallel = True  # type: ignore[attr-defined]  # FFCV looks for it
        return make


def _decode(payload: Any, height: Any, width: Any, pixels: Any) -> bool:
    """Write a JPEG's pixels; False if they are not the height x width of the record, or none.

    A decoder writes from the first pixel to the last, so it suffices to mark that: a mark is left, or was its colour.
    """
    last = np.int64(height) * np.int64(width) * 3 - 1
    for mark in (1, 254):
        pixels[last - 2], pixels[last - 1], pixels[last] = mark, 255 - mark, mark
        ctypes_imdecode(
            payload.ctypes.data, payload.size, height, width, pixels.ctypes.data, height, width,
            0, 0, 1, 1, False, False,  # no offset, no scale, the whole image, not mirrored
        )  # fmt: skip
        if pixels[last - 2] != mark or pixels[last - 1] != 255 - mark or pixels[last] != mark:
            return True
    return False


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


class Copies:
    """Copies of batches, in memory of earlier ones that nobody holds any longer: new memory costs more than copying.

    A tensor's memory, and so that of all views of it, holds on to the array that it was made of.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[NDArray[np.uint8], weakref.ref[Any]]] = []  # memory, and what of it was given last

    def of(self, images: NDArray[np.uint8]) -> torch.Tensor:
        """A copy of the batch."""
        self._kept = [(memory, given) for memory, given in self._kept if memory.shape == images.shape]
        free = next((i for i, (_, given) in enumerate(self._kept) if given() is None), None)
        memory = np.empty_like(images) if free is None else self._kept.pop(free)[0]
        np.copyto(memory, images)
        view = memory.view()
        if len(self._kept) < MOST_KEPT:
            self._kept.append((memory, weakref.ref(view)))
        return torch.from_numpy(view)


class FfcvLoader(BetonLoader):
    """Through FFCV. Unlike its own Loader: torch keeps its threads, and a dead loading thread raises an error."""

    def __init__(self, beton: BetonFile, samples: Samples, settings: LoaderSettings, device: torch.device) -> None:
        most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        super().__init__(beton, samples, replace(settings, num_workers=min(settings.num_workers, most)), device)
        self._copies = Copies()
        self._torch_threads = torch.get_num_threads()
        self._copying = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._decoder = PlacedDecoder(self.image_size)
        image = [self._decoder, ToTensor(), ToTorchImage(convert_back_int16=False)]
        self._loader = Loader(
            str(self.path),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            os_cache=True,
            batches_ahead=BATCHES_AHEAD,
            pipelines={field.name: image if i == samples.image else None for i, field in enumerate(beton.fields)},
        )
        _COMPILED.append(self._loader.code)
        self._records = self._loader.reader.metadata  # (N,) all fields of the samples
        self._restore_threads()

    def _images(self, places: Placements) -> Generator[torch.Tensor, None, None]:
        check_memory(self.beton, self.samples.image, self.settings)
        records = self._placed(places)
        self._loader.reader.metadata = records
        self._decoder.image_size = self.image_size
        Compiler.set_num_threads(self.num_workers)
        iterator = EpochIterator(self._loader, np.arange(len(places)))
        try:
            for at in range(0, len(places), self.batch_size):
                self._wait(iterator)
                (images,) = next(iterator)
                self._restore_threads()
                batch = slice(at, at + self.batch_size)
                self._refuse(places.rows[batch][records[self.image_field]["refused"][batch] != 0])
                yield self._given(images)
        finally:
            iterator.close()

    def _placed(self, places: Placements) -> Any:
        """(m,) FFCV's records of the samples, in order, with the places of their images."""
        records = self._records[places.rows]
        kinds = records.dtype
        wider = np.dtype(
            [(name, PLACED if name == self.image_field else kinds[name]) for name in kinds.names], align=True
        )
        placed = np.zeros(len(records), wider)
        for name in kinds.names:
            if name == self.image_field:
                for part in kinds[name].names:
                    placed[name][part] = records[name][part]
            else:
                placed[name] = records[name]
        image = placed[self.image_field]
        for column, name in enumerate(("top", "left", "rows", "columns")):
            image[name] = places.boxes[:, column]
        image["mirrored"], image["down"], image["right"] = places.mirrored, places.shifts[:, 0], places.shifts[:, 1]
        return placed

    def _given(self, images: torch.Tensor) -> torch.Tensor:
        """A batch out of FFCV's buffers, as our caller gets it."""
        if self._copying is None:
            return images if self.settings.reuse_buffers else self._copies.of(images.numpy())
        with torch.cuda.stream(self._copying):  # so that waiting for the copy does not wait for the network
            copied = images.to(self.device)
        copied.record_stream(torch.cuda.current_stream(self.device))
        return copied

    def _wait(self, iterator: Any) -> None:
        # FFCV's own next() waits without end when its thread has died.
        made = iterator.output_queue
        with made.not_empty:
            while not made.queue:
                if not iterator.is_alive():
                    raise TrainingError(f"{self.path}: FFCV's loading thread died; its error is above.")
                made.not_empty.wait(SECONDS_BETWEEN_LOOKS)

    def _restore_threads(self) -> None:
        # FFCV sets torch's thread count when imported and whenever an epoch starts.
        if torch.get_num_threads() != self._torch_threads:
            torch.set_num_threads(self._torch_threads)
