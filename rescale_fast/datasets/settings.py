"""Which data set: settings of the first stage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from rescale_fast.errors import SettingError
from rescale_fast.settings import Between, OneOf, Settings

Kind: TypeAlias = Literal["glyphs"] | Annotated[str, OneOf("rescale_fast.datasets.open:LAYOUTS")]


@dataclass(frozen=True)
class DatasetSettings(Settings):
    """The images to start from."""

    dataset: Kind = "glyphs"
    """Kind of data set. `glyphs` is built in: letters drawn as JPEGs, nothing to download."""
    root: Path | None = None
    """Folder of the data set, as it was unpacked: train/<class>/* and val/<class>/* (train may be missing), or another
    common layout (docs/data.md lists them). Not used by `glyphs`."""
    glyph_classes: Annotated[int, Between(2, 1560)] = 120
    """glyphs: number of classes."""
    glyph_size: Annotated[int, Between(8, 4096)] = 32
    """glyphs: side of an image, pixels."""
    glyph_train: Annotated[int, Between(0, 100_000)] = 60
    """glyphs: training images of each class."""
    glyph_val: Annotated[int, Between(1, 100_000)] = 40
    """glyphs: validation images of each class."""
    glyph_seed: Annotated[int, Between(0, 2**32 - 1)] = 0
    """glyphs: the same seed draws the same bytes."""

    def check(self) -> None:
        """Raises: SettingError when --root is missing or pointless, or `glyphs` are described that are not wanted."""
        if self.dataset == "glyphs":
            if self.root is not None:
                raise SettingError(
                    f"--root {self.root}: `glyphs` are drawn into a cache and need no folder. "
                    "For your own images pass --dataset folder as well."
                )
            return
        if self.root is None:
            raise SettingError(
                f"--dataset {self.dataset} needs --root DIR, the folder that holds train/<class> and val/<class>."
            )
        glyphs = ("glyph_classes", "glyph_size", "glyph_train", "glyph_val", "glyph_seed")
        self.refuse(*glyphs, because=f"as --dataset is {self.dataset}")
