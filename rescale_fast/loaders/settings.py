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
    reuse_buffers: bool = False
    image_field: str | None = None
    label_field: str | None = None
    folds: tuple[int, ...] | None = None
    shuffle: bool | None = None
    drop_last: bool | None = None
    normalise: tuple[tuple[float, ...], ...] | None = None
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    index: bool = True
    epoch: Seed = 0  # the next one
    first_batch: Annotated[int, Between(0)] = 0  # of the next one

    @property
    def shuffles(self) -> bool:
        return self.split == "train" if self.shuffle is None else self.shuffle

    @property
    def drops_last(self) -> bool:
        return self.split == "train" if self.drop_last is None else self.drop_last

    def check(self) -> None:
        """Raises: SettingError for a rank or a fold that there is not, and for deviations that are not above 0."""
        if self.folds is not None and not (len(self.folds) == 2 and 0 <= self.folds[0] < self.folds[1] > 1):
            raise SettingError(
                f"--folds {self.folds}: expected a fold and how many there are, such as (0, 5) to (4, 5)."
            )
        if self.normalise is None:
            self.refuse("dtype", because="as images that are not normalised are uint8")
        elif not (
            list(map(len, self.normalise)) == [3, 3]
            and all(0 <= mean <= 1 for mean in self.normalise[0])
            and all(deviation > 0 for deviation in self.normalise[1])
        ):
            raise SettingError(
                f"--normalise {self.normalise}: expected mean and deviation of the three channels, of values from 0 to "
                "1, such as ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))."
            )
        if self.rank >= self.num_ranks:
            raise SettingError(
                f"--rank {self.rank}: expected 0 to {self.num_ranks - 1}, as --num-ranks is {self.num_ranks}."
            )
