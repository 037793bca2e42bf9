"""How images are down-sampled."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from rescale_fast.errors import SettingError
from rescale_fast.settings import Between, OneOf, Seed, Settings

Fit = Literal["stretch", "letterbox", "fill"]
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Colours = Literal["sRGB", "grey"]
VariantForm: TypeAlias = Annotated[str, OneOf("rescale_fast.small.write:FORMS")]


@dataclass(frozen=True)
class DownsampleSettings(Settings):
    """Down-sampling: every image at one small size."""

    side: Annotated[int, Between(1, 1024)] = 32
    """Side of the images, pixels; 8, 16, 32 and 64 are usual."""
    fit: Fit = "stretch"
    """How images get square: `stretch` them (as Chrabaszcz et al. 2017), `letterbox` on black, or `fill` it and cut off
    the rest."""
    filter: Filter = "box"
    """Filter of the resizing, by its name in Pillow."""
    colours: Colours = "sRGB"
    """Colours of the small images; `grey` is luma as Pillow's convert("L") has it."""
    decode: Literal["exact", "fast"] = "exact"
    """How JPEGs are decoded. `exact`: every pixel as Pillow gives it. `fast`: at a scale just above the
    target; pixels differ by about a grey level."""
    seed: Seed = 0
    """Seed of the order of the training images."""

    @property
    def channels(self) -> int:
        return 1 if self.colours == "grey" else 3

    @property
    def values(self) -> int:
        """Of an image, bytes."""
        return self.channels * self.side**2

    def name(self, dataset: str, num_classes: int) -> str:
        """What a set is called, such as imagenet-32x32-sRGB-box-1000."""
        ways = [self.filter, *([self.fit] * (self.fit != "stretch")), *(["fast"] * (self.decode == "fast"))]
        return f"{dataset}-{self.side}x{self.side}-{self.colours}-{'-'.join(ways)}-{num_classes}"

    def check(self) -> None:
        """Raises: SettingError for a filter that cannot be had that way."""
        if self.decode == "fast" and self.filter == "nearest":
            raise SettingError("--decode fast gives averages of pixels, and --filter nearest wants single ones.")
