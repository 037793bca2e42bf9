"""MobileNetV1, V2 and V3, and MAFNet, which is V1 with attention, as the ReIN table has them. Imported only where
torch is wanted.

Sources: Howard et al. 2017, Sandler et al. 2018 and Howard et al. 2019 (V3 large, without its layer of 1,280); Nguyen
and Nguyen, Pattern Recognition Letters 185, 73-80 (2024), and their repository nttbdrk25/ImageNetPlaces365 for all in
which these differ from torchvision's: batch normalisation of the input, expansions in the first units too, no dropout,
a 1 x 1 convolution as the head, the initialisation, and MAFNet's two gates (Woo et al. 2018 for the second's form).
"""

from dataclasses import dataclass
from math import prod

import torch
from torch import nn

REDUCTION = 16  # of channels in the hidden layer of MAFNet's channel gate
SQUEEZE = 4  # of channels in the hidden layer of V3's
Activation = type[nn.ReLU] | type[nn.ReLU6] | type[nn.Hardswish]


@dataclass(frozen=True)
class Stage:
    """Inverted units of one kind."""

    stride: int  # of the first
    units: tuple[tuple[int, int], ...]  # channels of each: expanded, and out
    activation: Activation
    kernel: int = 3
    gated: bool = False


V1 = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))  # channels of each unit; all stages but the first halve
V2 = (
    Stage(1, ((32, 16),), nn.ReLU6),
    Stage(2, ((96, 24), (144, 24)), nn.ReLU6),
    Stage(2, ((144, 32), (192, 32), (192, 32)), nn.ReLU6),
    Stage(2, ((192, 64), (384, 64), (384, 64), (384, 64), (384, 96), (576, 96), (576, 96)), nn.ReLU6),
    Stage(2, ((576, 160), (960, 160), (960, 160), (960, 320)), nn.ReLU6),
)
V3 = (
    Stage(1, ((16, 16),), nn.ReLU),
    Stage(2, ((64, 24), (72, 24)), nn.ReLU),
    Stage(2, ((72, 40), (120, 40), (120, 40)), nn.ReLU, kernel=5, gated=True),
    Stage(2, ((240, 80), (200, 80), (184, 80), (184, 80)), nn.Hardswish),
    Stage(1, ((480, 112), (672, 112)), nn.Hardswish, gated=True),
    Stage(2, ((672, 160), (960, 160), (960, 160)), nn.Hardswish, kernel=5, gated=True),
)


def mobilenet_v1(num_classes: int, *, gated: bool = False) -> nn.Module:
    """Takes (B, 3, H, W) of any size from 8 px, gives (B, K) logits, as all of these do."""
    units = []
    channels = 32
    for stage, widths in enumerate(V1):
        for place, width in enumerate(widths):
            stride = 2 if stage > 0 and place == 0 else 1
            units.append(SeparableUnit(channels, width, stride, gated=gated))
            channels = width
    return _network(num_classes, _conv(3, 32, 3, stride=2), *units, channels=channels)


def mafnet(num_classes: int) -> nn.Module:
    """MobileNetV1 with two gates in each unit, and a skip where shapes match."""
    return mobilenet_v1(num_classes, gated=True)


def mobilenet_v2(num_classes: int) -> nn.Module:
    """Its first unit expands, too."""
    return _inverted(num_classes, V2, nn.ReLU6, first=32, last=1280)


def mobilenet_v3(num_classes: int) -> nn.Module:
    """The large one."""
    return _inverted(num_classes, V3, nn.Hardswish, first=16, last=960)


def _inverted(
    num_classes: int, stages: tuple[Stage, ...], activation: Activation, *, first: int, last: int
) -> nn.Module:
    """Stages between a convolution of `first` channels and one of `last`."""
    layers: list[nn.Module] = [_conv(3, first, 3, stride=2, activation=activation)]
    channels = first
    for stage in stages:
        for place, (expanded, width) in enumerate(stage.units):
            stride = stage.stride if place == 0 else 1
            layers.append(InvertedUnit(channels, expanded, width, stride, stage))
            channels = width
    return _network(num_classes, *layers, _conv(channels, last, 1, activation=activation), channels=last)


def _network(num_classes: int, *features: nn.Module, channels: int) -> nn.Module:
    """Normalised input, features, average pooling, a head; initialised: He's uniform weights, Xavier's in the head."""
    head = nn.Conv2d(channels, num_classes, 1)
    for module in (one for feature in features for one in feature.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.xavier_normal_(head.weight)
    return nn.Sequential(nn.BatchNorm2d(3), *features, nn.AdaptiveAvgPool2d(1), head, nn.Flatten())


def _conv(
    channels_in: int,
    channels_out: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: Activation | None = nn.ReLU,
) -> nn.Sequential:
    layers = [
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
    ]
    return nn.Sequential(*layers, *([] if activation is None else [activation(inplace=True)]))


class SeparableUnit(nn.Module):
    """A depthwise and a pointwise convolution; with `gated`, both gates after it and a skip where shapes match."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, *, gated: bool) -> None:
        super().__init__()
        self.depthwise = _conv(channels_in, channels_in, 3, stride=stride, groups=channels_in)
        self.pointwise = _conv(channels_in, channels_out, 1)
        self.gates = nn.Sequential(ChannelGate(channels_out), SpatialGate()) if gated else nn.Identity()
        self.skips = gated and stride == 1 and channels_in == channels_out

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.gates(self.pointwise(self.depthwise(features)))
        return made + features if self.skips else made


class InvertedUnit(nn.Module):
    """Expands, convolves each channel, gates them if its kind is gated, projects; and a skip where shapes match."""

    def __init__(self, channels_in: int, expanded: int, channels_out: int, stride: int, kind: Stage) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv(channels_in, expanded, 1, activation=kind.activation),
            _conv(expanded, expanded, kind.kernel, stride=stride, groups=expanded, activation=kind.activation),
            SqueezeGate(expanded) if kind.gated else nn.Identity(),
            _conv(expanded, channels_out, 1, activation=None),
        )
        self.skips = stride == 1 and channels_in == channels_out

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.layers(features)
        return made + features if self.skips else made


class SqueezeGate(nn.Module):
    """Weighs each channel by what the channels' averages say through two layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // SQUEEZE
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features * self.gate(features)  # type: ignore[no-any-return]


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
        self.conv = nn.Sequential(nn.Conv2d(2, 1, 7, padding=3, bias=False), nn.BatchNorm2d(1, momentum=0.01))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features * torch.sigmoid(self.conv(_mean_and_std(features, (1,))))


def _mean_and_std(features: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    """Both over `dims`, one after the other along the channels. The deviation is the unbiased one, and of a single
    value, of which there is none, zero: so images of 32 px and less are taken."""
    values = prod(features.shape[dim] for dim in dims)
    std, mean = torch.std_mean(features, dim=dims, correction=min(1, values - 1), keepdim=True)
    return torch.cat([mean, std], dim=1)
