"""BlurPool: convolutions with a stride take blurred features, so that what lies between their steps counts, too.

Source: Zhang, "Making convolutional networks shift-invariant again" (2019), in the form of ffcv-imagenet: the blur
stands before each convolution that has a stride and at least 16 channels to take.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rescale_fast.networks.build import build_network

if TYPE_CHECKING:
    import torch
    from torch import nn

FEWEST_CHANNELS = 16
BLUR = "blur"  # what the filter is called among a convolution's tensors


def add_blur_pool(network: "nn.Module") -> int:
    """Blur, in place, what the network's convolutions with a stride take; how many these are.

    The weights keep their names. Each such convolution gets a tensor `blur` beside them, by which a file of weights
    tells that it is of this other network: without the blur it does not load.
    """
    import torch

    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    found = list(_with_stride(network))
    for conv in found:
        blur = torch.outer(row, row).to(conv.weight).expand(conv.in_channels, 1, 3, 3).contiguous()
        conv.register_buffer(BLUR, blur)
        conv.register_forward_pre_hook(_blurred)
    return len(found)


def build_for_weights(name: str, num_classes: int, weights: Mapping[str, Any]) -> "nn.Module":
    """The network of a state_dict: with the blur, if `add_blur_pool` had been there. Raises: as build_network."""
    network = build_network(name, num_classes)
    if any(key.rpartition(".")[2] == BLUR for key in weights):
        add_blur_pool(network)
    return network


def _with_stride(network: "nn.Module") -> "Iterator[Any]":
    from torch import nn

    for module in network.modules():
        if isinstance(module, nn.Conv2d) and max(module.stride) > 1 and module.in_channels >= FEWEST_CHANNELS:
            yield module


def _blurred(conv: Any, features: "tuple[torch.Tensor, ...]") -> "tuple[torch.Tensor, ...]":
    import torch

    return (torch.nn.functional.conv2d(features[0], conv.blur, padding=1, groups=conv.in_channels),)
