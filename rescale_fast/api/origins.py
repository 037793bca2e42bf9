"""What the functions were given: whether it is of the right kind, and its digests, for origins."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rescale_fast.artifact import Artifact, to_json
from rescale_fast.errors import SettingError
from rescale_fast.predictions.several import check_alike
from rescale_fast.predictions.types import Predictions
from rescale_fast.types import IntArray

if TYPE_CHECKING:
    from torch import nn


def expect(what: str, value: object, *kinds: type) -> None:
    """Raise SettingError unless an argument is of one of these types."""
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise SettingError(f"{what}: is an object of type {type(value).__name__}, expected {wanted}.")


def whole_numbers(what: str, values: ArrayLike, num_dimensions: int) -> IntArray:
    """(N,) or (N, g) int64 of what is like it. Raises: SettingError for another shape, and other numbers."""
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise SettingError(f"{what}: {error}") from error
    if found.ndim != num_dimensions or found.dtype.kind not in "iu":
        shape = "(N,)" if num_dimensions == 1 else "(N, g)"
        raise SettingError(
            f"{what}: is an array of {found.dtype}, shape {found.shape}; expected {shape} whole numbers."
        )
    return np.ascontiguousarray(found, np.int64)


def content_digest(artifact: Artifact) -> str:
    """SHA-256, hex, of what an artifact says, wherever it came from, and whatever more is known of it: all its fields
    but its origin and its facts.
    """
    digest = hashlib.sha256(artifact.schema.encode())
    for field in fields(artifact):
        if field.name not in ("origin", "facts"):
            _add(digest, field.name, getattr(artifact, field.name))
    return digest.hexdigest()


def alike(networks: Sequence[Predictions]) -> Iterator[Predictions]:
    """Pass on several networks' predictions. Raises: ArtifactError for those of other images or classes."""
    return check_alike(networks, [f"predictions[{i}]" for i in range(len(networks))])


def network_digests(networks: Sequence[Predictions]) -> dict[str, str]:
    """The content_digest of each, as origins name them.

    Raises: SettingError for predictions that are there twice, and for what is none.
    """
    for place, one in enumerate(networks):
        expect(f"predictions[{place}]", one, Predictions)
    found = [content_digest(one) for one in networks]
    if len(set(found)) < len(found):
        raise SettingError("predictions: the same are there twice. Pass those of different networks.")
    if len(found) == 1:
        return {"predictions": found[0]}
    return {f"predictions {number}": one for number, one in enumerate(found, 1)}


def array_digest(array: "np.ndarray[Any, Any]") -> str:
    """SHA-256, hex, of an array's type, shape and values."""
    digest = hashlib.sha256()
    _add(digest, "", array)
    return digest.hexdigest()


def weights_digest(network: "nn.Module") -> str:
    """SHA-256, hex, of a network's parameters and buffers, by name. Not of its code."""
    import torch

    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        _add(digest, name, value)
    return digest.hexdigest()


def _add(digest: Any, name: str, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"\0{name}\0{value.dtype.str}\0{value.shape}\0".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif is_dataclass(value):
        for field in fields(value):
            _add(digest, f"{name}.{field.name}", getattr(value, field.name))
    else:
        text = json.dumps(to_json(_plain(value)), sort_keys=True)
        digest.update(f"\0{name}\0{text}".encode())


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
