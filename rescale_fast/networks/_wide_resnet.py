"""Wide residual networks, WRN-N-k. Imported only where torch is wanted.

Sources: Zagoruyko and Komodakis 2016; Chrabaszcz, Loshchilov and Hutter 2017, who use 2, 3 and 4 stages of four
blocks for images of 16, 32 and 64 px (WRN-20, WRN-28, WRN-36). The first stage has 16 k channels, each later one
twice as many. Every convolution has a bias and the very first block a projection: so the numbers of parameters
equal all that the second paper prints (without them WRN-28-1 would have 0.43 million, printed is 0.44).
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


class Block(nn.Module):
    """Two 3 x 3 convolutions, each after batch normalisation and ReLU, and a skip, 1 x 1 where `projects`."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, *, projects: bool) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels_out, 1, stride) if projects else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        active = torch.relu(self.norm1(features))
        skipped = features if self.skip is None else self.skip(active)
        made: torch.Tensor = self.conv2(torch.relu(self.norm2(self.conv1(active))))
        return made + skipped


class WideResNet(nn.Module):
    """Takes (B, 3, H, W) of any size from 8 px, gives (B, K) logits. Without dropout."""

    def __init__(self, num_classes: int, *, stages: int, blocks: int, widening: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, STEM, 3, padding=1)]
        channels = STEM
        for stage in range(stages):
            for block in range(blocks):
                channels_out = round(STEM * widening) << stage
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Block(channels, channels_out, stride, projects=block == 0))
                channels = channels_out
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.features(images)).flatten(1))  # type: ignore[no-any-return]
