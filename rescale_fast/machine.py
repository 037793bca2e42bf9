"""What the work runs on: cores and GPUs."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rescale_fast.errors import SettingError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MachineSettings:
    """What the work runs on."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks run; `auto` takes a GPU if there is one."""
    num_threads: int = 0
    """Threads for decoding, counting and loading; 0 = all cores."""

    @property
    def threads(self) -> int:
        """The number of threads to start: what was asked for, or the cores this process may use."""
        return self.num_threads if self.num_threads > 0 else len(os.sched_getaffinity(0))

    def torch_device(self) -> "torch.device":
        """Raises: SettingError when a GPU is asked for that torch cannot use."""
        import torch

        found = torch.cuda.is_available()
        if self.device == "cuda" and not found:
            raise SettingError("--device cuda: torch finds no usable GPU here. Check nvidia-smi, or pass --device cpu.")
        return torch.device("cuda" if found and self.device != "cpu" else "cpu")
