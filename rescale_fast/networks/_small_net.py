"""A small convolutional network for small images. Imported only where torch is wanted."""

import torch
from torch import nn


def _block(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class SmallNet(nn.Module):
    """Four 3x3 convolutions, the last three with stride 2, global average pooling, one linear layer.

    0.4 million parameters at 120 classes; takes (B, 3, H, W) of any size from 8 px, gives (B, K) logits.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _block(3, 32, 1),
            nn.MaxPool2d(2),
            _block(32, 64, 1),
            nn.MaxPool2d(2),
            _block(64, 128, 1),
            _block(128, 256, 2),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(256, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.features(images)).flatten(1))  # type: ignore[no-any-return]
