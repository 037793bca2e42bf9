"""The networks that are ranked, and those that guide the choices: one builder, one description each.

All begin with a convolution of stride 2 and have three stages of 16, 8 and 4 pixels a side (of 32), as the networks of
ImageNet shrink their images early: what differs is what people vary, one or two things at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, nn

from benchmarks.experiments.rank_fidelity.blocks import BLOCKS, Activation, Norm, activate, convolve, normalise
from benchmarks.experiments.rank_fidelity.heads import HEADS


@dataclass(frozen=True)
class Network:
    """What a network is, and how it is trained."""

    block: str = "plain"
    width: int = 16  # of the first stage; the next have twice and four times as many
    depths: tuple[int, int, int] = (1, 1, 1)  # blocks of each stage
    kernel: int = 3
    norm: Norm = "batch"
    activation: Activation = "relu"
    shrink: Literal["stride", "max"] = "stride"  # how a stage halves the sides
    head: str = "mean"
    dropout: float = 0.0
    augment: Literal["none", "shift", "cutout", "mixup"] = "none"
    rate: float = 3e-3  # the highest learning rate
    decay: float = 0.05
    smoothing: float = 0.0  # of labels


_PLAIN = Network()
_RESIDUAL = Network("residual", depths=(1, 2, 1))

ZOO: Mapping[str, Network] = {
    "plain": _PLAIN,
    "residual": _RESIDUAL,
    "wide": replace(_PLAIN, width=24),
    "separable": replace(_PLAIN, block="separable", width=24, depths=(1, 2, 1)),
    "deep": replace(_PLAIN, depths=(2, 2, 2)),
    "narrow": replace(_PLAIN, width=12),
    "squeeze": replace(_RESIDUAL, block="squeeze"),
    "shift": replace(_PLAIN, augment="shift"),
    "flat-head": replace(_PLAIN, head="flat"),
    "kernel5": replace(_PLAIN, kernel=5),
    "max-pool": replace(_PLAIN, shrink="max"),
    "mixup": replace(_PLAIN, augment="mixup"),
    "dropout": replace(_PLAIN, dropout=0.3),
    "smooth": replace(_PLAIN, smoothing=0.1),
    "branches": replace(_PLAIN, block="branches"),
    "inverted": replace(_PLAIN, block="inverted", depths=(1, 2, 1)),
}

MORE: Mapping[str, Network] = {  # guides by their accuracies only
    "residual-flat": replace(_RESIDUAL, depths=(1, 1, 1), head="flat", activation="silu"),
    "max-head": replace(_PLAIN, head="max"),
    "group-norm": replace(_PLAIN, norm="group"),
    "cutout": replace(_PLAIN, augment="cutout"),
    "dense": replace(_PLAIN, block="dense"),
    "grouped": replace(_RESIDUAL, block="grouped", width=24),
}

LEFT_OUT: Mapping[str, Network] = {  # far below the others, which any images would find, or too costly
    "attention": Network("attention", 16, (0, 1, 1), norm="layer", activation="gelu", rate=2e-3),
    "tanh": replace(_PLAIN, activation="tanh"),
    "convnext": Network("convnext", 16, (1, 2, 1), 5, "layer", "gelu", rate=4e-3),
    "no-norm": replace(_PLAIN, norm="none", rate=1e-3),
}

GUIDES: Mapping[str, Network] = {
    "guide-gelu": replace(_PLAIN, activation="gelu", width=14),
    "guide-smooth": replace(_RESIDUAL, smoothing=0.1, depths=(1, 1, 1)),
    "guide-both-heads": replace(_PLAIN, head="both", width=20),
    "guide-separable": replace(_PLAIN, block="separable", width=24, activation="silu"),
    "guide-shift": replace(_PLAIN, augment="shift", depths=(1, 2, 1)),
    "guide-residual5": replace(_RESIDUAL, kernel=5, width=12, depths=(1, 1, 1)),
    "guide-attention": Network("attention", 16, (0, 0, 1), activation="relu", rate=2e-3),
}
FAMILIES: Mapping[str, Mapping[str, Network]] = {"zoo": ZOO, "more": MORE, "guides": GUIDES}
NETWORKS: Mapping[str, Network] = {**ZOO, **MORE, **GUIDES, **LEFT_OUT}


class Classifier(nn.Module):
    """(B, 3, H, W) floats to (B, K) logits."""

    def __init__(self, network: Network, num_classes: int) -> None:
        super().__init__()
        widths = [network.width * 2**stage for stage in range(3)]
        self.stem = nn.Sequential(
            convolve(3, widths[0], network.kernel, stride=2),
            normalise(network.norm, widths[0]),
            activate(network.activation),
        )
        self.stages = nn.Sequential()
        for stage, (width, depth) in enumerate(zip(widths, network.depths, strict=True)):
            if stage:
                self.stages.append(_shrink(network, widths[stage - 1], width))
            for _ in range(depth):
                self.stages.append(BLOCKS[network.block](width, network.kernel, network.norm, network.activation))
        self.head = nn.Sequential(*HEADS[network.head](widths[-1], network.dropout, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(images)))  # type: ignore[no-any-return]


def _shrink(network: Network, before: int, after: int) -> nn.Module:
    stride = 2 if network.shrink == "stride" else 1
    steps = [convolve(before, after, 3, stride=stride), normalise(network.norm, after), activate(network.activation)]
    return nn.Sequential(*steps, *([nn.MaxPool2d(2)] if network.shrink == "max" else []))
