"""How images are stored in a beton."""

from dataclasses import dataclass
from typing import Literal

from rescale_fast.errors import SettingError

Store = Literal["passthrough", "resize", "raw"]
ResizeBy = Literal["short-side", "long-side", "cap"]
Form = Literal["folder", "webdataset", "parquet"]
Link = Literal["copy", "hard", "symlink", "reflink"]
Scale = Literal["8/8", "7/8", "6/8", "5/8", "4/8", "3/8", "2/8", "1/8"]


@dataclass(frozen=True)
class ExportSettings:
    """Writing betons."""

    store: Store = "passthrough"
    """`passthrough` keeps the files' own JPEG bytes, `resize` makes new JPEGs of another size, `raw` keeps pixels."""
    scale: Scale = "8/8"
    """passthrough: have readers decode the same bytes at this part of their size, which costs less (4/8 above all)."""
    resize_by: ResizeBy = "short-side"
    """resize: `short-side` or `long-side` becomes --resize-side, small images grow; `cap` shrinks those whose longer
    side is above it, as max_resolution of FFCV's writer does."""
    resize_side: int = 256
    """resize: pixels."""
    max_side: int = 1024
    """Longest side a reader sees, pixels; 0 = no limit. FFCV's loaders set memory aside for the largest image, many
    times over. passthrough keeps the bytes of larger images and has readers decode them at n/8 of their size; what
    is encoded or raw is shrunk."""
    quality: int = 90
    """JPEG quality of what is encoded, 1 to 100."""
    apply_exif: bool = False
    """Turn images upright as their EXIF data says; torchvision's ImageFolder does not."""
    on_bad: Literal["skip", "fail"] = "skip"
    """What to do about a file that cannot be read: leave it out and list it, or end with an error."""

    @property
    def eighths(self) -> int:
        """The numerator of `scale`."""
        return int(self.scale[0])

    def check(self) -> None:
        """Raises: SettingError for what no image could satisfy."""
        if not 1 <= self.quality <= 100:
            raise SettingError(f"--quality {self.quality}: expected 1 to 100.")
        if not 0 <= self.max_side <= 65535:
            raise SettingError(f"--max-side {self.max_side}: expected 0 (no limit) to 65,535 pixels.")
        if not 1 <= self.resize_side <= 65535:
            raise SettingError(f"--resize-side {self.resize_side}: expected 1 to 65,535 pixels.")
        if self.scale != "8/8" and self.store != "passthrough":
            raise SettingError(f"--scale {self.scale} needs --store passthrough, found --store {self.store}.")


@dataclass(frozen=True)
class FilesSettings:
    """Writing files that are not betons."""

    form: Form
    link: Link = "copy"  # folder: how files get there; `reflink` shares their blocks where the file system can
    on_bad: Literal["skip", "fail"] = "skip"
