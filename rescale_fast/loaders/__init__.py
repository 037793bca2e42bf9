"""Loaders for betons with an image and a label, to plug into any training loop.

    for images, labels, indices in beton_loader("train.beton", split="train", batch_size=256, image_size=224):

images are (B, 3, S, S) uint8 on the device, labels (B,) int64, indices (B,) int64 (the sample's field `index`, or else
its row). Unlike with ffcv.Loader itself: batches are the caller's own, to keep as long as wanted; nothing is dropped
from "val" or given twice, on however many ranks; order and augmentation depend on seed, epoch and image alone, whatever
the number of threads or ranks; torch keeps its number of threads; a loader whose thread dies, or whose decoder refuses
an image, raises an error instead of waiting for ever, or of giving another image.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rescale_fast.beton.agreement import agreed_info
from rescale_fast.beton.file import read_beton
from rescale_fast.errors import SettingError
from rescale_fast.extras import need_to_load
from rescale_fast.loaders.augment import Augment
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.loaders.checks import check_memory
from rescale_fast.loaders.normalise import Normalise
from rescale_fast.loaders.samples import chosen_samples
from rescale_fast.loaders.settings import LoaderKind, LoaderSettings
from rescale_fast.settings import Registry

if TYPE_CHECKING:
    import torch

    from rescale_fast.types import FloatArray, IntArray


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
    reuse_buffers: bool = False,
    image_field: str | None = None,
    label_field: str | None = None,
    subset: "Sequence[int] | Sequence[str] | IntArray | None" = None,
    folds: tuple[int, int] | None = None,
    shuffle: bool | None = None,
    drop_last: bool | None = None,
    normalise: "tuple[Sequence[float] | FloatArray, Sequence[float]] | None" = None,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    index: bool = True,
) -> BetonLoader:
    """Open a beton for training ("train": shuffled, augmented, whole batches) or testing ("val": each image once).

    It may be anybody's beton: fields that are neither image nor label are left alone.

    Args:
        image_size: side of the images given, pixels.
        augment: "crop-flip" is random resized crop and mirroring, and a centre crop of 7/8 for val; "crop-alternate"
            mirrors half of the images in the even epochs, and the others in the odd ones; "shift" moves images by up
            to 1/16 of their side, for sets (such as letters) that mirroring would spoil; "shift-flip" by up to 4 px,
            and mirrors half of them; "shift-both" gives each image twice an epoch, as it is and mirrored, and moves
            each by up to 4 px.
        device: the CPU or a GPU of CUDA's.
        num_workers: decoding threads (processes for torchvision); 0 = all cores, and never more.
        rank, num_ranks: which share this process gets. The shares of "val" are disjoint and cover it, so that counts
            add up; those of "train" are redrawn each epoch and equally long, so that no rank waits for another.
        loader: what reads and decodes; all give the same images, up to their decoders' rounding. torchvision's
            processes import the script that is run, which needs `if __name__ == "__main__":` around what it does.
        reuse_buffers: allow images to be overwritten when the next batch is asked for, which saves FFCV a copy.
        image_field, label_field: names of the fields; needed where none is called `image` (`label`) and several could
            be meant.
        subset: some of the samples only: rows, in which order those of "val" are given, or class ids (as the JSON
            beside the beton has them), of which the i-th gets the label i.
        folds: (i, n): "val" is the i-th of n parts, from 0, "train" the others; for both, open the same beton. Each
            class is dealt out evenly, the same way whatever the seed.
        shuffle, drop_last: whether samples are shuffled, and the last batch is left out if it is not whole; by default
            in "train" alone.
        normalise: means and deviations of the channels, of values from 0 to 1, as torchvision's Normalize takes them:
            images are of `dtype` then, else uint8. The mean may be an image, (3, S, S), which is taken off before
            images are mirrored and moved: what comes in from outside is 0 then.
        index: False: give images and labels alone, as a DataLoader of an ImageFolder does.
    Raises: SettingError for arguments that are none of these, for a batch that exceeds the train set, and where FFCV
        would set more memory aside than the machine has free; ArtifactError when the file is no complete beton, lacks
        a field, or is another than the JSON beside it describes. Iterating raises ArtifactError for an image that
        cannot be decoded, naming its row.
    """
    cores = len(os.sched_getaffinity(0))
    settings = LoaderSettings(
        path,
        split,
        batch_size,
        image_size,
        augment,
        num_workers,
        seed,
        rank,
        num_ranks,
        loader,
        reuse_buffers,
        image_field,
        label_field,
        _as_tuples(folds),
        shuffle,
        drop_last,
        None if normalise is None else Normalise.read(normalise),
        dtype,
        index,
    )
    need_to_load("reading betons", loader)
    settings = replace(settings, num_workers=min(num_workers or cores, cores))
    found = _torch_device(device)
    beton = read_beton(Path(settings.path))
    agreed_info(beton)
    samples = chosen_samples(beton, settings, subset)
    if loader == "ffcv":
        check_memory(beton, samples.image, settings)
    return LOADERS[loader]()(beton, samples, settings, found)


def _as_tuples(value: Any) -> Any:
    values = value.tolist() if isinstance(value, np.ndarray) else value
    return tuple(map(_as_tuples, values)) if isinstance(values, (tuple, list)) else values


def _torch_device(device: "torch.device | str") -> "torch.device":
    import torch

    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise SettingError(f"--device {device}: expected cpu, cuda or cuda:N.") from error
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found.type not in ("cpu", "cuda") or (found.type == "cuda" and (found.index or 0) >= gpus):
        raise SettingError(f"--device {device}: expected cpu, cuda or cuda:N; torch finds {gpus} usable GPUs here.")
    return found


def _through_dali() -> type[BetonLoader]:
    from rescale_fast.loaders._dali import DaliLoader

    return DaliLoader


def _through_ffcv() -> type[BetonLoader]:
    import torch

    threads = torch.get_num_threads()
    from rescale_fast.loaders._ffcv import FfcvLoader

    torch.set_num_threads(threads)  # importing FFCV sets it to one
    return FfcvLoader


def _through_torchvision() -> type[BetonLoader]:
    from rescale_fast.loaders._torchvision import TorchvisionLoader

    return TorchvisionLoader


LOADERS = Registry({"ffcv": _through_ffcv, "dali": _through_dali, "torchvision": _through_torchvision})
