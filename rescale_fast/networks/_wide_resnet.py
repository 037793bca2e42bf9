"""Wide residual networks, WRN-N-k, as they were trained on down-sampled ImageNet. Imported only where torch is wanted.

Sources: Zagoruyko and Komodakis 2016; Chrabaszcz, Loshchilov and Hutter 2017, who use 2, 3 and 4 stages of four
blocks for images of 16, 32 and 64 px (WRN-20, WRN-28, WRN-36), and their script WRNs_imagenet.py
(PatrykChrabaszcz/Imagenet32_Scripts) with the defaults of Lasagne, which it is written in. As there, the stem is
normalised, so that the first block is not; skips take what has not been normalised; and only the second convolution
of a block has a bias. The numbers of parameters are those that the paper prints. The one difference: Lasagne keeps a
running average of the inverse deviation, torch of the variance; over batches of 128 images the two hardly differ.
"""

import torch
from torch import nn

STEM = 16  # channels
SHAPES = {20: (2, 4), 36: (4, 4)}  # depth -> (stages, blocks a stage); others have 3 stages, and depth 6 n + 4


def shape_of(depth: int) -> tuple[int, int] | None:
    """(stages, blocks a stage) of the network of that depth; None where there is none."""
    if depth in SHAPES:
        return SHAPES[depth]
    return (3, (depth - 4) // 6) if depth > 4 and depth % 6 == 4 else None


def width_of(stage: int, widening: float) -> int:
    """Channels of a stage, from 0: 16 k in the first, twice as many in each later one, rounded down."""
    return int(STEM * widening * 2**stage)


def _normalised(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels, eps=1e-4), nn.ReLU(inplace=True))


class Block(nn.Module):
    """Two 3 x 3 convolutions, each after batch normalisation and ReLU, and a skip from before them, 1 x 1 where the
    number of channels changes. `first` follows the stem, which is normalised already."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, *, first: bool, projects: bool) -> None:
        super().__init__()
        self.norm1 = nn.Identity() if first else _normalised(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm2 = _normalised(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False) if projects else nn.Identity()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.conv2(self.norm2(self.conv1(self.norm1(features)))) + self.skip(features)
        return made


class WideResNet(nn.Module):
    """Takes (B, 3, H, W) of any size from 8 px, gives (B, K) logits. Without dropout."""

    def __init__(self, num_classes: int, *, stages: int, blocks: int, widening: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, STEM, 3, padding=1, bias=False), _normalised(STEM)]
        channels = STEM
        for stage in range(stages):
            for block in range(blocks):
                width = width_of(stage, widening)
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Block(channels, width, stride, first=stage == block == 0, projects=block == 0))
                channels = width
        self.features = nn.Sequential(*layers, _normalised(channels))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(channels, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        """He's normal weights by fan-in; the skips' and the head's for what no ReLU follows; biases are zero."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and name.endswith("skip"):
                nn.init.xavier_uniform_(module.weight)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.zeros_(module.bias)
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="linear")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.features(images)).flatten(1))  # type: ignore[no-any-return]
