"""GoogLeNet as it was published, before batch normalisation. Imported only where torch is wanted.

Source: Szegedy et al. 2015; the modules are torchvision's, with plain convolutions in them and without the
auxiliary heads. He's initialisation (2015) stands in for the normalisation.
"""

from functools import partial

import torch
from torch import nn
from torchvision.models.googlenet import GoogLeNet, Inception, InceptionAux


class PlainConv(nn.Module):
    """A convolution with ReLU."""

    def __init__(self, in_channels: int, out_channels: int, **shape: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, **shape)  # type: ignore[arg-type]
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(features))


def plain_googlenet(num_classes: int) -> nn.Module:
    """Takes (B, 3, H, W) of any size from 16 px, gives (B, K) logits."""
    blocks = [PlainConv, partial(Inception, conv_block=PlainConv), InceptionAux]
    network: nn.Module = GoogLeNet(num_classes, aux_logits=False, init_weights=False, blocks=blocks)
    return network
