"""A network with its optimizer and moving average: what a step and a test are."""

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from rescale_fast.errors import TrainingError
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.networks.registry import build_for_training
from rescale_fast.networks.types import IMAGENET_MEAN
from rescale_fast.train.group import Group
from rescale_fast.train.plan import Training

if TYPE_CHECKING:
    import torch
    from torch import nn

STEPS_BETWEEN_CHECKS = 50  # of the loss: a look at it makes a GPU wait


class Trainer:
    """Trains and tests one network, together with the other ranks."""

    def __init__(self, training: Training, num_classes: int, device: "torch.device", group: Group) -> None:
        import torch

        self.training, self.device, self.group = training, device, group
        recipe = self.recipe = training.recipe
        torch.manual_seed(training.seed)
        network = build_for_training(training.network, num_classes, training.image_size)
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

    @property
    def tested(self) -> "nn.Module":
        """The network whose accuracy counts: the moving average, where there is one."""
        return self.network if self.averaged is None else self.averaged

    def state(self) -> dict[str, Any]:
        """All that changes from epoch to epoch."""
        averaged = {} if self.averaged is None else {"averaged": self.averaged.state_dict()}
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), **averaged}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])

    def train(self, loader: BetonLoader, epoch: int, advance: Callable[[int], None]) -> float:
        """One pass, the `epoch`-th from 0; returns the mean loss.

        Raises: TrainingError when the loss is no number, on all ranks at the same step.
        """
        import torch

        self.network.train()
        total = torch.zeros((), device=self.device, dtype=torch.float64)
        images_a_step = loader.batch_size * self.group.count
        for step, (images, labels, _) in enumerate(loader):
            self._set_learning_rate(epoch * len(loader) + step, len(loader))
            total += self._step(images, labels, epoch * len(loader) + step)
            if step % STEPS_BETWEEN_CHECKS == 0:
                self._check(total, epoch)
            advance(images_a_step)
        return self._check(total, epoch) / len(loader) / self.group.count

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
                f"{self.training.network}: the loss is no longer a number in epoch {epoch + 1}. Lower the "
                f"--learning-rate (it is {self.recipe.learning_rate:g})."
            )
        return loss

    def _logits(self, network: "nn.Module", images: "torch.Tensor") -> "torch.Tensor":
        import torch

        pixels = images.to(memory_format=torch.channels_last).float().sub_(self._mean).div_(self._std)
        on_gpu = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16 and on_gpu):
            logits: torch.Tensor = network(pixels)
        return logits.float()

    def test(self, loader: BetonLoader, advance: Callable[[int], None]) -> tuple[float, float]:
        """Top-1 and top-5 accuracy, 0..1, over each image of the beton exactly once, whatever the number of ranks.

        Raises: TrainingError when another number of images was tested than the beton holds.
        """
        import torch

        network = self.tested.eval()
        self.group.share_buffers(network)
        counts = torch.zeros(3, device=self.device, dtype=torch.int64)  # right, right among five, all
        with torch.inference_mode():
            for images, labels, _ in loader:
                logits = self._logits(network, images)
                found = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
                counts[0] += found[:, 0].sum()
                counts[1] += found.any(dim=1).sum()
                counts[2] += len(labels)
                advance(len(labels) * self.group.count)
        top1, top5, num_images = self.group.sum(counts).tolist()
        if num_images != len(loader.beton):
            raise TrainingError(f"{loader.path}: tested {num_images} of {len(loader.beton)} images.")
        return top1 / num_images, top5 / num_images
