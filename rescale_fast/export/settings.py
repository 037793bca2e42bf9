"""How images are stored in a beton."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExportSettings:
    """Writing betons."""

    max_side: int = 512
    """Images whose longer side is above this are shrunk to it, pixels; 0 = never."""
    quality: int = 90
    """JPEG quality in the beton, 1 to 100."""
