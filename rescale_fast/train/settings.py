"""Which network is trained on the subset, and how."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainSettings:
    """Training on the subset."""

    train_network: str | None = None
    """Network to train: `small` or one of torchvision's. By default `small` up to 64 px, else resnet18."""
    epochs: int = 16
    """Passes over the training images."""
    train_batch_size: int = 64
    """Images a step of training."""
    learning_rate: float = 0.1
    """Highest learning rate of the one-cycle schedule."""
    train_size: int | None = None
    """Side of the training images, pixels. By default that of the beton's images, at most 224."""
    augment: Literal["auto", "crop-flip", "shift"] = "auto"
    """Augmentation; `auto` is `shift` for glyphs, whose mirror images are other letters, else `crop-flip`."""
    seed: int = 0
    """Seed of weights and order."""
