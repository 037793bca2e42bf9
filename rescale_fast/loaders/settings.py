"""How a beton is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from rescale_fast.errors import SettingError
from rescale_fast.loaders.augment import Augment
from rescale_fast.settings import Between, OneOf, Seed, Settings

LoaderKind: TypeAlias = Annotated[str, OneOf("rescale_fast.loaders:LOADERS")]
COUNT, SIDE = Between(1, 2**31 - 1), Between(1, 65_535)


@dataclass(frozen=True)
class LoaderSettings(Settings):
    """What `beton_loader` was asked for; it says what each means."""

    path: Path | str
    split: Literal["train", "val"]
    batch_size: Annotated[int, COUNT]
    image_size: Annotated[int, SIDE]
    augment: Augment
    num_workers: Annotated[int, Between(0)]
    seed: Seed
    rank: Annotated[int, Between(0)]
    num_ranks: Annotated[int, COUNT]
    loader: LoaderKind
    reuse_buffers: bool
    epoch: Seed = 0  # the next one

    def check(self) -> None:
        if self.rank >= self.num_ranks:
            raise SettingError(
                f"--rank {self.rank}: expected 0 to {self.num_ranks - 1}, as --num-ranks is {self.num_ranks}."
            )
