"""DALI's part of the DALI loader: encoded images in, normalised crops out, and which images it refuses.

A file that DALI refuses ends its run with an error that does not name it, and the run's images are lost. So the halves
of a lost run are read again by a new pipeline, and their halves, until the file stands alone: what DALI refuses depends
on the file and not on its neighbours. And before a file is blamed, an image that is known to be good must pass.
"""

import io
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.plugin.pytorch import feed_ndarray
from PIL import Image

from rescale_fast.errors import RescaleError
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions._loader_torchvision import decode_image
from rescale_fast.predictions.encoded import EncodedImage
from rescale_fast.predictions.placement import resizings

INTERPOLATION = {"bilinear": types.INTERP_TRIANGULAR, "bicubic": types.INTERP_CUBIC}
Run = Sequence[EncodedImage]


@pipeline_def  # type: ignore[untyped-decorator]
def _pipeline(transform: EvalTransform, num_resizings: int, on_gpu: bool, hardware_share: float) -> Any:
    images = fn.decoders.image(
        fn.external_source(name="encoded"),
        device="mixed" if on_gpu else "cpu",
        output_type=types.RGB,
        adjust_orientation=False,  # neither PIL nor ImageFolder rotates by EXIF
        jpeg_fancy_upsampling=True,  # as libjpeg does by default, and so PIL
        hw_decoder_load=hardware_share,
    )
    for step in range(num_resizings):
        images = fn.resize(
            images,
            roi_start=fn.external_source(name=f"start{step}"),
            roi_end=fn.external_source(name=f"stop{step}"),
            size=fn.external_source(name=f"size{step}"),
            roi_relative=False,
            interp_type=INTERPOLATION[transform.interpolation],
            antialias=True,
        )
    return fn.crop_mirror_normalize(
        images,
        dtype=types.FLOAT,
        output_layout="HWC",  # channels-last, as convolutions like it
        mean=[255 * value for value in transform.mean],
        std=[255 * value for value in transform.std],
    )


class DaliReader:
    """Reads runs of images in the order in which they are given; several are under way at once.

    Raises: RescaleError, at once or later, when DALI fails with an image that is known to be good.
    """

    def __init__(
        self,
        transform: EvalTransform,
        run_size: int,
        depth: int,
        num_threads: int,
        device: torch.device,
        hardware_share: float,
    ) -> None:
        on_gpu = device.type == "cuda"
        self._transform, self._device, self._depth = transform, device, depth
        self._settings: dict[str, Any] = {
            "transform": transform,
            "num_resizings": len(resizings(np.ones((1, 2), np.int64), transform)),
            "on_gpu": on_gpu,
            "hardware_share": hardware_share,
            "batch_size": run_size,
            "num_threads": num_threads,
            "device_id": (device.index or 0) if on_gpu else None,
            "prefetch_queue_depth": depth,
        }
        self._waiting: deque[Run] = deque()
        self._under_way: deque[Run] = deque()
        self._pipeline: Any = None
        self._known_good = _known_good(transform)
        self._start_anew(None)

    def give(self, run: Run) -> None:
        self._waiting.append(run)

    def take(self, target: torch.Tensor) -> list[int]:
        """Read the run that was given first. target: (B, crop, crop, 3) of float32, contiguous.

        Returns: the places in the run of the images that DALI refuses; their rows of target are undefined.
        """
        try:
            self._fill()
            self._finish(target)
        except Exception as error:  # of whatever kind: DALI passes on those of its libraries
            run = (self._under_way or self._waiting)[0]
            self._waiting.extendleft(reversed(self._under_way))
            self._waiting.popleft()
            self._under_way.clear()
            return self._read_in_halves(run, target, error)
        self._under_way.popleft()
        return []

    def _fill(self) -> None:
        while self._waiting and len(self._under_way) < self._depth:
            self._begin(self._waiting[0])
            self._under_way.append(self._waiting.popleft())

    def _begin(self, run: Run) -> None:
        self._feed(run)
        self._pipeline.schedule_run()

    def _feed(self, run: Run) -> None:
        sides = np.array([(image.height, image.width) for image in run], np.int64)
        self._pipeline.feed_input("encoded", [image.data for image in run])
        for step, resizing in enumerate(resizings(sides, self._transform)):
            for name, value in resizing._asdict().items():
                self._pipeline.feed_input(f"{name}{step}", value.astype(np.float32))

    def _finish(self, target: torch.Tensor) -> None:
        (images,) = self._pipeline.share_outputs()
        stream = torch.cuda.current_stream(self._device) if self._device.type == "cuda" else None
        feed_ndarray(images.as_tensor(), target, cuda_stream=stream)  # copies: the next run overwrites DALI's buffer
        self._pipeline.release_outputs()

    def _read_in_halves(self, run: Run, target: torch.Tensor, error: Exception) -> list[int]:
        """The run has failed with this error: find out which of its images are to blame, and read the others."""
        self._start_anew(error)
        if len(run) == 1:
            return [0]
        refused = []
        middle = len(run) // 2
        for first, half in ((0, run[:middle]), (middle, run[middle:])):
            rows = target[first : first + len(half)]
            try:
                self._begin(half)
                self._finish(rows)
            except Exception as again:
                refused += [first + place for place in self._read_in_halves(half, rows, again)]
        return refused

    def _start_anew(self, error: Exception | None) -> None:
        """Make a pipeline (a failed one may be out of step) and see that it decodes what anything decodes."""
        encoded, expected = self._known_good
        got = torch.empty(1, *expected.permute(1, 2, 0).shape, device=self._device)
        try:
            self._pipeline = _pipeline(**self._settings)
            self._pipeline.build()
            for _ in range(self._depth):
                self._feed([encoded])
            self._pipeline.schedule_run()  # the first call begins as many runs as may be under way; later ones, one
            for _ in range(self._depth):
                self._finish(got)
        except Exception as failure:
            raise _unsound(f"{failure or error}") from failure
        levels = 255 * (got[0].cpu() - expected.permute(1, 2, 0)).abs() * torch.tensor(self._transform.std)
        if not levels.mean() < LARGEST_ERROR:
            raise _unsound(f"it is {float(levels.mean()):.0f} grey levels off, on average")


LARGEST_ERROR = 4.0  # grey levels, of a smooth image, on average; decoders differ by less than one


def _known_good(transform: EvalTransform) -> tuple[EncodedImage, torch.Tensor]:
    """A JPEG of smooth colours, and its crop as the tolerant reader has it."""
    height, width = 96, 128
    ramps = np.stack(np.broadcast_arrays(*np.ogrid[0 : 200 : height * 1j, 40 : 250 : width * 1j], 90.0), axis=-1)
    file = io.BytesIO()
    Image.fromarray(ramps.astype(np.uint8)).save(file, "JPEG", quality=95)
    encoded = EncodedImage(np.frombuffer(file.getvalue(), np.uint8), "", True, width, height)
    expected = decode_image(encoded, transform)
    if isinstance(expected, str):
        raise RescaleError(f"Pillow cannot read the JPEG that it has just written: {expected}. Install it again.")
    return encoded, expected


def _unsound(what: str) -> RescaleError:
    words = " ".join(what.split())
    return RescaleError(
        f"DALI cannot decode a JPEG that is known to be good: {words[:300]}. `rescale-fast doctor` looks closer; "
        "`--loader torchvision` does without DALI."
    )
