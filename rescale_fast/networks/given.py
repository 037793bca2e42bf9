"""Networks of one's own, by the callable itself, as Python code passes it: it has a reference while it is in use.

What such a network was made from is the source of the callable and of the classes of its modules, its modules as torch
prints them, and the shapes of its weights: a notebook has no file whose digest would do.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rescale_fast.artifact import json_sha256
from rescale_fast.errors import SettingError, UnknownNetworkError
from rescale_fast.networks.own import GIVEN, OwnNetwork, given

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def named_network(network: "str | Callable[..., nn.Module] | None", num_classes: int) -> Iterator[str | None]:
    """The name of a network for settings: that of a callable is one while the block runs; others are as they are.

    Raises: SettingError for a network itself, or what is neither; UnknownNetworkError when the callable makes none.
    """
    if network is None or isinstance(network, str):
        yield network
        return
    own = _own(network, num_classes)
    name = own.reference.rpartition(":")[2]
    before = given.get(name)
    given[name] = own
    try:
        yield own.reference
    finally:
        del given[name]
        if before is not None:
            given[name] = before


def check_callable(network: object) -> None:
    """Raise SettingError unless this is a name, None, or a callable that may make a network."""
    if network is None or isinstance(network, str):
        return
    kind = type(network).__name__
    expected = "expected a name, or a class or function that makes an untrained network, such as"
    if not isinstance(network, type) and hasattr(network, "state_dict"):
        raise SettingError(
            f"network: is an object of type {kind}, a network itself; {expected} {kind}, so that each training begins "
            "with a new one."
        )
    if not callable(network):
        raise SettingError(f"network: is an object of type {kind}, {expected} lambda num_classes: MyNet(num_classes).")


def _own(make: Callable[..., Any], num_classes: int) -> OwnNetwork:
    import torch

    check_callable(make)
    inner = make
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = getattr(inner, "__name__", type(inner).__name__)
    with torch.random.fork_rng(devices=[]):
        network = OwnNetwork(name, make, "").build(num_classes)
    if not name.isidentifier():  # of a lambda
        name = type(network).__name__
    shapes = {key: list(value.shape) for key, value in network.state_dict().items() if isinstance(value, torch.Tensor)}
    sources = sorted({_source(name, one) for one in (inner, *(type(module) for module in network.modules()))})
    return OwnNetwork(f"{GIVEN}:{name}", make, json_sha256([sources, str(network), shapes]))


def _source(name: str, thing: Any) -> str:
    if not (inspect.isroutine(thing) or inspect.isclass(thing)):
        thing = type(thing)
    if str(thing.__module__).startswith("torch."):
        return f"{thing.__module__}.{thing.__qualname__}"
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError) as error:
        raise UnknownNetworkError(
            f"{name}: the source of {thing.__qualname__} cannot be read, by which a changed network is told from the "
            "one before. Write it into a file."
        ) from error
