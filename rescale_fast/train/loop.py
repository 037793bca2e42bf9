"""Benchmark training: a network learns the subset through FFCV, and is tested on each validation image.

Reads train.beton and val.beton; makes a TrainRun. SGD with Nesterov momentum, one-cycle learning rate, label
smoothing; bfloat16 autocast and channels-last on a GPU.
"""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rescale_fast.artifact import Origin
from rescale_fast.errors import SettingError, TrainingError
from rescale_fast.export.types import BetonInfo
from rescale_fast.loaders import beton_loader
from rescale_fast.loaders.augment import Augment
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.build import build_network
from rescale_fast.networks.schedule import one_cycle
from rescale_fast.networks.types import IMAGENET_MEAN, IMAGENET_STD
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.types import TrainRun
from rescale_fast.types import Track, silent

if TYPE_CHECKING:
    import torch
    from torch import nn

LARGEST_DEFAULT_SIZE = 224  # pixels
SMALL_SIZE = 64  # pixels; up to here `small` is the default network


def image_size(settings: TrainSettings, info: BetonInfo) -> int:
    """Side of the images to train on, pixels."""
    return settings.train_size or min(LARGEST_DEFAULT_SIZE, max(info.max_width, info.max_height))


def network_name(settings: TrainSettings, info: BetonInfo) -> str:
    """The network to train."""
    return settings.train_network or ("small" if image_size(settings, info) <= SMALL_SIZE else "resnet18")


def train_network(
    train_beton: Path,
    val_beton: Path,
    info: BetonInfo,
    settings: TrainSettings,
    augment: Augment,
    folder: Path,
    origin: Origin,
    *,
    machine: MachineSettings = MachineSettings(),
    track: Track = silent,
) -> TrainRun:
    """Train on train_beton, test on val_beton after each epoch, log to folder/log.jsonl.

    Args:
        info: of the training beton: classes and image sizes.
    Raises: SettingError for impossible settings; TrainingError for a loss that is not a number, a dead loader,
        or too little GPU memory.
    """
    import torch

    _check(settings)
    device = machine.torch_device()
    size, name = image_size(settings, info), network_name(settings, info)
    loaders = {}
    for split, path in (("train", train_beton), ("val", val_beton)):
        loaders[split] = beton_loader(
            path,
            split="train" if split == "train" else "val",
            batch_size=settings.train_batch_size,
            image_size=size,
            augment=augment,
            device=device,
            num_workers=machine.threads,
            seed=settings.seed,
        )
    torch.manual_seed(settings.seed)
    network = build_network(name, len(info.class_ids)).to(device).to(memory_format=torch.channels_last)
    trainer = _Trainer(network, settings, len(loaders["train"]), device)
    folder.mkdir(parents=True, exist_ok=True)
    total = settings.epochs * (loaders["train"].num_images + loaders["val"].num_images)
    try:
        with track(f"Training {name}", total=total) as advance, (folder / "log.jsonl").open("w") as log:
            epochs = [_epoch(number, trainer, loaders, advance, log) for number in range(1, settings.epochs + 1)]
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(
            f"the GPU's memory does not hold {settings.train_batch_size} images of {size} px. Lower "
            "--train-batch-size or --train-size."
        ) from error
    return TrainRun(
        origin=origin,
        network=name,
        num_parameters=sum(parameter.numel() for parameter in network.parameters()),
        num_classes=len(info.class_ids),
        image_size=size,
        epochs=tuple(epochs),
    )


def _check(settings: TrainSettings) -> None:
    if settings.epochs < 1:
        raise SettingError(f"--epochs {settings.epochs}: expected at least 1.")
    if settings.train_batch_size < 2:
        raise SettingError(f"--train-batch-size {settings.train_batch_size}: expected at least 2.")
    if not settings.learning_rate > 0:
        raise SettingError(f"--learning-rate {settings.learning_rate}: expected more than 0.")
    if settings.train_size is not None and settings.train_size < 8:
        raise SettingError(f"--train-size {settings.train_size}: expected at least 8 pixels.")


def _epoch(
    number: int, trainer: "_Trainer", loaders: dict[str, BetonLoader], advance: Callable[[int], None], log: Any
) -> dict[str, float]:
    start = time.perf_counter()
    loss, num_trained = trainer.train(loaders["train"], advance)
    advance(loaders["train"].num_images - num_trained)  # left out of this epoch: less than a batch
    seconds = time.perf_counter() - start
    if not math.isfinite(loss):
        raise TrainingError(f"the loss became {loss} in epoch {number}. Lower --learning-rate.")
    top1, top5 = trainer.test(loaders["val"], advance)
    record = {
        "epoch": number,
        "train_loss": loss,
        "val_top1": top1,
        "val_top5": top5,
        "seconds": seconds,
        "images_per_second": num_trained / seconds,
    }
    log.write(json.dumps(record) + "\n")
    log.flush()
    return record


class _Trainer:
    """A network with its optimizer and schedule."""

    def __init__(
        self, network: "nn.Module", settings: TrainSettings, steps_per_epoch: int, device: "torch.device"
    ) -> None:
        import torch

        self.network = network
        self.device = device
        self.loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
        self.optimizer = torch.optim.SGD(
            network.parameters(), lr=settings.learning_rate, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: one_cycle(step, settings.epochs * steps_per_epoch)
        )
        self.mean = 255 * torch.tensor(IMAGENET_MEAN, device=device).view(1, 3, 1, 1)
        self.std = 255 * torch.tensor(IMAGENET_STD, device=device).view(1, 3, 1, 1)

    def logits(self, images: "torch.Tensor") -> "torch.Tensor":
        import torch

        pixels = images.to(memory_format=torch.channels_last).float().sub_(self.mean).div_(self.std)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits: torch.Tensor = self.network(pixels)
        return logits.float()

    def train(self, loader: BetonLoader, advance: Callable[[int], None]) -> tuple[float, int]:
        """One pass; returns the mean loss and the number of images trained on."""
        import torch

        self.network.train()
        total = torch.zeros((), device=self.device)
        num_images = 0
        for images, labels, _ in loader:
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss_of(self.logits(images), labels)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            total += loss.detach() * len(labels)
            num_images += len(labels)
            advance(len(labels))
        return float(total) / num_images, num_images

    def test(self, loader: BetonLoader, advance: Callable[[int], None]) -> tuple[float, float]:
        """Top-1 and top-5 accuracy, 0..1, over each image exactly once.

        Raises: TrainingError when the loader gave another number of images than the beton holds.
        """
        import torch

        self.network.eval()
        hits = torch.zeros(2, device=self.device, dtype=torch.int64)
        num_images = 0
        with torch.inference_mode():
            for images, labels, _ in loader:
                logits = self.logits(images)
                found = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
                hits += torch.stack([found[:, 0].sum(), found.any(dim=1).sum()])
                num_images += len(labels)
                advance(len(labels))
        if num_images != loader.num_images:
            raise TrainingError(f"{loader.path}: tested {num_images} of {loader.num_images} images.")
        top1, top5 = hits.tolist()
        return top1 / num_images, top5 / num_images
