"""Checkpoints people have: plain, wrapped, prefixed, safetensors, of older versions; read safely, loaded strictly.

Only tensors are unpickled (weights_only).
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from rescale_fast.errors import NetworkError

if TYPE_CHECKING:
    from torch import nn

AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")  # heads of Inception and GoogLeNet that only training uses


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state_dict: plain, or under "state_dict" or "model", with or without `module.`; pickled or safetensors.

    Raises: NetworkError when the file is no checkpoint.
    """
    try:
        stored = _load(path)
    except Exception as error:  # the unpickler raises many kinds on bytes that are no checkpoint
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NetworkError(
            f"{path}: not a checkpoint that can be read safely ({first_line}). "
            "Expected a state_dict saved by torch.save(network.state_dict(), FILE), or a .safetensors file."
        ) from error
    return state_dict_of(stored, str(path))


def _load(path: Path) -> object:
    import torch

    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnicodeDecodeError:  # pickled by Python 2
        return torch.load(path, map_location="cpu", weights_only=True, encoding="latin1")


def state_dict_of(stored: object, source: str) -> dict[str, Any]:
    """Find the state_dict in what a checkpoint holds, without DataParallel's `module.` and compile's `_orig_mod.`."""
    import torch

    for key in ("state_dict", "model"):
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
    if not isinstance(stored, Mapping) or not all(isinstance(value, torch.Tensor) for value in stored.values()):
        raise NetworkError(f"{source}: holds no state_dict (a mapping of names to tensors).")
    return {_plain(str(key)): value for key, value in stored.items()}


def _plain(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in ("module", "_orig_mod"))


def load_weights(network: "nn.Module", weights: dict[str, Any], source: str, num_classes: int) -> None:
    """Load a state_dict strictly.

    Raises: NetworkError saying for how many classes the weights are, or which names or shapes do not fit.
    """
    own = network.state_dict()
    weights = _renamed(weights, own)
    if not set(own) & set(weights):
        raise NetworkError(
            f"{source}: none of its {len(weights)} tensors belongs to this network (first: "
            f"{next(iter(weights), 'none')!r}). Is --network NAME the network it was saved from?"
        )
    wrong = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    last = [key for key in wrong if own[key].shape[:1] == (num_classes,)]
    if wrong and wrong == last:
        raise NetworkError(
            f"{source}: these weights are for {weights[last[0]].shape[0]:,} classes, the data set has {num_classes:,}."
        )
    missing, unexpected = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
    if wrong or missing or unexpected:
        first = (wrong or missing or unexpected)[0]
        raise NetworkError(
            f"{source}: does not fit this network: {len(wrong)} tensors of another shape, {len(missing)} missing, "
            f"{len(unexpected)} unknown; first {first!r}. Is --network NAME the network it was saved from?"
        )
    network.load_state_dict(weights)


def _renamed(weights: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Weights under today's names: torchvision's DenseNets once had `norm.1` for `norm1`; without unused heads."""
    renamed = {}
    for key, value in weights.items():
        today = re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.", r"\1\2.", key)
        if today in own or not key.startswith(AUXILIARY):
            renamed[today if today in own else key] = value
    return renamed


def download(url: str) -> dict[str, Any]:
    """Download a state_dict once, into torch.hub's cache.

    Raises: NetworkError when it cannot be had, or is damaged.
    """
    from torch import hub

    path = Path(hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            hub.download_url_to_file(url, str(path))
        except (URLError, OSError, RuntimeError) as error:
            raise download_failed(url, error) from error
    try:
        return read_checkpoint(path)
    except NetworkError as error:
        raise NetworkError(f"{error} It was downloaded from {url}: delete it to have that done again.") from error


def download_failed(url: str, error: Exception) -> NetworkError:
    """The error for weights that cannot be downloaded."""
    from torch import hub

    if isinstance(error, pickle.UnpicklingError) or "hash" in str(error):
        return NetworkError(f"{url}: what came is damaged ({error}). Try again.")
    return NetworkError(
        f"{url}: cannot be downloaded ({error}). Download it on a machine that can and put it into "
        f"{Path(hub.get_dir()) / 'checkpoints'}, or pass it as --weights FILE."
    )
