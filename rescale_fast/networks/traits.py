"""What a recipe needs to know of a network before it is trained: how it normalises, and which images it takes."""

from typing import TYPE_CHECKING

from rescale_fast.networks.own import is_reference
from rescale_fast.networks.registry import build_plain
from rescale_fast.networks.types import Normalisation

if TYPE_CHECKING:
    from torch import nn


def prototype(name: str, num_classes: int) -> "nn.Module":
    """A network to look at; unless it is one's own, without memory for its weights. Raises: UnknownNetworkError."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.device("cpu" if is_reference(name) else "meta"):
        return build_plain(name, num_classes)


def normalisation_of(network: "nn.Module") -> Normalisation:
    """How a network normalises its features: "layer" if in any place each image by itself, as transformers do."""
    from torch import nn
    from torch.nn.modules.batchnorm import _BatchNorm

    modules = list(network.modules())
    if any(isinstance(module, (nn.LayerNorm, nn.RMSNorm)) for module in modules):
        return "layer"
    others = (_BatchNorm, nn.GroupNorm, nn.InstanceNorm2d)
    return "other" if any(isinstance(module, others) for module in modules) else "none"
