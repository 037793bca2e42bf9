"""Pictures inside a page, so that it stands by itself."""

import base64
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rescale_fast.errors import ImageError
from rescale_fast.files.images import open_image, patiently

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Picture:
    """An image of the data set as a page shows it, with its path."""

    path: str
    uri: str | None  # None for one that is damaged, or gone
    mistaken: bool = False


def picture(root: Path, path: str, side: int, *, mistaken: bool = False) -> Picture:
    """The image at `path` below `root`, of at most `side` pixels. Raises: DatasetError, as thumbnail."""
    file = root / path
    return Picture(path, thumbnail(file, side // 2) if file.exists() else None, mistaken)


def thumbnail(path: Path, side: int) -> str | None:
    """A small JPEG as a data URI, of twice `side` pixels for sharp screens; None for a damaged image.

    Raises: DatasetError for a file that the operating system does not give.
    """
    try:
        picture = patiently(partial(_shrunk, path, 2 * side))
    except ImageError:  # listed among the skipped files; a page can do without its picture
        return None
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return data_uri(buffer.getvalue(), "jpeg")


def _shrunk(path: Path, side: int) -> "Image.Image":
    with open_image(path) as image:
        picture = image.convert("RGB")
        picture.thumbnail((side, side))
        return picture


def data_uri(content: bytes, kind: str) -> str:
    """An image's bytes as the `src` of an <img>."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
