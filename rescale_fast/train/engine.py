"""The engine: what a step, an epoch and a test are, for each network that is trained here.

The benchmark (loop.py), the networks that score training images, and the network for glyphs train through it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rescale_fast.errors import NetworkError, TrainingError
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.loaders.draws import Purpose, stream
from rescale_fast.networks.blur_pool import add_blur_pool
from rescale_fast.networks.own import short_name
from rescale_fast.networks.registry import build_for_training
from rescale_fast.networks.types import IMAGENET_MEAN
from rescale_fast.train.averaging import Average
from rescale_fast.train.group import Group
from rescale_fast.train.optimizer import make_optimizer
from rescale_fast.train.precision import Precision, half_of
from rescale_fast.train.recipe import Recipe
from rescale_fast.train.surroundings import memory_explained, repeatable, torch_threads
from rescale_fast.train.watch import LossWatch

if TYPE_CHECKING:
    import torch
    from torch import nn

    from rescale_fast.loaders.base import Batch


@dataclass(frozen=True, kw_only=True)
class Training:
    """One network, one recipe, one seed: what decides the result, but for the images."""

    network: str
    image_size: int  # pixels
    recipe: Recipe
    seed: int
    compiled: bool = False
    deterministic: bool = False
    flip_test: bool = False  # test on images and their mirror images, too, beside the plain test

    @property
    def tested_network(self) -> str:
        """What the network that is trained and tested is called: with BlurPool it is another than without."""
        return short_name(self.network) + ("+BlurPool" if self.recipe.blur_pool else "")

    @property
    def tested_size(self) -> int:
        """Side of the tested images, pixels."""
        return self.recipe.tested_size(self.image_size)


@dataclass(frozen=True)
class Advice:
    """What to do when a training cannot go on, in words of those who asked for it."""

    not_a_number: str  # and what to do about a loss that rises
    too_little_memory: str
    size_option: str  # which sets the side of the images


class Batches(Protocol):
    """What the engine needs of a loader. An epoch: (B, 3, S, S) uint8, or normalised; (B,) labels, (B,) rows; B is
    batch_size, or less in the last batch.
    """

    epoch: int  # the next one, from 0
    first_batch: int  # of the next epoch
    image_size: int  # pixels

    @property
    def batch_size(self) -> int: ...

    @property
    def images_an_epoch(self) -> int: ...

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

    step = f"a step of {training.recipe.batch_size} images of {training.image_size} px"
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with (
        forked,
        repeatable(training.deterministic),
        torch_threads(num_threads),
        memory_explained(training.network, step, advice.too_little_memory),
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
        if recipe.blur_pool:
            add_blur_pool(network)
        network = group.normalising(network, device, recipe.batch_size // group.count)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.averaged = Average(self.network) if recipe.averaging else None
        self._forward = group.parallel(torch.compile(self.network) if training.compiled else self.network, device)  # type: ignore[arg-type]
        self._loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        self.optimizer = make_optimizer(self.network, recipe)
        self.precision = Precision(device, half_of(device) if recipe.half_precision else None)
        self.watch = LossWatch(training.network, num_classes, advice.not_a_number)
        self._mean, self._std = (
            255 * torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, recipe.std)
        )
        self._begin(0)

    def _begin(self, epoch: int) -> None:
        import torch

        self.epoch, self.steps_done = epoch, 0
        self._total = torch.zeros((), device=self.device, dtype=torch.float64)  # of the images' losses, on this rank

    @property
    def tested(self) -> "nn.Module":
        """The network whose accuracy counts: the moving average, where there is one."""
        return self.network if self.averaged is None else self.averaged.network

    def state(self) -> dict[str, Any]:
        """All that changes from step to step, on every rank: each has to ask after the same step."""
        averaged = {} if self.averaged is None else {"averaged": self.averaged.network.state_dict()}
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.precision.state(),
            "epoch": self.epoch,
            "steps_done": self.steps_done,
            "losses": self.group.gather(self._total),
            **averaged,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state, of any number of ranks."""
        self._begin(state["epoch"])
        self.steps_done = state["steps_done"]
        self._total += state["losses"][self.group.ranks.rank :: self.group.count].sum()
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.precision.restore(state["precision"])
        if self.averaged is not None:
            self.averaged.network.load_state_dict(state["averaged"])

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
        for step, (images, labels, _) in enumerate(batches, self.steps_done):
            self._seed(seeds[step])
            number = epoch * len(batches) + step
            self._set_learning_rate(number, len(batches))
            self._total += len(labels) * self._step(images, labels, number)
            self.steps_done = step + 1
            if self.watch.is_due(number, step):
                self._mean_loss(batches)
            advance(len(labels) * self.group.count)
        return self._mean_loss(batches)

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
        loss: torch.Tensor = self._loss_of(self._logits(self._forward, images), labels)
        self.precision.step(loss, self.network, self.optimizer, self.recipe.clip_norm)
        if self.averaged is not None:
            self.averaged.follow(weight=1 / (1 + self.recipe.averaging * step))
        return loss.detach()

    def _mean_loss(self, batches: Batches) -> float:
        """Over the epoch's images so far, of all ranks. Raises: TrainingError when it is no number."""
        images = min(self.steps_done * batches.batch_size, batches.images_an_epoch)
        mean = float(self.group.sum(self._total.clone())) / images / self.group.count
        self.watch.look(mean, self.steps_done, self.epoch)
        return mean

    def _logits(self, network: "nn.Module", images: "torch.Tensor") -> "torch.Tensor":
        import torch

        pixels = images.to(memory_format=torch.channels_last)
        if not images.is_floating_point():  # else the loader has done this
            pixels = pixels.float().sub_(self._mean).div_(self._std)
        with self.precision.computing():
            logits = network(pixels)
        if not isinstance(logits, torch.Tensor):
            raise NetworkError(
                f"{self.training.network}: gives a {type(logits).__name__} while it is trained, expected logits of "
                "shape (B, K). Pass one without auxiliary outputs."
            )
        return logits.float()

    def ask(
        self, batches: Batches, advance: Callable[[int], None]
    ) -> "Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]":
        """Of each batch the tested network's logits, (B, k) float32, with the labels and rows."""
        for (logits, *_), labels, rows in self._ask(batches, advance, flipped=False):
            yield logits, labels, rows

    def _ask(
        self, batches: Batches, advance: Callable[[int], None], *, flipped: bool
    ) -> "Iterator[tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]]":
        """Logits, and if asked for their mean with those of the mirror images; labels and rows."""
        import torch

        network = self.tested.eval()
        self.group.share_buffers(network)
        for images, labels, rows in batches:
            with torch.inference_mode():
                answers = [self._logits(network, images)]
                if flipped:
                    answers.append((answers[0] + self._logits(network, images.flip(3))) / 2)
            yield answers, labels, rows
            advance(len(labels) * self.group.count)

    def test(self, loader: BetonLoader, advance: Callable[[int], None]) -> dict[str, float]:
        """Top-1 and top-5 accuracy, 0..1, over each image of the beton exactly once, whatever the number of ranks.

        Returns: val_top1 and val_top5; with the flip test val_top1_flipped and val_top5_flipped, too, where logits are
            the mean over an image and its mirror image (Krizhevsky et al. 2012): figures of another kind.
        Raises: TrainingError when another number of images was tested than the beton holds.
        """
        import torch

        names = [f"val_top{k}{how}" for how in ("", "_flipped")[: 1 + self.training.flip_test] for k in (1, 5)]
        counts = torch.zeros(1 + len(names), device=self.device, dtype=torch.int64)  # all, and the right ones by name
        for answers, labels, _ in self._ask(loader, advance, flipped=self.training.flip_test):
            right = [logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None] for logits in answers]
            hits = [count for found in right for count in (found[:, 0].sum(), found.any(dim=1).sum())]
            counts += torch.stack([counts.new_tensor(len(labels)), *hits])
        num_images, *num_right = self.group.sum(counts).tolist()
        if num_images != len(loader.dataset):
            raise TrainingError(f"{loader.path}: tested {num_images} of {len(loader.dataset)} images.")
        return {name: count / num_images for name, count in zip(names, num_right, strict=True)}
