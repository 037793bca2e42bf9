"""How images are stored: in betons, as files, and down-sampled."""

from dataclasses import dataclass
from typing import Annotated, Literal

from rescale_fast.errors import SettingError
from rescale_fast.settings import Between, Seed, Settings

Store = Literal["passthrough", "resize", "raw"]
ResizeBy = Literal["short-side", "long-side", "cap"]
Form = Literal["folder", "webdataset", "parquet"]
Link = Literal["copy", "hard", "symlink", "reflink"]
Fit = Literal["stretch", "letterbox", "fill"]
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Colours = Literal["sRGB", "grey"]
VariantForm = Literal["batches", "npz", "beton"]
Scale = Literal["8/8", "7/8", "6/8", "5/8", "4/8", "3/8", "2/8", "1/8"]


@dataclass(frozen=True)
class ExportSettings(Settings):
    """Writing betons."""

    store: Store = "passthrough"
    """`passthrough` keeps the files' own JPEG bytes, `resize` makes new JPEGs of another size, `raw` keeps pixels."""
    scale: Scale = "8/8"
    """passthrough: have readers decode the same bytes at this part of their size, which costs less (4/8 above all)."""
    resize_by: ResizeBy = "short-side"
    """resize: `short-side` or `long-side` becomes --resize-side, small images grow; `cap` shrinks those whose longer
    side is above it, as max_resolution of FFCV's writer does."""
    resize_side: Annotated[int, Between(1, 65535)] = 256
    """resize: pixels."""
    max_side: Annotated[int, Between(0, 65535)] = 1024
    """Longest side a reader sees, pixels; 0 = no limit. FFCV's loaders set memory aside for the largest image, many
    times over. passthrough keeps the bytes of larger images and has readers decode them at n/8 of their size; what
    is encoded or raw is shrunk."""
    quality: Annotated[int, Between(1, 100)] = 90
    """JPEG quality of what is encoded."""
    apply_exif: bool = False
    """Turn images upright as their EXIF data says; torchvision's ImageFolder does not."""
    on_bad: Literal["skip", "fail"] = "skip"
    """What to do about a damaged image: leave it out and list it, or end with an error. A file that the operating
    system does not give is no damaged image: it is asked for again, and then ends the export."""

    @property
    def eighths(self) -> int:
        """The numerator of `scale`."""
        return int(self.scale[0])

    def check(self) -> None:
        """Raises: SettingError for what is of no use with this way of storing."""
        because = f"as --store is {self.store}"
        if self.store != "passthrough":
            self.refuse("scale", because=because)
        if self.store != "resize":
            self.refuse("resize_by", "resize_side", because=because)
        if self.store == "raw":
            self.refuse("quality", because=because)


@dataclass(frozen=True)
class FilesSettings(Settings):
    """Writing files that are not betons."""

    form: Form
    link: Link = "copy"  # folder: how files get there; `reflink` shares their blocks where the file system can
    on_bad: Literal["skip", "fail"] = "skip"

    def check(self) -> None:
        """Raises: SettingError for links where no files are placed."""
        if self.form != "folder":
            self.refuse("link", because=f"as --form is {self.form}")


@dataclass(frozen=True)
class DownsampleSettings(Settings):
    """Down-sampling: every image at one small size."""

    side: Annotated[int, Between(1, 1024)] = 32
    """Side of the images, pixels; 8, 16, 32 and 64 are usual."""
    fit: Fit = "stretch"
    """`stretch` to the square (as Chrabaszcz et al. 2017), `letterbox` on black, or `fill` it and cut off the rest."""
    filter: Filter = "box"
    """Pillow's filter of that name."""
    colours: Colours = "sRGB"
    """`grey` is luma as Pillow's convert("L") has it."""
    decode: Literal["exact", "fast"] = "exact"
    """`exact`: every pixel as Pillow gives it. `fast`: JPEGs are decoded at a scale just above the target, and pixels
    differ by about a grey level."""
    seed: Seed = 0
    """Of the order of the training images."""

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
