"""Betons through NVIDIA DALI: images are decoded and resized by its pipeline, on the GPU where there is one."""

from collections.abc import Generator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.plugin.pytorch import feed_ndarray

from rescale_fast.beton.file import JPEG_MODE, BetonFile
from rescale_fast.errors import TrainingError
from rescale_fast.loaders.augment import FILL, Placements
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.loaders.samples import Samples
from rescale_fast.loaders.settings import LoaderSettings

# Longer ones can end the process with a segmentation fault where an image has no readable header (DALI 2.4).
LARGEST_CPU_RUN = 16


@pipeline_def  # type: ignore[untyped-decorator]
def _pipeline(source: Any, image_size: int, on_gpu: bool, moves: bool) -> Any:
    encoded, start, stop, mirrored, *anchor = fn.external_source(source=source, num_outputs=4 + moves)
    # Whole: with nvImageCodec 0.9, decoding a region on a GPU ends the process.
    images = fn.decoders.image(
        encoded,
        device="mixed" if on_gpu else "cpu",
        output_type=types.RGB,
        adjust_orientation=False,  # as FFCV and PIL
    )
    images = fn.resize(
        images,
        roi_start=start,
        roi_end=stop,
        roi_relative=True,  # a reader that scales by the DCT sees a smaller image
        size=[image_size, image_size],
        interp_type=types.INTERP_TRIANGULAR,
        antialias=True,
    )
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

    def __init__(self, beton: BetonFile, samples: Samples, settings: LoaderSettings, device: torch.device) -> None:
        super().__init__(beton, samples, settings, device)
        self._bytes = np.memmap(self.path, np.uint8, "r")

    def _images(self, places: Placements) -> Generator[torch.Tensor, None, None]:
        size, longest = self.image_size, LARGEST_CPU_RUN if self.device.type == "cpu" else self.batch_size
        split = [list(batch.batches(longest)) for batch in places.batches(self.batch_size)]
        pipeline = self._pipeline(list(chain(*split)), depth=2 * len(split[0]))
        for runs in split:
            images = torch.empty(sum(map(len, runs)), size, size, 3, dtype=torch.uint8, device=self.device)
            filled = 0
            for run in runs:
                try:
                    (made,) = pipeline.run()
                except RuntimeError as error:
                    self._refuse_one_of(run)
                    raise TrainingError(f"{self.path}: DALI stopped: {error}") from error
                _copy(made, images[filled : filled + len(run)])
                filled += len(run)
            yield images.permute(0, 3, 1, 2)

    def _pipeline(self, runs: Sequence[Placements], depth: int) -> Any:
        on_gpu, moves = self.device.type == "cuda", any(run.shifts.any() for run in runs)
        pipeline = _pipeline(
            source=(self._inputs(run)[: 4 + moves] for run in runs),
            image_size=self.image_size,
            on_gpu=on_gpu,
            moves=moves,
            batch_size=max(map(len, runs)),
            num_threads=self.num_workers,
            device_id=(self.device.index or 0) if on_gpu else None,
            prefetch_queue_depth=depth,
        )
        pipeline.build()
        return pipeline

    def _refuse_one_of(self, run: Placements) -> None:
        """Raise ArtifactError for the first of these images that DALI refuses alone, too: its error names none."""
        images = list(run.batches(1))
        pipeline = self._pipeline(images, depth=2)
        for image in images:
            try:
                pipeline.run()
            except RuntimeError:
                self._refuse(image.rows)

    def _inputs(self, run: Placements) -> tuple[list[NDArray[Any]], ...]:
        """For each image of a run: JPEG, two corners of its box as shares, mirrored, corner after moving."""
        sides = self._sizes[run.rows]
        start, shape = run.boxes[:, :2], run.boxes[:, 2:]
        return (
            [self._encoded(row) for row in run.rows.tolist()],
            list((start / sides).astype(np.float32, order="C")),
            list(((start + shape) / sides).astype(np.float32, order="C")),
            list(run.mirrored.astype(np.int32)),
            list(-run.shifts.astype(np.int32, order="C")),
        )

    def _encoded(self, row: int) -> NDArray[np.uint8]:
        """A JPEG; or pixels, which under a header of a line are a file of a kind that DALI reads."""
        at, length = self.payloads[row].tolist()
        record, payload = self.image_records[row], self._bytes[at : at + length]
        if record["mode"] == JPEG_MODE:
            return payload
        header = b"P6 %d %d 255\n" % (record["width"], record["height"])
        return np.concatenate([np.frombuffer(header, np.uint8), payload])


def _copy(run: Any, target: torch.Tensor) -> None:
    """Copy a run out of DALI's buffer, which the next run overwrites. target: (B, H, W, 3), contiguous."""
    stream = torch.cuda.current_stream(target.device) if target.device.type == "cuda" else None
    feed_ndarray(run.as_tensor(), target, cuda_stream=stream)
