"""Networks by name, or by a reference to one's own code, untrained, for any number of classes."""

import difflib
from typing import TYPE_CHECKING

from rescale_fast.errors import UnknownNetworkError
from rescale_fast.networks.own import find_own, is_reference

if TYPE_CHECKING:
    from torch import nn


TIMM = "timm:"


def build_network(name: str, num_classes: int) -> "nn.Module":
    """Build a network with `num_classes` outputs: `small` (ours), torchvision's NAME, timm:NAME, or a reference.

    Raises: UnknownNetworkError for an unknown name, listing the nearest ones, and as networks/own.py for a reference.
    """
    if is_reference(name):
        return find_own(name).build(num_classes)
    if name == "small":
        from rescale_fast.networks._small_net import SmallNet

        return SmallNet(num_classes)
    check_name(name)
    if name.startswith(TIMM):
        import timm

        from_timm: nn.Module = timm.create_model(name.removeprefix(TIMM), pretrained=False, num_classes=num_classes)
        return from_timm
    from torchvision import models

    # These two return auxiliary outputs in training unless told otherwise.
    extra = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **extra)
    return network


def check_name(name: str) -> None:
    """Raise UnknownNetworkError unless `build_network` knows the name. Takes no longer than an import."""
    if is_reference(name):
        find_own(name)
    elif name.startswith(TIMM):
        check_timm_name(name)
    elif name != "small":
        check_torchvision_name(name)


def check_torchvision_name(name: str) -> None:
    """Raise UnknownNetworkError unless torchvision has a classification network of this name."""
    from torchvision import models

    known: list[str] = models.list_models(module=models)
    if name not in known:
        raise UnknownNetworkError(
            f"no network is called {name!r}.{_nearest(name, [*known, 'small'])} Known are `small` (for glyphs), "
            f"torchvision's {len(known)} classification networks, such as resnet50 or mobilenet_v2, and timm:NAME."
        )


def check_timm_name(name: str) -> None:
    """Raise UnknownNetworkError unless timm is here and has a network of this name (`timm:NAME`, `timm:NAME.TAG`)."""
    try:
        import timm
    except ImportError as error:
        raise UnknownNetworkError(
            f"{name}: the package timm is not installed. `pip install timm` does that."
        ) from error
    bare, _, tag = name.removeprefix(TIMM).partition(".")
    if bare not in timm.list_models():
        raise UnknownNetworkError(f"timm has no network called {bare!r}.{_nearest(bare, timm.list_models())}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{bare}.*")]
    if tag and tag not in tags:
        raise UnknownNetworkError(f"timm's {bare} has no weights tagged {tag!r}, only: {', '.join(tags) or 'none'}.")


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f" Did you mean {', '.join(near)}?" if near else ""
