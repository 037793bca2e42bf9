"""MobileNetV1 and MAFNet, which is MobileNetV1 with attention. Imported only where torch is wanted.

Sources: Howard et al. 2017 for the depthwise separable units; Nguyen and Nguyen, Pattern Recognition Letters 185,
73-80 (2024), for batch normalisation of the input, the stages' widths and the two gates; Woo et al. 2018 (CBAM)
for the form of the spatial gate. Written from their descriptions, which leave the width of the gate's hidden
layer open: here it is the number of channels by REDUCTION.
"""

import torch
from torch import nn

STAGES = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))  # channels of each unit
REDUCTION = 16


def _conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class ChannelGate(nn.Module):
    """Weighs each channel by what its average and standard deviation say through two linear layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // REDUCTION
        self.mlp = nn.Sequential(nn.Linear(2 * channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.mlp(_mean_and_std(features, (2, 3)).flatten(1)))
        return features * gate[:, :, None, None]


class SpatialGate(nn.Module):
    """Weighs each pixel by a 7 x 7 convolution over the average and standard deviation of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(2, 1, 7, padding=3, bias=False), nn.BatchNorm2d(1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features * torch.sigmoid(self.conv(_mean_and_std(features, (1,))))


def _mean_and_std(features: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    """Both over `dims`, one after the other along the channels. The root's slope stays finite for equal values."""
    variance, mean = torch.var_mean(features, dim=dims, correction=0, keepdim=True)
    return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


class SeparableUnit(nn.Module):
    """A depthwise and a pointwise convolution; with `gated`, both gates after it and a skip where shapes match."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, *, gated: bool) -> None:
        super().__init__()
        self.depthwise = _conv(channels_in, channels_in, 3, stride, groups=channels_in)
        self.pointwise = _conv(channels_in, channels_out, 1)
        self.gates = nn.Sequential(ChannelGate(channels_out), SpatialGate()) if gated else nn.Identity()
        self.skips = gated and stride == 1 and channels_in == channels_out

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.gates(self.pointwise(self.depthwise(features)))
        return made + features if self.skips else made


class MobileNetV1(nn.Module):
    """Takes (B, 3, H, W) of any size from 8 px, gives (B, K) logits. `gated` makes it MAFNet."""

    def __init__(self, num_classes: int, *, gated: bool = False) -> None:
        super().__init__()
        units: list[nn.Module] = []
        channels = 32
        for number, stage in enumerate(STAGES):
            for position, channels_out in enumerate(stage):
                stride = 2 if number > 0 and position == 0 else 1
                units.append(SeparableUnit(channels, channels_out, stride, gated=gated))
                channels = channels_out
        self.features = nn.Sequential(nn.BatchNorm2d(3), _conv(3, 32, 3, stride=2), *units)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Conv2d(channels, num_classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.features(images))).flatten(1)  # type: ignore[no-any-return]
