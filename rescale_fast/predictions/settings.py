"""How the validation images are read and looked at."""

import math
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from rescale_fast.errors import SettingError
from rescale_fast.settings import Between, OneOf, Settings

Loader: TypeAlias = Annotated[str, OneOf("rescale_fast.predictions.validate:LOADERS")]

CHUNK_SIZE = 1024  # images: the unit of finished work, one parquet part


@dataclass(frozen=True)
class ValidateSettings(Settings):
    """Reading and looking at the validation images."""

    loader: Loader = "dali"
    """What decodes and resizes images. `torchvision` is the slower reference that `dali` is compared with."""
    batch_size: Annotated[int, Between(0, CHUNK_SIZE)] = 0
    """Validation images in a batch, a divisor of 1,024; 0 = 256 on a GPU, 64 on the CPU."""
    max_unreadable: Annotated[float, Between(0, 1)] = 0.01
    """Stop when more than this share of the images cannot be read (rounded up, so one image may be lost; 0 = none)."""

    def check(self) -> None:
        """Raises: SettingError for a batch size that does not divide a chunk."""
        if self.batch_size and CHUNK_SIZE % self.batch_size:
            raise SettingError(f"--batch-size {self.batch_size}: expected a divisor of {CHUNK_SIZE:,}, such as 64.")

    def allowed_unreadable(self, num_images: int) -> int:
        """How many of so many images may be lost: rounded up, so that one of a few does not end the work."""
        return math.ceil(self.max_unreadable * num_images)
