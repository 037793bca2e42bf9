"""How images are stored: in betons and as files."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeAlias

from rescale_fast.settings import Between, OneOf, Settings

Store = Literal["auto", "passthrough", "resize", "raw"]
ResizeBy = Literal["short-side", "long-side", "cap"]
Form: TypeAlias = Annotated[str, OneOf("rescale_fast.export.files:FORMS")]
Link = Literal["copy", "hard", "symlink", "reflink"]
Scale = Literal["8/8", "7/8", "6/8", "5/8", "4/8", "3/8", "2/8", "1/8"]


@dataclass(frozen=True)
class ExportSettings(Settings):
    """Writing betons."""

    store: Store = "auto"
    """`passthrough` keeps the files' own JPEG bytes, and the pixels of small files that are no JPEGs (up to 64 KiB of
    pixels; larger ones become JPEGs); `resize` makes new JPEGs of another size; `raw` keeps pixels. `auto` is
    `passthrough`; where `run` goes on to a training, and the set is no published one, large images are decoded at
    1/8, 2/8 or 4/8 of their size if that leaves 8/7 of --train-size."""
    scale: Scale = "8/8"
    """With --store passthrough, have readers decode the same bytes at this part of their size, which costs less (4/8
    above all). It is then this for all images, whatever they are trained for."""
    resize_by: ResizeBy = "short-side"
    """With --store resize, `short-side` or `long-side` becomes --resize-side, small images grow; `cap` shrinks those
    whose longer side is above it, as max_resolution of FFCV's writer does."""
    resize_side: Annotated[int, Between(1, 65535)] = 256
    """With --store resize, the new size of that side, pixels."""
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
    index: bool = True
    """Store beside image and label a third field, `index`: the row that a sample has in image_subset.parquet,
    by which `check` names files. Without it betons have FFCV's usual two fields, and fit a loop
    `for images, labels in Loader(...)`."""

    @property
    def eighths(self) -> int:
        """The numerator of `scale`."""
        return int(self.scale[0])

    @property
    def mode(self) -> Literal["passthrough", "resize", "raw"]:
        """How images are stored, where no training is known that `auto` could go by."""
        return "passthrough" if self.store == "auto" else self.store

    def resolved(self) -> "ExportSettings":
        """The same, with what `auto` stands for."""
        return replace(self, store=self.mode)

    def check(self) -> None:
        """Raises: SettingError for what is of no use with this way of storing."""
        because = f"as --store is {self.store}"
        if self.store not in ("auto", "passthrough"):
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
