"""FFCV loaders for our betons (and any other with the fields image and label), to plug into any training loop.

    for images, labels, indices in beton_loader("train.beton", split="train", batch_size=256, image_size=224):

images are (B, 3, S, S) uint8 on the device, labels (B,) int64, indices (B,) int64 (the sample's row). Unlike
ffcv.Loader itself: nothing is dropped from "val", torch keeps its number of threads, and a loader whose thread
dies raises an error instead of waiting for ever.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rescale_fast.beton_file import read_beton
from rescale_fast.errors import SettingError, TrainingError

if TYPE_CHECKING:
    import torch

Augment = Literal["crop-flip", "shift"]


def beton_loader(
    path: Path | str,
    *,
    split: Literal["train", "val"],
    batch_size: int,
    image_size: int,
    augment: Augment = "crop-flip",
    device: "torch.device | str" = "cpu",
    num_workers: int = 0,
    seed: int = 0,
) -> "BetonLoader":
    """Open a beton for training ("train": shuffled, augmented, whole batches) or testing ("val": each image once).

    Args:
        image_size: side of the images given, pixels.
        augment: "crop-flip" is random resized crop and mirroring, and a centre crop of 7/8 for val; "shift" moves
            images by up to 1/16 of their side, for sets (such as letters) that mirroring would spoil.
        num_workers: decoding threads; 0 = all cores.
    Raises: ArtifactError when the file is no complete beton; SettingError when a batch exceeds the train set.
    """
    read_beton(Path(path))
    cores = len(os.sched_getaffinity(0))
    workers = min(num_workers, cores) if num_workers > 0 else cores
    return BetonLoader(str(path), split, batch_size, image_size, augment, device, workers, seed)


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
        seed: int,
    ) -> None:
        import torch

        self.path = path
        self._torch_threads = torch.get_num_threads()
        self._loader = _ffcv_loader(path, split, batch_size, image_size, augment, device, num_workers, seed)
        self._restore_threads()
        self.num_images = int(self._loader.reader.num_samples)
        if len(self._loader) == 0:
            raise SettingError(
                f"{path}: holds {self.num_images} images, fewer than one batch of {batch_size}. Use a smaller batch."
            )

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._loader)

    def __iter__(self) -> "Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]":
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
    seed: int,
) -> Any:
    import torch
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import CenterCropRGBImageDecoder, RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
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
        order=OrderOption.RANDOM if train else OrderOption.SEQUENTIAL,
        os_cache=True,
        drop_last=train,
        seed=seed,
        pipelines={
            "image": [*image, ToTensor(), *to_device, ToTorchImage(convert_back_int16=False)],
            "label": number,
            "index": list(number),
        },
    )
