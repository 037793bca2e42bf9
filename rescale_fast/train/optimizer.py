"""The optimiser of a recipe: which parameters it pulls towards zero, and how hard."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rescale_fast.train.recipe import Decays, Recipe

if TYPE_CHECKING:
    import torch
    from torch import nn

DECAYING: Mapping[Decays, Callable[[str, "nn.Parameter"], bool]] = MappingProxyType(
    {
        "all": lambda name, parameter: True,
        "all-but-biases": lambda name, parameter: name.rpartition(".")[2] != "bias",
        "weights": lambda name, parameter: parameter.ndim > 1,
    }
)


def make_optimizer(network: "nn.Module", recipe: Recipe) -> "torch.optim.Optimizer":
    """SGD with momentum 0.9 on the network's parameters."""
    import torch

    return torch.optim.SGD(
        parameter_groups(network, recipe), lr=recipe.learning_rate, momentum=0.9, nesterov=recipe.nesterov
    )


def parameter_groups(network: "nn.Module", recipe: Recipe) -> list[dict[str, Any]]:
    """The network's parameters as torch's optimisers take them: those that decay, and those that do not, if any."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in network.named_parameters():
        groups[DECAYING[recipe.decays](name, parameter)].append(parameter)
    return [
        {"params": parameters, "weight_decay": recipe.weight_decay if decays else 0.0}
        for decays, parameters in groups.items()
        if parameters
    ]
