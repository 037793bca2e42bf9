"""Scores training images by the two-half method: a network trained on one half scores the other, and the reverse.

Reads two betons, one a half; gives the probabilities of all classes for each image of the one that was not trained
on. SGD with Nesterov momentum, one-cycle learning rate, no label smoothing, which would keep every probability below
one; bfloat16 autocast and channels-last on a GPU.
Source: Gao 2021 ("Subsets of ImageNet"), image method 2. The network there is not named; any will do.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import DatasetError, TrainingError
from rescale_fast.image_subset.order import order_by, ranks_within, stable_keys
from rescale_fast.image_subset.settings import ScoreSettings
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.loaders import beton_loader
from rescale_fast.loaders.augment import Augment
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.build import build_network
from rescale_fast.networks.schedule import one_cycle
from rescale_fast.networks.types import IMAGENET_MEAN, IMAGENET_STD, LARGEST_DEFAULT_SIZE, SMALL_SIZE
from rescale_fast.types import Float32Array, IntArray, Track, silent

if TYPE_CHECKING:
    import torch
    from torch import nn


def halves(dataset: Dataset, subset: ImageSubset, seed: int) -> ImageSubset:
    """Split the training images of each class in two by a stable hash: half A as train, half B as val.

    Raises: DatasetError for a class with fewer than 2 training images.
    """
    train = subset.train
    counts = np.bincount(train.new_labels, minlength=len(subset.class_ids))
    if counts.min() < 2:
        raise DatasetError(
            f"class {subset.class_ids[int(counts.argmin())]!r} has {counts.min()} training images; scoring needs at "
            "least 2, one for each half."
        )
    keys = stable_keys(dataset.class_ids, train.labels, train.paths, "halves", seed)
    in_a = ranks_within(train.new_labels, order_by(train.new_labels, keys)) < (counts - counts // 2)[train.new_labels]
    return ImageSubset(
        origin=subset.origin,
        class_ids=subset.class_ids,
        class_names=subset.class_names,
        train=train.take(np.flatnonzero(in_a)),
        val=train.take(np.flatnonzero(~in_a)),
    )


def score_size(settings: ScoreSettings, longest_side: int) -> int:
    """Side of the images that the network sees, pixels."""
    return settings.score_size or min(LARGEST_DEFAULT_SIZE, longest_side)


def score_network(settings: ScoreSettings, size: int) -> str:
    """The network to train."""
    return settings.score_network or ("small" if size <= SMALL_SIZE else "resnet18")


def score_half(
    train_beton: Path,
    score_beton: Path,
    class_ids: Sequence[str],
    size: int,
    augment: Augment,
    settings: ScoreSettings,
    *,
    machine: MachineSettings = MachineSettings(),
    track: Track = silent,
) -> tuple[IntArray, Float32Array]:
    """Train a network on one beton and ask it about the images of the other.

    Args: size: of the images, pixels. class_ids: (k,) by label.
    Returns: rows, (n,) the `index` of each image in score_beton; probabilities, (n, k) of each class.
    Raises: NetworkError for an unknown network; SettingError when a half is smaller than a batch; TrainingError for a
        loss that is not a number, or too little GPU memory.
    """
    import torch

    device = machine.torch_device()
    open_beton = partial(
        beton_loader,
        batch_size=settings.score_batch_size,
        image_size=size,
        augment=augment,
        device=device,
        num_workers=machine.threads,
        seed=settings.score_seed,
        reuse_buffers=True,
    )
    loader, to_score = open_beton(train_beton, split="train"), open_beton(score_beton, split="val")
    name = score_network(settings, size)
    total = settings.score_epochs * len(loader) * settings.score_batch_size + to_score.num_images
    try:
        with torch.random.fork_rng(), track(f"Training {name} to score", total=total) as advance:
            torch.manual_seed(settings.score_seed)
            network = build_network(name, len(class_ids)).to(device).to(memory_format=torch.channels_last)
            _train(network, loader, settings, device, advance)
            return _ask(network, to_score, device, advance)
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(
            f"the GPU's memory does not hold {settings.score_batch_size} images of {size} px. Lower "
            "--score-batch-size or --score-size."
        ) from error


def _train(
    network: "nn.Module",
    loader: BetonLoader,
    settings: ScoreSettings,
    device: "torch.device",
    advance: Callable[[int], None],
) -> None:
    import torch

    optimizer = torch.optim.SGD(
        network.parameters(), lr=settings.score_learning_rate, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    total_steps = settings.score_epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, total_steps))
    network.train()
    for _ in range(settings.score_epochs):
        loss_sum = torch.zeros((), device=device)
        for images, labels, _ in loader:
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(_logits(network, images, device), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            loss_sum += loss.detach()
            advance(len(labels))
        if not math.isfinite(float(loss_sum)):
            raise TrainingError("the loss of the scoring network became no number. Lower --score-learning-rate.")


def _ask(
    network: "nn.Module", loader: BetonLoader, device: "torch.device", advance: Callable[[int], None]
) -> tuple[IntArray, Float32Array]:
    import torch

    rows, probabilities = [], []
    network.eval()
    with torch.inference_mode():
        for images, labels, indices in loader:
            probabilities.append(_logits(network, images, device).softmax(1).cpu().numpy())
            rows.append(indices.cpu().numpy().astype(np.int64))
            advance(len(labels))
    return np.concatenate(rows), np.concatenate(probabilities)


def _logits(network: "nn.Module", images: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    import torch

    mean = 255 * torch.tensor(IMAGENET_MEAN, device=device).view(1, 3, 1, 1)
    std = 255 * torch.tensor(IMAGENET_STD, device=device).view(1, 3, 1, 1)
    pixels = images.to(memory_format=torch.channels_last).float().sub_(mean).div_(std)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits: torch.Tensor = network(pixels)
    return logits.float()
