"""The files that the C++ core does not decode: other formats, CMYK, 12 bits. Pillow does."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from rescale_fast.errors import ImageError
from rescale_fast.image_file import open_content


def load_pixels(path: Path, content: bytes, max_pixels: int, *, apply_exif: bool) -> NDArray[np.uint8] | str:
    """The image in a file's bytes as (height, width, 3) RGB, or why there is none. 16-bit grey is scaled to 8."""
    try:
        with open_content(path, content) as image:
            if image.width * image.height > max_pixels:
                return f"{image.width} x {image.height} pixels: more than the limit of {max_pixels}"
            if apply_exif:
                ImageOps.exif_transpose(image, in_place=True)
            if image.mode == "I" or image.mode.startswith("I;16"):
                # Pillow itself would cut everything above 255, and give a white image.
                grey = np.clip(np.asarray(image).astype(np.int64) // 257, 0, 255).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, axis=2)
            return np.asarray(image.convert("RGB"))
    except ImageError as error:
        return error.reason
