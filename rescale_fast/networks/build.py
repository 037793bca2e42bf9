"""Networks by name, untrained, for any number of classes."""

from typing import TYPE_CHECKING

from rescale_fast.errors import NetworkError

if TYPE_CHECKING:
    from torch import nn


def build_network(name: str, num_classes: int) -> "nn.Module":
    """Build a network with `num_classes` outputs: `small` (ours) or a torchvision classification network.

    Raises: NetworkError for an unknown name, listing the nearest ones.
    """
    if name == "small":
        from rescale_fast.networks._small_net import SmallNet

        return SmallNet(num_classes)
    check_torchvision_name(name)
    from torchvision import models

    # These two return auxiliary outputs in training unless told otherwise.
    extra = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **extra)
    return network


def check_torchvision_name(name: str) -> None:
    """Raise NetworkError unless torchvision has a classification network of this name."""
    import difflib

    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        near = difflib.get_close_matches(name, [*known, "small"], n=3, cutoff=0.4)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise NetworkError(
            f"no network is called {name!r}.{hint} Known are `small` and torchvision's {len(known)} "
            "classification networks, such as resnet18, resnet50, mobilenet_v2."
        )
