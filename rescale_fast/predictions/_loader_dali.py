"""The DALI loader: readers.file -> decoders.image -> resize, crop, normalise, as torchvision does on PIL images.

DALI's own defaults are a pixel off (crop rounding), rotate by EXIF, and round sizes differently. Here sizes are
computed from the file's header as torchvision computes them, the crop is an explicit slice whose offset rounds
half to even, and the triangular filter is PIL's antialiased bilinear one.

A file that DALI refuses ends its batch with an error that does not name it, and the batch is lost; the next run
continues with the following batch. So a lost batch is read again, image by image, by the tolerant reader.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from nvidia.dali import fn, math, pipeline_def, types
from nvidia.dali.plugin.pytorch import feed_ndarray

from rescale_fast.errors import RescaleError
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions._loader_torchvision import LoadedBatch, read_one_by_one

INTERPOLATION = {"bilinear": types.INTERP_TRIANGULAR, "bicubic": types.INTERP_CUBIC}


@pipeline_def  # type: ignore[untyped-decorator]
def _pipeline(files: Sequence[str], transform: EvalTransform, on_gpu: bool) -> Any:
    encoded, positions = fn.readers.file(
        files=files,
        labels=list(range(len(files))),
        pad_last_batch=True,  # so that every run is a whole batch; the padding is cut off again
        name="files",
    )
    shape = fn.peek_image_shape(encoded, adjust_orientation=False)
    height, width = shape[0], shape[1]
    short = math.min(height, width)
    # torchvision: the short side becomes `resize`, the long one int(resize * long / short).
    new_height = height * transform.resize // short
    new_width = width * transform.resize // short
    images = fn.decoders.image(
        encoded,
        device="mixed" if on_gpu else "cpu",
        output_type=types.RGB,
        adjust_orientation=False,  # neither PIL nor ImageFolder rotates by EXIF
        jpeg_fancy_upsampling=True,  # as libjpeg does by default, and so PIL
    )
    images = fn.resize(
        images,
        resize_y=fn.cast(new_height, dtype=types.FLOAT),
        resize_x=fn.cast(new_width, dtype=types.FLOAT),
        interp_type=INTERPOLATION[transform.interpolation],
        antialias=True,
    )
    images = fn.slice(
        images,
        fn.stack(_crop_offset(new_height, transform.crop), _crop_offset(new_width, transform.crop)),
        [transform.crop, transform.crop],
        axes=(0, 1),
        normalized_anchor=False,
        normalized_shape=False,
    )
    images = fn.crop_mirror_normalize(
        images,
        dtype=types.FLOAT,
        output_layout="HWC",  # channels-last, as convolutions on a GPU like it
        mean=[255 * value for value in transform.mean],
        std=[255 * value for value in transform.std],
    )
    return images, positions


def _crop_offset(side: Any, crop: int) -> Any:
    """round((side - crop) / 2), half to even, in integers: DALI has no such rounding."""
    half = (side - crop) // 2
    return half + ((side - crop) & 1) * (half & 1)


def dali_batches(
    paths: Sequence[Path], transform: EvalTransform, batch_size: int, num_threads: int, device: torch.device
) -> Iterator[LoadedBatch]:
    """Read all paths in order, each exactly once.

    Raises: RescaleError when DALI gives other images than those asked for (a defect, never swallowed).
    """
    on_gpu = device.type == "cuda"
    pipeline = _pipeline(
        files=[str(path) for path in paths],
        transform=transform,
        on_gpu=on_gpu,
        batch_size=batch_size,
        num_threads=num_threads,
        device_id=(device.index or 0) if on_gpu else None,
        prefetch_queue_depth=2,
    )
    pipeline.build()
    for start in range(0, len(paths), batch_size):
        expected = range(start, min(start + batch_size, len(paths)))
        try:
            images, positions = pipeline.run()
        except RuntimeError:
            batch = read_one_by_one(paths, expected, transform)
            yield LoadedBatch(batch.positions, batch.images.to(device), batch.unreadable)
            continue
        got = positions.as_array().ravel()[: len(expected)]
        if got.tolist() != list(expected):
            raise RescaleError(f"DALI returned the images {got.tolist()[:5]}... where {expected} were asked for.")
        yield LoadedBatch(tuple(expected), _to_torch(images, device)[: len(expected)], ())


def _to_torch(images: Any, device: torch.device) -> torch.Tensor:
    """Copy a batch out of DALI's buffer, which the next run overwrites: (B, 3, H, W), channels-last in memory."""
    batch = images.as_tensor()
    copied = torch.empty(batch.shape(), dtype=torch.float32, device=device)
    feed_ndarray(batch, copied, cuda_stream=torch.cuda.current_stream(device) if device.type == "cuda" else None)
    return copied.permute(0, 3, 1, 2)
