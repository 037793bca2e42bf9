"""How the validation images are read and looked at."""

from dataclasses import dataclass
from typing import Literal

CHUNK_SIZE = 1024  # images: the unit of finished work, one parquet part


@dataclass(frozen=True)
class ValidateSettings:
    """Reading and looking at the validation images."""

    loader: Literal["dali", "torchvision"] = "dali"
    """What decodes and resizes. `torchvision` is the slower reference that `dali` is held to."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs; `auto` takes a GPU if there is one."""
    batch_size: int = 64
    """Images a step; a divisor of 1,024."""
    num_threads: int = 0
    """Decoding threads (dali) or processes (torchvision); 0 = all cores."""
