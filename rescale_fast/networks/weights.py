"""Weights into a network: under the names it has today, and strictly."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rescale_fast.errors import NetworkError

if TYPE_CHECKING:
    from torch import nn

AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")  # heads of Inception and GoogLeNet that only training uses
WRAPPERS = ("module", "_orig_mod")  # parts of names, of DataParallel and AveragedModel, and of torch.compile
COUNTER = "num_batches_tracked"  # batch norm has it since torch 0.4.1, and makes no use of it in evaluation
NOT_WEIGHTS = ("n_averaged",)  # AveragedModel's count of steps


def load_weights(network: "nn.Module", weights: Mapping[str, Any], source: str, num_classes: int) -> None:
    """Load a state_dict strictly, whatever wrapped the network when it was saved.

    Raises: NetworkError saying for how many classes the weights are, which names, shapes or types do not fit, or which
        tensor holds a value that is no number.
    """
    own = network.state_dict()
    weights = fit_names(weights, own)
    found = count_outputs(network, weights, num_classes)
    if found != num_classes:
        raise NetworkError(f"{source}: these weights are for {found:,} classes, the data set has {num_classes:,}.")
    _check_names(weights, own, source)
    for key, value in weights.items():
        _check_values(value, own[key], f"{source}: {key!r}")
    network.load_state_dict(own | weights)  # counters of its own, where the weights have none


def fit_names(weights: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Weights under the names of `own`, as far as a known wrapper or an older version is all that sets them apart."""
    return _fit(weights, own)[0]


def names_taken(weights: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Which of several networks' weights `fit_names` takes, in words; "" where there are no others."""
    return _fit(weights, own)[1]


def _fit(weights: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    plain = {key: value for key, value in weights.items() if key in own}
    wrapped = {_unwrapped(key): value for key, value in weights.items() if key not in own}
    note = ""
    if twice := plain.keys() & wrapped.keys():
        beginning = next(key for key in weights if key not in own and _unwrapped(key) in twice).partition(".")[0]
        note = f"tensors without {beginning!r} before their names are taken, not those with it"
    fitted = {key: value for key, value in (wrapped | plain).items() if key in own or key not in NOT_WEIGHTS}
    fitted, part = _without_common_prefix(fitted, own)
    fitted = {key if key in own else _of_today(key): value for key, value in fitted.items()}
    fitted = {key: value for key, value in fitted.items() if key in own or not key.startswith(AUXILIARY)}
    return fitted, note or part


def _unwrapped(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in WRAPPERS)


def _without_common_prefix(weights: dict[str, Any], own: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Without what all names begin with, such as Lightning's `model.`, if without it they are the network's; and which
    part is taken, where there are several."""
    stripped = weights
    while stripped and not any(_of_today(key) in own for key in stripped):
        prefix, dot, _ = next(iter(stripped)).partition(".")
        if not dot or not all(key.startswith(prefix + dot) for key in stripped):
            return _only_part(stripped, own) or (weights, "")
        stripped = {key.removeprefix(prefix + dot): value for key, value in stripped.items()}
    return stripped, ""


def _only_part(weights: dict[str, Any], own: Mapping[str, Any]) -> tuple[dict[str, Any], str] | None:
    """The one part, by what names begin with, that is a whole network: Lightning keeps losses beside it."""
    parts: dict[str, dict[str, Any]] = {}
    for key, value in weights.items():
        prefix, _, rest = key.partition(".")
        parts.setdefault(prefix, {})[_of_today(rest)] = value
    needed = {key for key in own if not key.endswith(COUNTER)}
    whole = [prefix for prefix, part in parts.items() if needed <= part.keys()]
    if len(whole) != 1:
        return None
    others = ", ".join(repr(prefix) for prefix in parts if prefix != whole[0])
    return parts[whole[0]], f"its part {whole[0]!r} is taken, not {others}"


def _of_today(key: str) -> str:
    """torchvision's DenseNets had `norm.1` for `norm1` until torch 0.4."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.", r"\1\2.", key)


def count_outputs(network: "nn.Module", weights: Mapping[str, Any], num_classes: int) -> int:
    """For how many classes weights are, given a network for num_classes: for that many, unless all that is different is
    the number of rows of its last layer."""
    own = network.state_dict()
    wrong = {key: weights[key].shape for key in own if key in weights and own[key].shape != weights[key].shape}
    are_rows = all(
        own[key].shape[:1] == (num_classes,) and own[key].shape[1:] == shape[1:] for key, shape in wrong.items()
    )
    found = {shape[0] for shape in wrong.values() if shape}
    return int(found.pop()) if are_rows and len(found) == 1 else num_classes


def _check_names(weights: Mapping[str, Any], own: Mapping[str, Any], source: str) -> None:
    asked = "Is --network NAME the network it was saved from?"
    if not own.keys() & weights.keys():
        raise NetworkError(
            f"{source}: none of its {len(weights)} tensors belongs to this network: their names begin with "
            f"{_beginnings(weights)}, the network's with {_beginnings(own)}. {asked}"
        )
    wrong = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    missing = sorted(key for key in own if key not in weights and not key.endswith(COUNTER))
    unexpected = sorted(set(weights) - set(own))
    if wrong or missing or unexpected:
        first = (wrong or missing or unexpected)[0]
        raise NetworkError(
            f"{source}: does not fit this network: {len(wrong)} tensors of another shape, {len(missing)} missing, "
            f"{len(unexpected)} unknown; first {first!r}. {asked}"
        )


def _beginnings(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(f"{name.partition('.')[0]!r}" for name in names))
    return ", ".join(found[:4]) + (", ..." if len(found) > 4 else "")


def _check_values(value: Any, own: Any, where: str) -> None:
    import torch

    is_plain = value.layout == torch.strided and value.device.type == "cpu"
    if not is_plain or value.is_floating_point() != own.is_floating_point():
        found = f"{value.dtype}, {value.layout}, {value.device}"
        raise NetworkError(f"{where} is a tensor of another type ({found}), expected {own.dtype}.")
    if value.is_floating_point() and not torch.isfinite(value.float()).all():
        raise NetworkError(
            f"{where} holds NaN or infinity: the file is damaged, or its training had diverged. Pass other weights."
        )
