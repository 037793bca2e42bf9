"""Checkpoints people have: plain or among what else a training stored, pickled or safetensors."""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import URLError

from rescale_fast.errors import NetworkError
from rescale_fast.networks.pickles import load_pickled

# Where weights are kept. Moving averages come first, as in timm: they are what their trainings were judged by.
AVERAGED = ("state_dict_ema", "model_ema")  # timm's and torchvision's names
PLAIN = ("state_dict", "model", "model_state_dict", "model_state", "net")
SAVE_AGAIN = "torch.save(network.state_dict(), FILE)"


@dataclass(frozen=True)
class Checkpoint:
    """Weights as a file holds them."""

    weights: dict[str, Any]  # name -> tensor on the CPU
    note: str = ""  # for people: which were taken, where there are several


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a state_dict, plain or among what else a training stored, pickled (by Python 2 and old torch, too) or
    safetensors. Of a moving average and plain weights side by side the average is taken, and noted.

    Raises: NetworkError when the file is no checkpoint, or holds a whole network instead of its weights, or a part.
    """
    if re.search(r"-\d{5}-of-\d{5}\b|\.index\.json$", path.name):
        raise NetworkError(
            f"{path}: is one of several files that hold weights together. Save them as one: {SAVE_AGAIN}."
        )
    try:
        stored = _load(path)
    except Exception as error:  # the unpickler raises many kinds on bytes that are no checkpoint
        raise NetworkError(
            f"{path}: not a checkpoint that can be read safely ({_reason(error)}). "
            f"Expected a state_dict saved by {SAVE_AGAIN}, or a .safetensors file."
        ) from error
    return find_weights(stored, str(path))


def _load(path: Path) -> object:
    with path.open("rb") as file:
        if not _is_safetensors(file):
            return load_pickled(file)
    from safetensors.torch import load_file

    return load_file(path)


def _is_safetensors(file: BinaryIO) -> bool:
    """Whether a file begins as safetensors do, whatever it is called: with the length of a JSON object, and that."""
    head = file.read(9)
    size = file.seek(0, 2)
    file.seek(0)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= size


def _reason(error: Exception) -> str:
    """What is wrong, out of what torch says of it at length."""
    text = str(error).strip()
    if "TorchScript" in text:
        return (
            "it is a TorchScript archive, a program with its weights; take those by torch.jit.load(FILE).state_dict()"
        )
    if "Only persistent_load of storage" in text:
        return "a whole network was pickled, with its source code, instead of its weights"
    if "Unsupported operand" in text:
        return "it was pickled by Python alone, not by torch.save"
    if re.search(r"not in a subdirectory: \S+\.npy", text):
        return "it is an .npz of NumPy arrays; save them as tensors"
    found = re.search(r"WeightsUnpickler error:\s*(.+)", text)
    return found[1] if found else next(iter(text.splitlines()), type(error).__name__)


def find_weights(stored: object, source: str) -> Checkpoint:
    """Find the weights in what a checkpoint holds.

    Raises: NetworkError when there are none, or several and no telling which are meant.
    """
    if _are_weights(stored):
        return Checkpoint(_by_name(stored))
    for level in (stored, *_values(stored, PLAIN)):  # wrapped once, or twice
        sets = {str(key): value for key, value in _items(level) if _are_weights(value)}
        names = [name for name in (*AVERAGED, *PLAIN) if name in sets] or list(sets)
        if names and (len(sets) == 1 or names[0] in (*AVERAGED, *PLAIN)):
            return Checkpoint(_by_name(sets[names[0]]), _note(names[0], sets))
        if names:
            raise NetworkError(
                f"{source}: holds several sets of weights ({', '.join(map(repr, names))}). Save the one meant by "
                f"{SAVE_AGAIN}."
            )
    raise _no_weights(stored, source)


def _are_weights(value: object) -> bool:
    import torch

    items = _items(value)
    return bool(items) and all(isinstance(item, torch.Tensor) for _, item in items)


def _items(value: object) -> list[tuple[object, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []


def _values(stored: object, keys: tuple[str, ...]) -> list[object]:
    return [stored[key] for key in keys if isinstance(stored, Mapping) and key in stored]


def _by_name(weights: Any) -> dict[str, Any]:
    return {str(key): value for key, value in weights.items()}


def _note(taken: str, sets: Mapping[str, Any]) -> str:
    others = [name for name in sets if name != taken]
    average = ", the moving average," if taken in AVERAGED else ""
    return f"{taken} is taken{average or ','} not {', '.join(others)}" if others else ""


def _no_weights(stored: object, source: str) -> NetworkError:
    import torch

    kept = _values(stored, (*AVERAGED, *PLAIN))
    for one in (stored, *kept):
        if hasattr(one, "stands_for"):
            return NetworkError(
                f"{source}: holds a whole network, a pickled {one.stands_for!r}, whose code is not run here. Save its "
                f"weights where it was made: {SAVE_AGAIN}."
            )
    for one in (stored, *kept):
        tensors = [isinstance(value, torch.Tensor) for _, value in _items(one)]
        if any(tensors):
            key, value = _items(one)[tensors.index(False)]
            return NetworkError(f"{source}: {str(key)!r} among its weights is a {type(value).__name__}, not a tensor.")
    for one in (stored, *kept):
        values = [value for _, value in _items(one)]
        if values and all("multiarray._reconstruct" in getattr(value, "stands_for", "") for value in values):
            return NetworkError(
                f"{source}: holds {len(values):,} NumPy arrays, expected tensors. Make tensors of them and save these: "
                "torch.save({name: torch.as_tensor(array) for name, array in arrays.items()}, FILE)."
            )
    return NetworkError(f"{source}: holds no state_dict (a mapping of names to tensors).")


def download(url: str) -> Checkpoint:
    """Download weights once, into torch.hub's cache.

    Raises: NetworkError when they cannot be had, or are damaged.
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
