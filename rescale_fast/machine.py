"""What the work runs on: cores and GPUs."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rescale_fast.errors import SettingError
from rescale_fast.ranks import this_rank
from rescale_fast.settings import NumThreads, Settings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MachineSettings(Settings):
    """What the work runs on."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks run; `auto` takes a GPU if there is one, and under torchrun one for each rank."""
    num_threads: NumThreads = 0
    """Threads for decoding, counting and loading; 0 = all cores, shared out between torchrun's ranks."""

    @property
    def threads(self) -> int:
        """The number of threads to start: what was asked for, or this rank's share of the cores it may use."""
        cores = len(os.sched_getaffinity(0))
        return self.num_threads if self.num_threads > 0 else max(1, cores // this_rank().local_count)

    def check_device(self) -> None:
        """Raise SettingError when the device that is asked for is not there; quick where any would do."""
        if self.device == "cuda" or this_rank().local_count > 1:
            self.torch_device()

    def torch_device(self) -> "torch.device":
        """Raises: SettingError when a GPU is asked for that torch cannot use, or there are more ranks than GPUs."""
        import torch

        found, ranks = torch.cuda.device_count() if torch.cuda.is_available() else 0, this_rank()
        if self.device == "cuda" and not found:
            raise SettingError("--device cuda: torch finds no usable GPU here. Check nvidia-smi, or pass --device cpu.")
        if not found or self.device == "cpu":
            return torch.device("cpu")
        if ranks.local_count > found:
            raise SettingError(
                f"{ranks.local_count} ranks on this machine, but {found} GPUs: each rank needs one of its own. "
                f"Start torchrun with --nproc-per-node {found}, or pass --device cpu."
            )
        return torch.device("cuda", ranks.local_rank)


def available_bytes() -> int | None:
    """The memory that can be had without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
