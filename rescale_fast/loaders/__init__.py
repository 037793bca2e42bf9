"""Loaders for betons with the fields image, label and index, to plug into any training loop.

    for images, labels, indices in beton_loader("train.beton", split="train", batch_size=256, image_size=224):

images are (B, 3, S, S) uint8 on the device, labels (B,) int64, indices (B,) int64 (the sample's row). Unlike with
ffcv.Loader itself: nothing is dropped from "val" or given twice, on however many ranks; order and augmentation depend
on seed, epoch and image alone, whatever the number of threads or ranks; torch keeps its number of threads; a loader
whose thread dies raises an error instead of waiting for ever.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from rescale_fast.beton_file import IMAGE_FIELD, INT_FIELD, BetonFile, read_beton
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.loaders.augment import Augment
from rescale_fast.loaders.base import BATCHES_AHEAD, BetonLoader, Share

if TYPE_CHECKING:
    import torch

LoaderKind: TypeAlias = Literal["ffcv", "dali", "torchvision"]


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
    loader: LoaderKind = "ffcv",
) -> BetonLoader:
    """Open a beton for training ("train": shuffled, augmented, whole batches) or testing ("val": each image once).

    Args:
        image_size: side of the images given, pixels.
        augment: "crop-flip" is random resized crop and mirroring, and a centre crop of 7/8 for val; "shift" moves
            images by up to 1/16 of their side, for sets (such as letters) that mirroring would spoil; "shift-flip"
            by up to 4 px, and mirrors half of them.
        num_workers: decoding threads (processes for torchvision); 0 = all cores, and never more.
        rank, num_ranks: which share this process gets. The shares of "val" are disjoint and cover it, so that counts
            add up; those of "train" are redrawn each epoch and equally long, so that no rank waits for another.
        loader: what reads and decodes; all give the same images, up to their decoders' rounding.
    Raises: ArtifactError when the file is no complete beton, or lacks a field; SettingError when a batch exceeds the
        train set, or the memory FFCV would set aside for its batches that of the machine.
    """
    beton = read_beton(Path(path))
    _check_fields(beton)
    if loader == "ffcv":
        _check_memory(beton, batch_size)
    if not 0 <= rank < num_ranks:
        raise SettingError(f"rank is {rank}, expected 0 to {num_ranks - 1} (num_ranks is {num_ranks}).")
    import torch

    cores = len(os.sched_getaffinity(0))
    return _loader_class(loader)(
        beton,
        Share(len(beton), rank, num_ranks, shuffled=split == "train", seed=seed),
        batch_size=batch_size,
        image_size=image_size,
        augment=augment,
        device=torch.device(device),
        num_workers=min(num_workers, cores) if num_workers > 0 else cores,
    )


def _loader_class(kind: LoaderKind) -> type[BetonLoader]:
    if kind == "dali":
        from rescale_fast.loaders._dali import DaliLoader

        return DaliLoader
    if kind == "torchvision":
        from rescale_fast.loaders._torchvision import TorchvisionLoader

        return TorchvisionLoader
    import torch

    threads = torch.get_num_threads()
    from rescale_fast.loaders._ffcv import FfcvLoader

    torch.set_num_threads(threads)  # importing FFCV sets it to one
    return FfcvLoader


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
