"""Pictures inside a page, so that it stands by itself."""

import base64
import io
from pathlib import Path


def thumbnail(path: Path, side: int) -> str | None:
    """A small JPEG as a data URI, of twice `side` pixels for sharp screens; None for a file that cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            picture = image.convert("RGB")
    except (OSError, ValueError):  # listed among the skipped files; a page can do without its picture
        return None
    picture.thumbnail((2 * side, 2 * side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return data_uri(buffer.getvalue(), "jpeg")


def data_uri(content: bytes, kind: str) -> str:
    """An image's bytes as the `src` of an <img>."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
