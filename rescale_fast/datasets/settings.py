"""Which data set: settings of the first stage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["glyphs", "folder", "imagenet", "places365"]


@dataclass(frozen=True)
class DatasetSettings:
    """The images to start from."""

    dataset: Kind = "glyphs"
    """What kind of data set. `glyphs` is built in: letters drawn as JPEGs, nothing to download."""
    root: Path | None = None
    """Its folder, as it was unpacked: train/<class>/* and val/<class>/* (train may be missing), or another common
    layout (README.md lists them). Not used by `glyphs`."""
    glyph_classes: int = 120
    """glyphs: number of classes, 2 to 1,560."""
    glyph_size: int = 32
    """glyphs: side of an image, pixels."""
    glyph_train: int = 60
    """glyphs: training images a class."""
    glyph_val: int = 40
    """glyphs: validation images a class."""
    glyph_seed: int = 0
    """glyphs: the same seed draws the same bytes."""
