"""A network of which only some outputs are looked at."""

from collections.abc import Sequence

import torch
from torch import nn


class ChosenOutputs(nn.Module):
    """Gives some of a network's logits, in an order: a softmax over them is among these classes alone."""

    chosen: torch.Tensor  # (K,) on the network's device

    def __init__(self, network: nn.Module, chosen: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("chosen", torch.tensor(chosen), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(images)
        return logits.index_select(1, self.chosen)
