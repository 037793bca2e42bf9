"""Packages that only some commands need. `pip install rescale-fast` leaves them out; extras bring them."""

from collections.abc import Sequence
from importlib.util import find_spec

from rescale_fast.errors import SettingError

EXTRAS = {  # as in pyproject.toml, by the names of modules; a test compares them
    "validate": ("torch", "torchvision", "nvidia.dali", "timm", "safetensors"),
    "train": ("torch", "torchvision", "ffcv", "timm", "safetensors", "matplotlib"),
    "images": ("cleanlab", "imagehash"),
    "report": ("matplotlib", "scipy"),
    "tensorboard": ("tensorboard",),
}
LOADED_BY = {"ffcv": "ffcv", "dali": "nvidia.dali", "torchvision": "torchvision"}  # of loaders of images and of betons


class MissingPackageError(SettingError):
    """A package is needed that an extra brings, which is not installed. Wrong usage: exit code 2."""


def need_to_load(what_for: str, loader: str) -> None:
    """Raise MissingPackageError without torch, or what a loader takes that is called so."""
    need(what_for, "torch", *([LOADED_BY[loader]] if loader in LOADED_BY else []))


def need(what_for: str, *modules: str) -> None:
    """Raise MissingPackageError unless these modules can be imported. `what_for` is the option or the work."""
    missing = [module for module in modules if not is_installed(module)]
    if missing:
        raise MissingPackageError(_told(what_for, *missing))


def is_installed(module: str) -> bool:
    """Whether a module is there; it is not imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is not
        return False


def explain(error: ModuleNotFoundError) -> str | None:
    """What to say of an import that failed, if an extra would help."""
    name = "nvidia.dali" if error.name == "nvidia" else error.name or ""
    for module in {module for modules in EXTRAS.values() for module in modules}:
        if f"{name}.".startswith(f"{module}."):
            return _told("this", module)
    return None


def _told(what_for: str, *modules: str) -> str:
    extras = _that_bring(modules)
    packages = " and ".join(modules)
    return (
        f"{what_for}: needs {packages}, which {'is' if len(modules) == 1 else 'are'} not installed. "
        f"`pip install 'rescale-fast[{extras}]'` does that; in a copy of its source, `pip install '.[{extras}]'`."
    )


def _that_bring(modules: Sequence[str]) -> str:
    """The smallest extra that brings all of them, else those that bring one each, as pip takes them."""
    by_size = sorted(EXTRAS, key=lambda extra: len(EXTRAS[extra]))
    for extra in by_size:
        if set(modules) <= set(EXTRAS[extra]):
            return extra
    each = (next(extra for extra in by_size if module in EXTRAS[extra]) for module in modules)
    return ",".join(dict.fromkeys(each))
