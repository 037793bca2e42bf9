"""What makes logits of the last stage's maps."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn


class BothPools(nn.Module):
    """(B, C, H, W) to (B, 2 C): the mean and the greatest of each channel."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)


def mean_head(width: int, dropout: float, num_classes: int) -> Sequence[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(width, num_classes)]


def max_head(width: int, dropout: float, num_classes: int) -> Sequence[nn.Module]:
    return [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(width, num_classes)]


def both_heads(width: int, dropout: float, num_classes: int) -> Sequence[nn.Module]:
    return [BothPools(), nn.Dropout(dropout), nn.Linear(2 * width, num_classes)]


def flat_head(width: int, dropout: float, num_classes: int) -> Sequence[nn.Module]:
    """Keeps where things are: all 2 x 2 places."""
    return [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(dropout), nn.Linear(4 * width, num_classes)]


HEADS: Mapping[str, Callable[[int, float, int], Sequence[nn.Module]]] = {
    "mean": mean_head,
    "max": max_head,
    "both": both_heads,
    "flat": flat_head,
}
