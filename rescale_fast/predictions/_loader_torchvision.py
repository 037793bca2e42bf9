"""The reference loader: PIL and torchvision, file by file; and the tolerant reader for what DALI does not take."""

import io
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F  # noqa: N812 (its customary name)

from rescale_fast.errors import DatasetError
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions.encoded import EncodedImage, read_encoded
from rescale_fast.predictions.placement import resized_sides, source_region
from rescale_fast.workers import start_worker, worker_context

LARGEST_RESIZED = 2**24  # pixels; a longer strip than this is not resized whole


@dataclass(frozen=True)
class LoadedBatch:
    """Consecutive images of the list that was asked for."""

    positions: tuple[int, ...]  # (B,) in that list, of the images that could be read
    images: torch.Tensor  # (B, 3, crop, crop) float32, normalised, on the loader's device
    unreadable: tuple[tuple[int, str], ...]  # (position, reason)
    num_left: int = 0  # that DALI was not given, by their headers
    num_refused: int = 0  # that DALI was given, and refused

    @property
    def num_listed(self) -> int:
        return len(self.positions) + len(self.unreadable)


def decode_image(encoded: EncodedImage, transform: EvalTransform) -> torch.Tensor | str:
    """Decode one image as torchvision's ImageFolder and evaluation transform do.

    Returns: (3, crop, crop) float32, normalised; or, for bytes that are no image, or one too large for the memory, the
    reason.
    """
    if encoded.fault:
        return encoded.fault
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # EXIF oddities and large images: read them all the same
            with Image.open(io.BytesIO(encoded.data.tobytes())) as image:
                pixels = _what_the_crop_shows(image.convert("RGB"), transform)
    except UnidentifiedImageError:
        return "UnidentifiedImageError: no kind of image that Pillow knows"  # its own words are about our buffer
    except MemoryError:
        return "MemoryError: too large for the memory of this machine"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"{type(error).__name__}: {error}"
    normalised: torch.Tensor = F.normalize(F.to_tensor(pixels), list(transform.mean), list(transform.std))
    return normalised


def _what_the_crop_shows(image: Image.Image, transform: EvalTransform) -> Image.Image:
    """Resize and crop, without ever making an image larger than LARGEST_RESIZED.

    A strip of 1 x 65,000 pixels, of which the crop shows a single one, would become one of 256 x 16.6 million. Only
    the region that is shown is resized then. Not always: Pillow rounds the region's edges, and chooses the order of its
    two passes by it, so that pixels differ from those of the whole (of strips by at most 2 grey levels, mean 0.3; of
    noise resized bicubically by up to 26).
    """
    sides = np.array([image.height, image.width])
    mode = InterpolationMode(transform.interpolation)
    if resized_sides(sides, transform).prod() <= LARGEST_RESIZED:
        size = [transform.resize] * (2 if transform.squash else 1)  # one number is the short side's
        cropped: Image.Image = F.center_crop(F.resize(image, size, mode, antialias=True), [transform.crop])
        return cropped
    (top, left), (bottom, right) = (corner.tolist() for corner in source_region(sides, transform))
    resampling = Image.Resampling[mode.name]
    return image.resize((transform.crop, transform.crop), resampling, box=(left, top, right, bottom))


def decode_each(
    images: Sequence[EncodedImage], positions: Sequence[int], transform: EvalTransform, num_threads: int
) -> LoadedBatch:
    """Decode images one by one, keeping apart what cannot be decoded. positions: theirs in the list."""
    with ThreadPoolExecutor(num_threads) as pool:  # PIL decodes and resizes without the interpreter's lock
        results = list(pool.map(lambda image: decode_image(image, transform), images))
    return _collate(list(zip(positions, results, strict=True)))


def _collate(results: list[tuple[int, torch.Tensor | str]]) -> LoadedBatch:
    read = [(position, result) for position, result in results if isinstance(result, torch.Tensor)]
    return LoadedBatch(
        positions=tuple(position for position, _ in read),
        images=torch.stack([image for _, image in read]) if read else torch.empty(0, 3, 1, 1),
        unreadable=tuple((position, reason) for position, reason in results if isinstance(reason, str)),
    )


class _Files(torch.utils.data.Dataset[tuple[int, torch.Tensor | str] | DatasetError]):
    def __init__(self, paths: Sequence[str], transform: EvalTransform) -> None:
        self.paths = paths
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> tuple[int, torch.Tensor | str] | DatasetError:
        try:
            (encoded,) = read_encoded([self.paths[position]])
        except DatasetError as error:  # raised by the parent: a worker's would be wrapped in a traceback
            return error
        return position, decode_image(encoded, self.transform)


def _collate_or_fail(results: list[tuple[int, torch.Tensor | str] | DatasetError]) -> LoadedBatch | DatasetError:
    failures = [result for result in results if isinstance(result, DatasetError)]
    return failures[0] if failures else _collate([result for result in results if isinstance(result, tuple)])


def torchvision_batches(
    paths: Sequence[str], transform: EvalTransform, batch_size: int, num_threads: int, device: torch.device
) -> Iterator[LoadedBatch]:
    """Read all paths in order with a DataLoader of `num_threads` processes.

    Raises: DatasetError for a file that the operating system does not give.
    """
    loader = torch.utils.data.DataLoader(
        _Files(paths, transform),
        batch_size=batch_size,
        num_workers=num_threads,
        collate_fn=_collate_or_fail,
        pin_memory=False,
        multiprocessing_context=worker_context(),
        worker_init_fn=start_worker,
    )
    for batch in loader:
        if isinstance(batch, DatasetError):
            raise batch
        yield LoadedBatch(batch.positions, batch.images.to(device), batch.unreadable)
