"""The files that the C++ core does not decode: other formats, CMYK, 12 bits. Pillow does."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

# Not all that Pillow opens: some of its formats start other programs, or are no images. MPO comes with JPEG: naming
# it here raises KeyError for every file that is no JPEG.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "TGA", "ICO")
SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif", "JPEG2000": "jp2"}


def load_pixels(path: Path, max_pixels: int, *, apply_exif: bool) -> NDArray[np.uint8] | str:
    """The image as (height, width, 3) RGB, or why it cannot be read. 16-bit grey is scaled to 8. Never raises."""
    try:
        with Image.open(path, formats=FORMATS) as opened:
            image: Image.Image = opened
            if image.width * image.height > max_pixels:
                return f"{image.width} x {image.height} pixels: more than the limit of {max_pixels}"
            if apply_exif:
                image = ImageOps.exif_transpose(image)
            if image.mode == "I" or image.mode.startswith("I;16"):
                # Pillow itself would cut everything above 255, and give a white image.
                grey = np.clip(np.asarray(image).astype(np.int64) // 257, 0, 255).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, axis=2)
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # whatever a decoder does, it is this file that is bad
        text = f"{type(error).__name__}: {error}".replace(str(path), path.name)
        return text


def image_kind(path: Path) -> str:
    """The usual suffix of an image's format, by its header. Raises: ValueError saying why it is no image."""
    try:
        if path.stat().st_size == 0:
            raise ValueError("empty: 0 bytes")
        with Image.open(path, formats=FORMATS) as image:
            return SUFFIXES.get(image.format or "", (image.format or "").lower())
    except ValueError:
        raise
    except OSError as error:
        raise ValueError(error.strerror or str(error).replace(str(path), path.name)) from error
