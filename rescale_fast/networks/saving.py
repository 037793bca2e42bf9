"""Files of torch.save that are the same bytes whenever they hold the same values."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

from rescale_fast.artifact import write_whole


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state_dict, or mappings of several, whole or not at all, with all tensors on the CPU.

    Raises: OutputError when the file cannot be written.
    """
    import torch

    # From an open file: given a path, torch stores its name, which is temporary here.
    with write_whole(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(_on_cpu(state), file)
        except RuntimeError as error:  # torch hides what the file system said behind an error of its own
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def _on_cpu(value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        moved: Any = copy(value)  # keeps what a state_dict notes of its modules' versions
        for key, item in value.items():
            moved[key] = _on_cpu(item)
        return moved
    return type(value)(_on_cpu(item) for item in value) if isinstance(value, (list, tuple)) else value
