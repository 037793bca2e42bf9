"""The engine: what a step, an epoch and a test are, for each network that is trained here.

The benchmark (loop.py), the networks that score training images, and the network for glyphs train through it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rescale_fast.errors import TrainingError
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.loaders.draws import Purpose, stream
from rescale_fast.networks.registry import build_for_training
from rescale_fast.networks.types import IMAGENET_MEAN
from rescale_fast.train.group import Group
from rescale_fast.train.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from torch import nn

    from rescale_fast.loaders.base import Batch

STEPS_BETWEEN_CHECKS = 50  # of the loss: a look at it makes a GPU wait


@dataclass(frozen=True, kw_only=True)
class Training:
    """One network, one recipe, one seed: what decides the result, but for the images."""

    network: str
    image_size: int  # pixels
    recipe: Recipe
    seed: int
    compiled: bool = False
    deterministic: bool = False


@dataclass(frozen=True)
class Advice:
    """What to do when a training cannot go on, in words of those who asked for it."""

    not_a_number: str
    too_little_memory: str
    size_option: str  # which sets the side of the images


class Batches(Protocol):
    """What the engine needs of a loader. An epoch: (B, 3, S, S) uint8, (B,) labels, (B,) rows, B = batch_size."""

    epoch: int  # the next one, from 0
    first_batch: int  # of the next epoch
    image_size: int  # pixels

    @property
    def batch_size(self) -> int: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> "Iterator[Batch]": ...


@contextmanager
def trainer_of(
    training: Training,
    num_classes: int,
    device: "torch.device",
    advice: Advice,
    group: Group = Group(),
    *,
    num_threads: int = 0,
) -> "Iterator[Trainer]":
    """A trainer with an untrained network; torch's settings and random numbers are put back when the block ends.

    Args: num_threads: of torch on the CPU, by which sums are cut, so that they round in their own way; 0 = as it is.
    Raises: UnknownNetworkError; NetworkError for images of a size that the network does not take; TrainingError for a
        loss that is no number, and for too little memory, wherever in the block it shows.
    """
    import torch

    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with (
        forked,
        _repeatable(training.deterministic),
        _torch_threads(num_threads),
        _memory_explained(training, advice),
    ):
        yield Trainer(training, num_classes, device, advice, group)


class Trainer:
    """Trains and tests one network, together with the other ranks. Made by `trainer_of`."""

    def __init__(
        self, training: Training, num_classes: int, device: "torch.device", advice: Advice, group: Group
    ) -> None:
        import torch

        self.training, self.device, self.advice, self.group = training, device, advice, group
        recipe = self.recipe = training.recipe
        torch.manual_seed(training.seed)
        network = build_for_training(training.network, num_classes, training.image_size, size_option=advice.size_option)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.averaged = deepcopy(self.network).requires_grad_(False) if recipe.averaging else None
        self._forward = group.parallel(torch.compile(self.network) if training.compiled else self.network, device)  # type: ignore[arg-type]
        self._loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=recipe.learning_rate,
            momentum=0.9,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
        )
        self._mean, self._std = (
            255 * torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, recipe.std)
        )
        self._begin(0)

    def _begin(self, epoch: int) -> None:
        import torch

        self.epoch, self.steps_done = epoch, 0
        self._total = torch.zeros((), device=self.device, dtype=torch.float64)  # of the epoch's losses on this rank

    @property
    def tested(self) -> "nn.Module":
        """The network whose accuracy counts: the moving average, where there is one."""
        return self.network if self.averaged is None else self.averaged

    def state(self) -> dict[str, Any]:
        """All that changes from step to step, on every rank: each has to ask after the same step."""
        place = {"epoch": self.epoch, "steps_done": self.steps_done, "losses": self.group.gather(self._total)}
        averaged = {} if self.averaged is None else {"averaged": self.averaged.state_dict()}
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), **place, **averaged}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state, of any number of ranks."""
        self._begin(state["epoch"])
        self.steps_done = state["steps_done"]
        self._total += state["losses"][self.group.ranks.rank :: self.group.count].sum()
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])

    def train(self, batches: Batches, advance: Callable[[int], None]) -> None:
        """All epochs of the recipe. Raises: TrainingError when the loss is no number."""
        for epoch in range(self.recipe.epochs):
            self.train_epoch(batches, epoch, advance)

    def train_epoch(self, batches: Batches, epoch: int, advance: Callable[[int], None]) -> float:
        """One pass, the `epoch`-th from 0, or what a restored state has left of it; returns the pass's mean loss.

        After each step, when `advance` is called, `state()` is what the training can go on from.
        Raises: TrainingError when the loss is no number, on all ranks at the same step.
        """
        if epoch != self.epoch:
            self._begin(epoch)
        batches.epoch, batches.image_size = epoch, self.recipe.size_at(epoch, self.training.image_size)
        batches.first_batch = self.steps_done
        draws = stream(self.training.seed, epoch, Purpose.NETWORK, self.group.ranks.rank)
        seeds = draws.integers(2**63, size=len(batches)).tolist()
        self.network.train()
        images_a_step = batches.batch_size * self.group.count
        for step, (images, labels, _) in enumerate(batches, self.steps_done):
            self._seed(seeds[step])
            self._set_learning_rate(epoch * len(batches) + step, len(batches))
            self._total += self._step(images, labels, epoch * len(batches) + step)
            self.steps_done = step + 1
            if step % STEPS_BETWEEN_CHECKS == 0:
                self._check(self._total, epoch)
            advance(images_a_step)
        return self._check(self._total, epoch) / len(batches) / self.group.count

    def _seed(self, seed: int) -> None:
        """Seed dropout and the like anew for each step, so that no other step has to be done for it."""
        import torch

        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes a hundred times as long
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _set_learning_rate(self, step: int, steps_per_epoch: int) -> None:
        share = self.recipe.schedule.share(step, steps_per_epoch, self.recipe.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * share

    def _step(self, images: "torch.Tensor", labels: "torch.Tensor", step: int) -> "torch.Tensor":
        import torch

        if self.recipe.mirrored_copies:
            images, labels = torch.cat([images, images.flip(3)]), torch.cat([labels, labels])
        self.optimizer.zero_grad(set_to_none=True)
        loss: torch.Tensor = self._loss_of(self._logits(self._forward, images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.averaged is not None:
            self._average(self.averaged, weight=1 / (1 + self.recipe.averaging * step))
        return loss.detach()

    def _average(self, averaged: "nn.Module", weight: float) -> None:
        import torch

        with torch.no_grad():
            own = self.network.state_dict()
            for name, value in averaged.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(own[name], weight)
                else:
                    value.copy_(own[name])

    def _check(self, total: "torch.Tensor", epoch: int) -> float:
        loss = float(self.group.sum(total.clone()))
        if not math.isfinite(loss):
            raise TrainingError(
                f"{self.training.network}: the loss is no longer a number in epoch {epoch + 1}. "
                f"{self.advice.not_a_number}"
            )
        return loss

    def _logits(self, network: "nn.Module", images: "torch.Tensor") -> "torch.Tensor":
        import torch

        pixels = images.to(memory_format=torch.channels_last).float().sub_(self._mean).div_(self._std)
        on_gpu = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16 and on_gpu):
            logits: torch.Tensor = network(pixels)
        return logits.float()

    def ask(
        self, batches: Batches, advance: Callable[[int], None]
    ) -> "Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]":
        """Of each batch the tested network's logits, (B, k) float32, with the labels and rows."""
        import torch

        network = self.tested.eval()
        self.group.share_buffers(network)
        for images, labels, rows in batches:
            with torch.inference_mode():
                logits = self._logits(network, images)
            yield logits, labels, rows
            advance(len(labels) * self.group.count)

    def test(self, loader: BetonLoader, advance: Callable[[int], None]) -> tuple[float, float]:
        """Top-1 and top-5 accuracy, 0..1, over each image of the beton exactly once, whatever the number of ranks.

        Raises: TrainingError when another number of images was tested than the beton holds.
        """
        import torch

        counts = torch.zeros(3, device=self.device, dtype=torch.int64)  # right, right among five, all
        for logits, labels, _ in self.ask(loader, advance):
            found = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
            counts[0] += found[:, 0].sum()
            counts[1] += found.any(dim=1).sum()
            counts[2] += len(labels)
        top1, top5, num_images = self.group.sum(counts).tolist()
        if num_images != len(loader.dataset):
            raise TrainingError(f"{loader.path}: tested {num_images} of {len(loader.dataset)} images.")
        return top1 / num_images, top5 / num_images


@contextmanager
def _repeatable(deterministic: bool) -> Iterator[None]:
    """Repeatable algorithms, or the fastest; torch's settings are put back afterwards."""
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


@contextmanager
def _torch_threads(num_threads: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(num_threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _memory_explained(training: Training, advice: Advice) -> Iterator[None]:
    import torch

    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            whose = "the GPU's"
        elif "can't allocate memory" in str(error):  # torch has no class of its own for the CPU's
            whose = "this machine's"
        else:
            raise
        raise TrainingError(
            f"{training.network}: {whose} memory does not hold a step of {training.recipe.batch_size} images of "
            f"{training.image_size} px. {advice.too_little_memory}"
        ) from error
