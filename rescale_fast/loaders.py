"""FFCV loaders for betons with the fields image, label and index, to plug into any training loop.

    for images, labels, indices in beton_loader("train.beton", split="train", batch_size=256, image_size=224):

images are (B, 3, S, S) uint8 on the device, labels (B,) int64, indices (B,) int64 (the sample's row). Unlike
ffcv.Loader itself: nothing is dropped from "val" or given twice, on however many ranks; torch keeps its number of
threads; a loader whose thread dies raises an error instead of waiting for ever.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rescale_fast.beton_file import IMAGE_FIELD, INT_FIELD, BetonFile, read_beton
from rescale_fast.errors import ArtifactError, SettingError, TrainingError
from rescale_fast.types import IntArray

if TYPE_CHECKING:
    import torch

Augment = Literal["crop-flip", "shift"]
BATCHES_AHEAD = 3
# numba prints an error when compiled code that FFCV made is deleted before the program ends, so it is kept till then.
_COMPILED: list[Any] = []


def beton_loader(
    path: Path | str,
    *,
    split: Literal["train", "val"],
    batch_size: int,
    image_size: int = 224,
    augment: Augment = "crop-flip",
    device: "torch.device | str" = "cpu",
    num_workers: int = 0,
    seed: int = 0,
    rank: int = 0,
    num_ranks: int = 1,
) -> "BetonLoader":
    """Open a beton for training ("train": shuffled, augmented, whole batches) or testing ("val": each image once).

    Args:
        image_size: side of the images given, pixels.
        augment: "crop-flip" is random resized crop and mirroring, and a centre crop of 7/8 for val; "shift" moves
            images by up to 1/16 of their side, for sets (such as letters) that mirroring would spoil.
        num_workers: decoding threads; 0 = all cores, and never more.
        rank, num_ranks: which share this process gets. The shares of "val" are disjoint and cover it, so that counts
            add up; those of "train" are redrawn each epoch and equally long, so that no rank waits for another.
    Raises: ArtifactError when the file is no complete beton, or lacks a field; SettingError when a batch exceeds the
        train set, or the memory FFCV would set aside for its batches that of the machine.
    """
    beton = read_beton(Path(path))
    _check_fields(beton)
    _check_memory(beton, batch_size)
    if not 0 <= rank < num_ranks:
        raise SettingError(f"rank is {rank}, expected 0 to {num_ranks - 1} (num_ranks is {num_ranks}).")
    cores = len(os.sched_getaffinity(0))
    workers = min(num_workers, cores) if num_workers > 0 else cores
    share = Share(len(beton), rank, num_ranks, shuffled=split == "train", seed=seed)
    return BetonLoader(str(path), split, batch_size, image_size, augment, device, workers, share)


def _check_fields(beton: BetonFile) -> None:
    found = {field.name: field.type_id for field in beton.fields}
    needed = {"image": IMAGE_FIELD, "label": INT_FIELD, "index": INT_FIELD}
    if needed.items() - found.items():
        raise ArtifactError(
            f"{beton.path}: has the fields {', '.join(found)}; expected image (RGB), label and index (integers)."
        )


def _check_memory(beton: BetonFile, batch_size: int) -> None:
    """FFCV sets memory aside for the largest image, once for each image of several batches."""
    images = beton.records[f"f{[field.name for field in beton.fields].index('image')}"]
    width, height = int(images["width"].max()), int(images["height"].max())
    needed, free = (BATCHES_AHEAD + 2) * batch_size * width * height * 3, available_bytes()
    if free is not None and needed > free:
        raise SettingError(
            f"{beton.path}: for batches of {batch_size} images of up to {width} x {height} px FFCV would set aside "
            f"{needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free. Use a smaller batch, or write the beton with "
            "a lower --max-side."
        )


def available_bytes() -> int | None:
    """The memory that can be had without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


@dataclass(frozen=True)
class Share:
    """The samples that one of several ranks goes through, epoch by epoch. FFCV asks it for the order."""

    num_samples: int
    rank: int
    num_ranks: int
    shuffled: bool
    seed: int

    def sample_order(self, epoch: int) -> IntArray:
        """(m,) samples of an epoch, in order."""
        if not self.shuffled:
            return np.arange(self.rank, self.num_samples, self.num_ranks)
        order = np.random.default_rng(self.seed + epoch).permutation(self.num_samples)
        return order[self.rank :: self.num_ranks][: self.num_samples // self.num_ranks]


class BetonLoader:
    """Iterate for an epoch; iterate again for the next one. Made by `beton_loader`."""

    def __init__(
        self,
        path: str,
        split: str,
        batch_size: int,
        image_size: int,
        augment: Augment,
        device: "torch.device | str",
        num_workers: int,
        share: Share,
    ) -> None:
        import torch

        self.path = path
        self._torch_threads = torch.get_num_threads()
        self._loader = _ffcv_loader(path, split, batch_size, image_size, augment, device, num_workers)
        _COMPILED.append(self._loader.code)
        self._loader.traversal_order = share
        self._loader.first_traversal_order = self._loader.next_traversal_order()  # it takes its length from this
        self._restore_threads()
        self.num_images = len(self._loader.first_traversal_order)  # of this rank, an epoch
        if split == "train" and len(self._loader) == 0:
            raise SettingError(
                f"{path}: gives {self.num_images} images to a rank, fewer than one batch of {batch_size}. "
                "Use a smaller batch."
            )

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._loader)

    def __iter__(self) -> "Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]":
        if not len(self):
            return  # FFCV itself would fail
        iterator = iter(self._loader)
        try:
            for _ in range(len(self)):
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
        import torch

        # FFCV sets torch's thread count when imported and whenever an epoch starts.
        if torch.get_num_threads() != self._torch_threads:
            torch.set_num_threads(self._torch_threads)


def _ffcv_loader(
    path: str,
    split: str,
    batch_size: int,
    image_size: int,
    augment: Augment,
    device: "torch.device | str",
    num_workers: int,
) -> Any:
    import torch
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import CenterCropRGBImageDecoder, RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader
    from ffcv.transforms import RandomHorizontalFlip, RandomTranslate, Squeeze, ToDevice, ToTensor, ToTorchImage

    size = (image_size, image_size)
    train = split == "train"
    if augment == "crop-flip":
        image = (
            [RandomResizedCropRGBImageDecoder(size), RandomHorizontalFlip()]
            if train
            else [CenterCropRGBImageDecoder(size, ratio=224 / 256)]
        )
    else:
        image = [CenterCropRGBImageDecoder(size, ratio=1.0)]
        if train:
            image.append(RandomTranslate(padding=max(1, image_size // 16), fill=(128, 128, 128)))
    target = torch.device(device)
    to_device = [ToDevice(target, non_blocking=True)] if target.type == "cuda" else []
    number = [IntDecoder(), ToTensor(), Squeeze(1), *to_device]
    return Loader(
        path,
        batch_size=batch_size,
        num_workers=num_workers,
        os_cache=True,
        drop_last=train,
        batches_ahead=BATCHES_AHEAD,
        pipelines={
            "image": [*image, ToTensor(), *to_device, ToTorchImage(convert_back_int16=False)],
            "label": number,
            "index": list(number),
        },
    )
