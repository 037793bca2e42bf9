"""The blocks that stages are made of: each maps (B, C, H, W) to the same shape."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

Norm: TypeAlias = Literal["batch", "group", "layer", "none"]
Activation: TypeAlias = Literal["relu", "gelu", "silu", "tanh"]


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, maps: Tensor) -> Tensor:
        return self.norm(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


NORMS: Mapping[Norm, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "group": lambda width: nn.GroupNorm(4, width),
    "layer": ChannelNorm,
    "none": lambda width: nn.Identity(),
}
ACTIVATIONS: Mapping[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def normalise(norm: Norm, width: int) -> nn.Module:
    return NORMS[norm](width)


def activate(activation: Activation) -> nn.Module:
    return ACTIVATIONS[activation]()


def convolve(before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups)


def _step(before: int, after: int, kernel: int, norm: Norm, activation: Activation, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(convolve(before, after, kernel, groups=groups), normalise(norm, after), activate(activation))


class Add(nn.Module):
    """x + inner(x)."""

    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.inner(maps)  # type: ignore[no-any-return]


class Concatenate(nn.Module):
    """The outputs of several branches, side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.branches], 1)


class Squeeze(nn.Module):
    """Weighs the channels by what the whole image shows (squeeze and excitation)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, width), nn.Sigmoid())

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.weigh(maps.mean((2, 3)))[:, :, None, None]  # type: ignore[no-any-return]


class SelfAttention(nn.Module):
    """Each place looks at all others, in heads of 16 channels; a depthwise convolution tells where it is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // 16
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.places = convolve(width, width, 3, groups=width)

    def forward(self, maps: Tensor) -> Tensor:
        tokens = (maps + self.places(maps)).flatten(2).transpose(1, 2)  # (B, places, C)
        parts = self.mix(tokens).unflatten(2, (3, self.heads, 16)).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(*parts.unbind(0)).transpose(1, 2).flatten(2)
        return self.out(seen).transpose(1, 2).reshape(maps.shape)  # type: ignore[no-any-return]


def plain(width: int, kernel: int, norm: Norm, activation: Activation) -> nn.Module:
    return _step(width, width, kernel, norm, activation)


def residual(width: int, kernel: int, norm: Norm, activation: Activation) -> nn.Module:
    return Add(plain(width, kernel, norm, activation), convolve(width, width, kernel), normalise(norm, width))


def squeeze(width: int, kernel: int, norm: Norm, activation: Activation) -> nn.Module:
    second = [convolve(width, width, kernel), normalise(norm, width)]
    return Add(plain(width, kernel, norm, activation), *second, Squeeze(width))


def grouped(width: int, kernel: int, norm: Norm, activation: Activation) -> nn.Module:
    """As in ResNeXt: the wide middle has groups."""
    first = _step(width, width, 1, norm, activation)
    middle = _step(width, width, kernel, norm, activation, groups=4)
    return Add(first, middle, convolve(width, width, 1), normalise(norm, width))


def separable(width: int, kernel: int, norm: Norm, activation: Activation) -> nn.Module:
    return nn.Sequential(
        _step(width, width, kernel, norm, activation, groups=width), _step(width, width, 1, norm, activation)
    )


def inverted(width: int, kernel: int, norm: Norm, activation: Activation) -> nn.Module:
    wide = 3 * width
    middle = _step(wide, wide, kernel, norm, activation, groups=wide)
    return Add(_step(width, wide, 1, norm, activation), middle, convolve(wide, width, 1), normalise(norm, width))


def convnext(width: int, kernel: int, norm: Norm, activation: Activation) -> nn.Module:
    first = [convolve(width, width, kernel, groups=width), normalise(norm, width)]
    return Add(*first, convolve(width, 3 * width, 1), activate(activation), convolve(3 * width, width, 1))


def branches(width: int, kernel: int, norm: Norm, activation: Activation) -> nn.Module:
    """As in Inception: small and large kernels side by side."""
    parts = [_step(width, width // 4, size, norm, activation) for size in (1, kernel, kernel + 2)]
    return Concatenate(*parts, nn.Sequential(nn.MaxPool2d(3, 1, 1), _step(width, width // 4, 1, norm, activation)))


def dense(width: int, kernel: int, norm: Norm, activation: Activation) -> nn.Module:
    """As in DenseNet: half of the channels are kept as they were."""
    grown = _step(width, width // 2, kernel, norm, activation)
    return nn.Sequential(Concatenate(nn.Conv2d(width, width // 2, 1), grown))


def attention(width: int, kernel: int, norm: Norm, activation: Activation) -> nn.Module:
    wide = [convolve(width, 2 * width, 1), activate(activation), convolve(2 * width, width, 1)]
    return nn.Sequential(Add(normalise(norm, width), SelfAttention(width)), Add(normalise(norm, width), *wide))


BLOCKS: Mapping[str, Callable[[int, int, Norm, Activation], nn.Module]] = {
    "plain": plain,
    "residual": residual,
    "squeeze": squeeze,
    "grouped": grouped,
    "separable": separable,
    "inverted": inverted,
    "convnext": convnext,
    "branches": branches,
    "dense": dense,
    "attention": attention,
}
