"""One training each way: by a recipe through our engine, by a plain loop in PyTorch, by timm's default recipe.

All start from the same weights for a seed, and are tested once, after the last epoch. CPU-seconds are of the training
alone, loading included.
"""

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.experiments.recipe.batches import InMemory
from benchmarks.experiments.recipe.sets import Images
from rescale_fast.loaders.augment import AUGMENTS
from rescale_fast.networks.registry import build_for_training
from rescale_fast.networks.types import IMAGENET_MEAN, IMAGENET_STD
from rescale_fast.train.engine import Advice, Training, trainer_of
from rescale_fast.train.recipe import Recipe

ADVICE = Advice("", "", "")
TEST_BATCH = 250
Parts = dict[str, Images]  # train and val


@dataclass(frozen=True)
class Outcome:
    """What a training came to."""

    top1: float  # on val, 0..1
    top1_flipped: float  # by the mean of the logits of an image and of its mirror image
    cpu_seconds: float
    loading_cpu_seconds: float  # of these
    steps: int


def by_recipe(parts: Parts, network: str, recipe: Recipe, seed: int) -> Outcome:
    """Through our engine."""
    size, num_classes = _shape(parts)
    training = Training(network=network, image_size=size, recipe=recipe, seed=seed, flip_test=True)
    batches = InMemory(
        parts["train"], recipe.batch_size, size, recipe.augment, seed, trains=True, drops_last=recipe.drops_last
    )
    val = InMemory(parts["val"], TEST_BATCH, training.tested_size, recipe.augment, trains=False)
    with trainer_of(training, num_classes, torch.device("cpu"), ADVICE, num_threads=1) as trainer:
        start = time.process_time()
        trainer.train(batches, lambda _: None)
        spent = time.process_time() - start
        found = trainer.test(val, lambda _: None)  # type: ignore[arg-type]
    return Outcome(
        found["val_top1"], found["val_top1_flipped"], spent, batches.cpu_seconds, recipe.epochs * len(batches)
    )


def plain(
    parts: Parts,
    network: str,
    augment: str,
    seed: int,
    *,
    optimizer: str,
    epochs: int,
    batch_size: int,
    learning_rate: float,
) -> Outcome:
    """As people write it who read torch's documentation: OneCycleLR, and SGD with Nesterov's momentum or AdamW."""
    size, num_classes = _shape(parts)
    batches = InMemory(parts["train"], batch_size, size, augment, seed, trains=True, drops_last=True)
    torch.manual_seed(seed)
    net = build_for_training(network, num_classes, size).to(memory_format=torch.channels_last)
    made: torch.optim.Optimizer = (
        torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
        if optimizer == "SGD"
        else torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=0.05)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        made, max_lr=learning_rate, epochs=epochs, steps_per_epoch=len(batches)
    )
    criterion = nn.CrossEntropyLoss()
    start = time.process_time()
    for _ in range(epochs):
        for images, labels, _rows in batches:
            made.zero_grad()
            loss = criterion(net(_normalised(images)), labels)
            loss.backward()
            made.step()
            schedule.step()
    spent = time.process_time() - start
    return Outcome(
        *_test(net, InMemory(parts["val"], TEST_BATCH, size, augment, trains=False)),
        spent,
        batches.cpu_seconds,
        epochs * len(batches),
    )


class _Pictures(Dataset[tuple[Tensor, int]]):
    def __init__(self, images: Images, transform: object) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images.pixels[row])), int(self.images.labels[row])  # type: ignore[operator]


def by_timm(
    parts: Parts,
    network: str,
    augment: str,
    seed: int,
    *,
    epochs: int,
    batch_size: int = 128,
    same_images: bool = False,
    share: float = 1.0,
) -> Outcome:
    """As timm's train.py (1.0.31) trains when it is told nothing but data, network and epochs; not to mirror letters.

    Args: same_images: take our augmentation instead of its random crops of 8 to 100 % of the area and its colours.
        share: of its learning rate, which is made for hundreds of epochs.
    """
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2

    size, num_classes = _shape(parts)
    torch.manual_seed(seed)
    random.seed(seed)  # which timm's transforms draw from
    net = build_for_training(network, num_classes, size).to(memory_format=torch.channels_last)
    ours = InMemory(parts["train"], batch_size, size, augment, seed, trains=True, drops_last=True)
    loader = ours if same_images else _timm_loader(parts["train"], size, augment, batch_size)
    optimizer = create_optimizer_v2(net, opt="sgd", lr=share * 0.1 * batch_size / 256, weight_decay=2e-5, momentum=0.9)
    schedule, epochs = create_scheduler_v2(
        optimizer, sched="cosine", num_epochs=epochs, warmup_epochs=5, warmup_lr=1e-5, min_lr=0.0,
        updates_per_epoch=len(loader),
    )  # fmt: skip
    criterion = LabelSmoothingCrossEntropy(0.1)
    start, loading = time.process_time(), 0.0
    net.train()
    for epoch in range(epochs):
        schedule.step(epoch)
        for (images, labels, *_), seconds in _timed(loader):
            loading += seconds
            pixels = _normalised(images) if same_images else images.contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            criterion(net(pixels), labels).backward()
            optimizer.step()
    spent = time.process_time() - start
    val = InMemory(parts["val"], TEST_BATCH, size, augment if same_images else "crop-flip", trains=False)
    return Outcome(*_test(net, val), spent, loading, epochs * len(loader))


def _timm_loader(images: Images, size: int, augment: str, batch_size: int) -> DataLoader[tuple[Tensor, int]]:
    from timm.data import create_transform

    transform = create_transform(
        size, is_training=True, hflip=0.5 if AUGMENTS[augment].mirrors else 0.0, color_jitter=0.4,
        interpolation="random", mean=IMAGENET_MEAN, std=IMAGENET_STD,
    )  # fmt: skip
    return DataLoader(_Pictures(images, transform), batch_size, shuffle=True, drop_last=True, num_workers=0)


def _timed(loader: Iterable[Sequence[Tensor]]) -> Iterator[tuple[Sequence[Tensor], float]]:
    """Batches, and the CPU-seconds that each took to make."""
    batches = iter(loader)
    while True:
        start = time.process_time()
        try:
            batch = next(batches)
        except StopIteration:
            return
        yield batch, time.process_time() - start


def _shape(parts: Parts) -> tuple[int, int]:
    """Side of the images, pixels, and number of classes."""
    return parts["train"].pixels.shape[1], int(parts["train"].labels.max()) + 1


def _normalised(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images / 255 - mean) / std


@torch.inference_mode()
def _test(net: nn.Module, batches: InMemory) -> tuple[float, float]:
    """Top-1 of images, and of the mean over image and mirror image."""
    net.eval()
    right = []
    for images, labels, _ in batches:
        logits = net(_normalised(images))
        both = logits + net(_normalised(images.flip(3)))
        right.append(torch.stack([one.argmax(1) == labels for one in (logits, both)]))
    top1, flipped = torch.cat(right, 1).double().mean(1).tolist()
    return top1, flipped
