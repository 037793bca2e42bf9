"""How training images are scored by networks that have not seen them."""

from dataclasses import dataclass
from typing import Annotated

from rescale_fast.settings import Between, Seed, Settings


@dataclass(frozen=True)
class ScoreSettings(Settings):
    """Scoring training images by a network that has not seen them."""

    score_network: str | None = None
    """Network to train, of those that --train-network takes. By default `small` up to 64 px, else ResNet18."""
    score_epochs: Annotated[int, Between(1)] = 16
    """Passes over each half of the images."""
    score_batch_size: Annotated[int, Between(2)] = 64
    """Images in a batch; as many as there are, if a half has fewer."""
    score_learning_rate: Annotated[float, Between(0, open=True)] = 0.1
    """Highest learning rate of the one-cycle schedule."""
    score_size: Annotated[int, Between(8, 4096)] | None = None
    """Side of the images that the network sees, pixels. By default their own, at most 224."""
    score_seed: Seed = 0
    """Seed of the halves, the weights and the order."""
