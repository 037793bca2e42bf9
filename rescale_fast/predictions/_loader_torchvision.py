"""The reference loader: PIL and torchvision, file by file; and the tolerant reader for what DALI refuses."""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F  # noqa: N812 (its customary name)

from rescale_fast.networks.types import EvalTransform
from rescale_fast.workers import start_worker


@dataclass(frozen=True)
class LoadedBatch:
    """Consecutive images of the list that was asked for."""

    positions: tuple[int, ...]  # (B,) in that list, of the images that could be read
    images: torch.Tensor  # (B, 3, crop, crop) float32, normalised, on the loader's device
    unreadable: tuple[tuple[int, str], ...]  # (position, reason)

    @property
    def num_listed(self) -> int:
        return len(self.positions) + len(self.unreadable)


def read_image(path: str, transform: EvalTransform) -> torch.Tensor | str:
    """Read one image as torchvision's ImageFolder and evaluation transform do.

    Returns: (3, crop, crop) float32, normalised; or, for a file that cannot be read, the reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # EXIF oddities and large images: read them all the same
            with Image.open(path) as image:
                pixels = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"{type(error).__name__}: {error}".replace(path, Path(path).name)
    size = [transform.resize] * (2 if transform.squash else 1)  # one number is the short side's
    pixels = F.resize(pixels, size, InterpolationMode(transform.interpolation), antialias=True)
    pixels = F.center_crop(pixels, [transform.crop])
    normalised: torch.Tensor = F.normalize(F.to_tensor(pixels), list(transform.mean), list(transform.std))
    return normalised


def read_one_by_one(
    paths: Sequence[str], positions: Sequence[int], transform: EvalTransform, num_threads: int
) -> LoadedBatch:
    """Read paths[p] for each position p, keeping apart what cannot be read."""
    with ThreadPoolExecutor(num_threads) as pool:  # PIL decodes and resizes without the interpreter's lock
        results = list(pool.map(lambda position: read_image(paths[position], transform), positions))
    return _collate(list(zip(positions, results, strict=True)))


def _collate(results: list[tuple[int, torch.Tensor | str]]) -> LoadedBatch:
    read = [(position, result) for position, result in results if isinstance(result, torch.Tensor)]
    return LoadedBatch(
        positions=tuple(position for position, _ in read),
        images=torch.stack([image for _, image in read]) if read else torch.empty(0, 3, 1, 1),
        unreadable=tuple((position, reason) for position, reason in results if isinstance(reason, str)),
    )


class _Files(torch.utils.data.Dataset[tuple[int, torch.Tensor | str]]):
    def __init__(self, paths: Sequence[str], transform: EvalTransform) -> None:
        self.paths = paths
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> tuple[int, torch.Tensor | str]:
        return position, read_image(self.paths[position], self.transform)


def torchvision_batches(
    paths: Sequence[str], transform: EvalTransform, batch_size: int, num_threads: int, device: torch.device
) -> Iterator[LoadedBatch]:
    """Read all paths in order with a DataLoader of `num_threads` processes."""
    loader = torch.utils.data.DataLoader(
        _Files(paths, transform),
        batch_size=batch_size,
        num_workers=num_threads,
        collate_fn=_collate,
        pin_memory=False,
        multiprocessing_context="forkserver",  # torch's own threads do not survive a fork
        worker_init_fn=start_worker,
    )
    for batch in loader:
        yield LoadedBatch(batch.positions, batch.images.to(device), batch.unreadable)
