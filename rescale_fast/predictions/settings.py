"""How the validation images are read and looked at."""

from dataclasses import dataclass
from typing import Literal

Loader = Literal["dali", "torchvision"]

CHUNK_SIZE = 1024  # images: the unit of finished work, one parquet part


@dataclass(frozen=True)
class ValidateSettings:
    """Reading and looking at the validation images."""

    loader: Loader = "dali"
    """What decodes and resizes. `torchvision` is the slower reference that `dali` is held to."""
    batch_size: int = 0
    """Validation images a step, a divisor of 1,024; 0 = 256 on a GPU, 64 on the CPU."""
