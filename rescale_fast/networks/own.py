"""Networks of one's own, by reference: `package.module:callable`, or `path/file.py:callable`.

Naming one runs its code, with all that the user may do, as `python file.py` would. The callable (a class, or a
function) is called with num_classes=K, or without arguments if it takes none of that name, and returns a
torch.nn.Module that gives (B, K) logits for (B, 3, S, S) images. What it was made from is the SHA-256 of its file; a
change in other files that this one imports goes unnoticed.
"""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rescale_fast.artifact import file_sha256, json_sha256
from rescale_fast.errors import NetworkError, UnknownNetworkError

if TYPE_CHECKING:
    from torch import nn

OF_LIBRARIES = ("timm:", "torchvision:")  # names with a colon that are no references
GIVEN = "python"  # where the networks are whose callables were passed themselves (given.py)
EXPECTED = "expected package.module:callable or path/file.py:callable"


@dataclass(frozen=True)
class OwnNetwork:
    """A callable that makes a network."""

    reference: str
    make: Callable[..., Any]
    digest: str  # SHA-256 of the file that it was read from

    def build(self, num_classes: int) -> "nn.Module":
        """Call it. Raises: UnknownNetworkError when it fails, or returns something else than a module."""
        from torch import nn

        asked = {"num_classes": num_classes} if _takes_num_classes(self.make) else {}
        try:
            network = self.make(**asked)
        except Exception as error:
            words = ", ".join(f"{name}={value}" for name, value in asked.items())
            raise UnknownNetworkError(f"{self.reference}: called with ({words}) it ends with {_told(error)}") from error
        if not isinstance(network, nn.Module):
            kind = type(network).__name__
            raise UnknownNetworkError(f"{self.reference}: gives an object of type {kind}, expected a torch.nn.Module.")
        return network


given: dict[str, OwnNetwork] = {}  # by name, while they are in use


def is_reference(name: str) -> bool:
    """Whether a network's name is a reference to somebody's code."""
    return ":" in name and not name.startswith(OF_LIBRARIES)


def short_name(name: str) -> str:
    """What folders and tables call a network: of a reference, the callable's name; any other as it is."""
    return name.rpartition(":")[2] if is_reference(name) else name


def code_digest(name: str | None) -> dict[str, str]:
    """{"network": SHA-256 of its file} of a reference, for the origin of what is made with it; {} of other names."""
    return {"network": find_own(name).digest} if name is not None and is_reference(name) else {}


def find_own(reference: str) -> OwnNetwork:
    """Run the file or import the module that a reference names, and take the callable.

    Raises: UnknownNetworkError saying what there is none of, or how the user's code ended.
    """
    place, _, attribute = reference.rpartition(":")
    if place == GIVEN and attribute in given:
        return given[attribute]
    if place.endswith(".py"):
        file = Path(place).expanduser()
        if not file.is_file():
            raise UnknownNetworkError(f"{reference}: no such file, {EXPECTED}.")
        module, digest = _run_file(reference, file.resolve(), file_sha256(file))
    else:
        module, digest = _import(reference, place)
    make = getattr(module, attribute, None)
    if make is None:
        there = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        names = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "")
        raise UnknownNetworkError(f"{reference}: {place} has no {attribute!r}. Callables in it: {names or 'none'}.")
    if not callable(make) or _is_module(make):
        kind = type(make).__name__
        what = "a class or function that makes a network, so that each training begins with a new one"
        raise UnknownNetworkError(f"{reference}: is an object of type {kind}, expected {what}.")
    return OwnNetwork(reference, make, digest)


def _is_module(value: object) -> bool:
    from torch import nn

    return isinstance(value, nn.Module)


def _run_file(reference: str, file: Path, digest: str) -> tuple[ModuleType, str]:
    """The module that a file is; run again when its content has changed."""
    name = f"own_{file.stem}_{json_sha256([str(file), digest])[:16]}"
    if name in sys.modules:
        return sys.modules[name], digest
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UnknownNetworkError(f"{reference}: Python cannot run {file}, {EXPECTED}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look there
    try:
        with _importable(file.parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UnknownNetworkError(f"{reference}: running that file ends with {_told(error)}") from error
    return module, digest


@cache
def _import(reference: str, place: str) -> tuple[ModuleType, str]:
    if not all(part.isidentifier() for part in place.split(".")):
        raise UnknownNetworkError(f"{reference}: {place!r} is no module and no .py file, {EXPECTED}.")
    try:
        with _importable(Path.cwd()):
            module = importlib.import_module(place)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{place}.".startswith(f"{error.name}."):
            raise UnknownNetworkError(f"{reference}: there is no module {error.name}, {EXPECTED}.") from error
        raise UnknownNetworkError(f"{reference}: importing {place} ends with {_told(error)}") from error
    if module.__file__ is None:
        raise UnknownNetworkError(f"{reference}: {place} is a folder without __init__.py, {EXPECTED}.")
    return module, file_sha256(Path(module.__file__))


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Have Python look for modules there, too, as it does for a program that it runs."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _takes_num_classes(make: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):  # of C, which says nothing of its arguments
        return True
    return "num_classes" in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def _told(error: BaseException) -> str:
    """An error of somebody's code, and the line it comes from."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = "" if isinstance(error, SyntaxError) else f" ({frame.filename}, line {frame.lineno})"
    return f"{type(error).__name__}: {error}{where}."


def num_outputs(name: str, network: "nn.Module", image_size: int) -> int:
    """How many logits a network gives for an image of that size, pixels.

    Raises: NetworkError when it fails on one; UnknownNetworkError when it gives something else than (B, K) logits.
    """
    import torch

    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    was_training = network.training
    try:
        with torch.inference_mode():
            logits = network.eval()(torch.zeros(1, 3, image_size, image_size, device=device))
    except Exception as error:
        raise NetworkError(f"{name}: on images of {image_size} px it ends with {_told(error)}") from error
    finally:
        network.train(was_training)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != 1:
        found = f"a tensor of shape {tuple(logits.shape)}" if isinstance(logits, torch.Tensor) else type(logits)
        raise UnknownNetworkError(f"{name}: gives {found} for one image, expected logits of shape (1, K).")
    return int(logits.shape[1])


def check_outputs(name: str, network: "nn.Module", num_classes: int, image_size: int) -> None:
    """Raise UnknownNetworkError unless a network gives so many logits; NetworkError as num_outputs."""
    check_number(name, num_outputs(name, network, image_size), num_classes)


def check_number(name: str, found: int, num_classes: int) -> None:
    """Raise UnknownNetworkError when these numbers of outputs and classes differ."""
    if found != num_classes:
        raise UnknownNetworkError(
            f"{name}: gives {found:,} outputs, and there are {num_classes:,} classes. A callable that takes "
            "num_classes is told how many."
        )
