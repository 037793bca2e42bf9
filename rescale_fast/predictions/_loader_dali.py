"""The DALI loader: readers.file -> decoders.image -> resize of the centre -> normalise, as torchvision on PIL images.

DALI's own defaults are a pixel off (crop rounding), rotate by EXIF, and round sizes differently. Here sizes are
computed from the file's header as torchvision computes them, the crop's offset rounds half to even, and the triangular
filter is PIL's antialiased bilinear one. Only what the crop shows is resized: the region of the source that it comes
from, which saves two fifths of the resizing of a 500 x 375 image. Where the crop reaches the image's edge (nothing is
cut off), the outermost pixels differ by a few levels: DALI repeats the edge, PIL leaves what is beyond it out.

A file that DALI refuses ends its run with an error that does not name it, and the run's images are lost; the next run
continues after them. So a lost run is read again, image by image, by the tolerant reader.
On the CPU, one such file in a run of 32 images or more ends the whole process with a segmentation fault (DALI 2.4;
never seen in runs of 28 or fewer, with 1 to 8 threads), so runs there are short, and joined into batches.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from nvidia.dali import fn, math, pipeline_def, types
from nvidia.dali.plugin.pytorch import feed_ndarray

from rescale_fast.errors import RescaleError
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions._loader_torchvision import LoadedBatch, read_one_by_one

LARGEST_CPU_RUN = 16  # images; see above
LONGEST_LIST = 65_536  # files a pipeline is given; DALI needs about 1 KB for each
INTERPOLATION = {"bilinear": types.INTERP_TRIANGULAR, "bicubic": types.INTERP_CUBIC}


@pipeline_def  # type: ignore[untyped-decorator]
def _pipeline(files: Sequence[str], transform: EvalTransform, on_gpu: bool, hardware_share: float) -> Any:
    encoded, positions = fn.readers.file(
        files=files,
        labels=list(range(len(files))),
        pad_last_batch=True,  # so that every run is a whole batch; the padding is cut off again
        name="files",
    )
    shape = fn.cast(fn.peek_image_shape(encoded, adjust_orientation=False), dtype=types.INT32)
    start, stop = _source_region(shape[0], shape[1], transform)
    images = fn.decoders.image(
        encoded,
        device="mixed" if on_gpu else "cpu",
        output_type=types.RGB,
        adjust_orientation=False,  # neither PIL nor ImageFolder rotates by EXIF
        jpeg_fancy_upsampling=True,  # as libjpeg does by default, and so PIL
        hw_decoder_load=hardware_share,
    )
    images = fn.resize(
        images,
        roi_start=start,
        roi_end=stop,
        roi_relative=False,
        resize_y=transform.crop,
        resize_x=transform.crop,
        interp_type=INTERPOLATION[transform.interpolation],
        antialias=True,
    )
    images = fn.crop_mirror_normalize(
        images,
        dtype=types.FLOAT,
        output_layout="HWC",  # channels-last, as convolutions like it
        mean=[255 * value for value in transform.mean],
        std=[255 * value for value in transform.std],
    )
    return images, positions


def _source_region(height: Any, width: Any, transform: EvalTransform) -> tuple[Any, Any]:
    """Corners of the region of the source, (y, x) in pixels, that becomes the crop."""
    short = math.min(height, width)
    corners = []
    for side in (height, width):
        # torchvision: the short side becomes `resize`, the long one int(resize * long / short).
        resized = transform.resize if transform.squash else side * transform.resize // short
        # round((resized - crop) / 2), half to even, in integers: DALI has no such rounding.
        half = (resized - transform.crop) // 2
        offset = half + ((resized - transform.crop) & 1) * (half & 1)
        scale = fn.cast(side, dtype=types.FLOAT) / resized
        corners.append((offset * scale, (offset + transform.crop) * scale))
    (top, bottom), (left, right) = corners
    return fn.stack(top, left), fn.stack(bottom, right)


class _Runs:
    """A list read run by run, by one pipeline after another; a new one also where DALI has lost its place."""

    def __init__(
        self,
        paths: Sequence[str],
        transform: EvalTransform,
        run_size: int,
        depth: int,
        num_threads: int,
        device: torch.device,
        hardware_share: float,
    ) -> None:
        on_gpu = device.type == "cuda"
        self._paths = paths
        self._settings: dict[str, Any] = {
            "transform": transform,
            "on_gpu": on_gpu,
            "hardware_share": hardware_share,
            "batch_size": run_size,
            "num_threads": num_threads,
            "device_id": (device.index or 0) if on_gpu else None,
            "prefetch_queue_depth": depth,
        }
        self._start(0)

    def _start(self, first: int) -> None:
        self._files = range(first, min(first + LONGEST_LIST, len(self._paths)))  # positions of the pipeline's images
        self._pipeline = _pipeline(files=self._paths[first : self._files.stop], **self._settings)
        self._pipeline.build()
        self._failures = 0  # in a row

    def read(self, wanted: range) -> Any:
        """The images at these consecutive positions, as DALI holds them; None when one of them is refused.

        Raises: RescaleError when DALI gives other images than those asked for (a defect, never swallowed).
        """
        after_failure = self._failures > 0
        # Two broken runs in a row: or is it the pipeline that is broken?
        if self._failures > 1 or wanted.start == self._files.stop:
            self._start(wanted.start)
        try:
            images, positions = self._pipeline.run()
        except RuntimeError:
            self._failures += 1
            return None
        self._failures = 0
        got = (positions.as_array().ravel()[: len(wanted)] + self._files.start).tolist()
        if got != list(wanted):
            if after_failure:
                self._start(wanted.start)
                return self.read(wanted)
            raise RescaleError(f"DALI returned the images {got[:5]}... where {wanted} were asked for.")
        return images.as_tensor()


def dali_batches(
    paths: Sequence[str],
    transform: EvalTransform,
    batch_size: int,
    num_threads: int,
    device: torch.device,
    *,
    hardware_share: float = 0.65,
) -> Iterator[LoadedBatch]:
    """Read all paths in order, each exactly once.

    Args:
        hardware_share: on a GPU, the share of the JPEGs that its hardware decoder is given, where it has one.
    Raises: RescaleError when DALI gives other images than those asked for (a defect, never swallowed).
    """
    on_gpu = device.type == "cuda"
    run_size = batch_size if on_gpu else min(batch_size, LARGEST_CPU_RUN)
    runs = _Runs(paths, transform, run_size, 2 * batch_size // run_size, num_threads, device, hardware_share)
    for start in range(0, len(paths), batch_size):
        wanted = range(start, min(start + batch_size, len(paths)))
        images = torch.empty(len(wanted), transform.crop, transform.crop, 3, device=device)
        unreadable: list[tuple[int, str]] = []
        for first in range(wanted.start, wanted.stop, run_size):
            run = range(first, min(first + run_size, wanted.stop))
            target = images[run.start - start : run.stop - start]
            found = runs.read(run)
            if found is None:
                unreadable += _read_tolerantly(paths, run, transform, num_threads, target)
            else:
                _copy(found, target)
        bad = {position for position, _ in unreadable}
        positions = tuple(position for position in wanted if position not in bad)
        if bad:
            images = images[[position - start for position in positions]]
        yield LoadedBatch(positions, images.permute(0, 3, 1, 2), tuple(unreadable))


def _read_tolerantly(
    paths: Sequence[str], run: range, transform: EvalTransform, num_threads: int, target: torch.Tensor
) -> tuple[tuple[int, str], ...]:
    read = read_one_by_one(paths, run, transform, num_threads)
    if read.positions:
        rows = [position - run.start for position in read.positions]
        target[rows] = read.images.permute(0, 2, 3, 1).to(target.device)
    return read.unreadable


def _copy(batch: Any, target: torch.Tensor) -> None:
    """Copy a run out of DALI's buffer, which the next run overwrites. target: (at most B, H, W, 3), contiguous."""
    whole = batch.shape()[0] == len(target)
    copied = target if whole else torch.empty(batch.shape(), dtype=torch.float32, device=target.device)
    stream = torch.cuda.current_stream(target.device) if target.device.type == "cuda" else None
    feed_ndarray(batch, copied, cuda_stream=stream)
    if not whole:  # the padding of the last run
        target.copy_(copied[: len(target)])
