"""GoogLeNet as it was published, before batch normalisation. Imported only where torch is wanted.

Sources: Szegedy et al. 2015 for the widths; the repository of the ReIN table, nttbdrk25/ImageNetPlaces365, for what
it leaves open: Xavier's initialisation, and neither auxiliary heads nor dropout. torchvision's has batch normalisation,
and 3 x 3 convolutions where these are 5 x 5.
"""

from collections.abc import Iterator

import torch
from torch import nn

# Channels: of the 1 x 1 branch; before and after the 3 x 3; before and after the 5 x 5; of the pooled branch.
MODULES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


def googlenet(num_classes: int) -> nn.Module:
    """Takes (B, 3, H, W) of any size from 8 px, gives (B, K) logits."""
    layers = [*_conv(3, 64, 7, stride=2), _halve(), *_conv(64, 64, 1), *_conv(64, 192, 3), _halve()]
    channels = 192
    for stage, modules in enumerate(MODULES):
        if stage > 0:
            layers.append(_halve())
        for widths in modules:
            module = Inception(channels, *widths)
            layers.append(module)
            channels = module.channels_out
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
    return network


class Inception(nn.Module):
    """Four branches of different reach, side by side."""

    def __init__(
        self, channels_in: int, one: int, before_three: int, three: int, before_five: int, five: int, pooled: int
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                nn.Sequential(*_conv(channels_in, one, 1)),
                nn.Sequential(*_conv(channels_in, before_three, 1), *_conv(before_three, three, 3)),
                nn.Sequential(*_conv(channels_in, before_five, 1), *_conv(before_five, five, 5)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), *_conv(channels_in, pooled, 1)),
            ]
        )
        self.channels_out = one + three + five + pooled

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(features) for branch in self.branches], dim=1)


def _conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> Iterator[nn.Module]:
    yield nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2)
    yield nn.ReLU(inplace=True)


def _halve() -> nn.Module:
    return nn.MaxPool2d(3, stride=2, padding=1)
