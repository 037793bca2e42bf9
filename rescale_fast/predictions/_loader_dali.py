"""The DALI loader: readers.file -> decoders.image -> resize, crop, normalise, as torchvision does on PIL images.

DALI's own defaults are a pixel off (crop rounding), rotate by EXIF, and round sizes differently. Here sizes are
computed from the file's header as torchvision computes them, the crop is an explicit slice whose offset rounds
half to even, and the triangular filter is PIL's antialiased bilinear one.

A file that DALI refuses ends its batch with an error that does not name it, and the batch is lost; the next run
continues with the following batch. So a lost batch is read again, image by image, by the tolerant reader.
On the CPU, one such file in a run of 32 images or more ends the whole process with a segmentation fault (DALI 2.4;
never seen in runs of 28 or fewer, with 1 to 8 threads), so runs there are short, and joined into batches.
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

LARGEST_CPU_RUN = 16  # images; see above
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
    run_size = batch_size if on_gpu else min(batch_size, LARGEST_CPU_RUN)
    pipeline = _pipeline(
        files=[str(path) for path in paths],
        transform=transform,
        on_gpu=on_gpu,
        batch_size=run_size,
        num_threads=num_threads,
        device_id=(device.index or 0) if on_gpu else None,
        prefetch_queue_depth=2 * batch_size // run_size,
    )
    pipeline.build()
    for start in range(0, len(paths), batch_size):
        wanted = range(start, min(start + batch_size, len(paths)))
        parts = [
            _one_run(pipeline, paths, transform, range(first, min(first + run_size, wanted.stop)), device)
            for first in range(wanted.start, wanted.stop, run_size)
        ]
        yield parts[0] if len(parts) == 1 else _joined(parts)


def _one_run(
    pipeline: Any, paths: Sequence[Path], transform: EvalTransform, wanted: range, device: torch.device
) -> LoadedBatch:
    try:
        images, positions = pipeline.run()
    except RuntimeError:
        read = read_one_by_one(paths, wanted, transform)
        return LoadedBatch(read.positions, read.images.to(device), read.unreadable)
    got = positions.as_array().ravel()[: len(wanted)]
    if got.tolist() != list(wanted):
        raise RescaleError(f"DALI returned the images {got.tolist()[:5]}... where {wanted} were asked for.")
    return LoadedBatch(tuple(wanted), _to_torch(images, device)[: len(wanted)], ())


def _joined(parts: Sequence[LoadedBatch]) -> LoadedBatch:
    read = [part.images for part in parts if part.positions]
    return LoadedBatch(
        positions=tuple(position for part in parts for position in part.positions),
        images=torch.cat(read) if read else parts[0].images,
        unreadable=tuple(bad for part in parts for bad in part.unreadable),
    )


def _to_torch(images: Any, device: torch.device) -> torch.Tensor:
    """Copy a batch out of DALI's buffer, which the next run overwrites: (B, 3, H, W), channels-last in memory."""
    batch = images.as_tensor()
    copied = torch.empty(batch.shape(), dtype=torch.float32, device=device)
    feed_ndarray(batch, copied, cuda_stream=torch.cuda.current_stream(device) if device.type == "cuda" else None)
    return copied.permute(0, 3, 1, 2)
