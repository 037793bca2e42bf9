"""Opening image files with Pillow: whatever is wrong with one becomes one error with the reason."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rescale_fast.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

# Not all that Pillow opens: some of its formats start other programs, or are no images. MPO comes with JPEG: naming
# it here raises KeyError for every file that is no JPEG.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "TGA", "ICO")
SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif", "JPEG2000": "jp2"}
MAX_PIXELS = 178_956_970  # of an image; more is called a decompression bomb by Pillow, too
MAX_BYTES = 1 << 29  # of a file, as csrc/image/image_file.cpp has it


@contextmanager
def open_image(path: Path) -> Iterator["Image.Image"]:
    """Open an image file. What is done with the image inside the `with` may fail for the file's sake, too.

    Raises: ImageError with the reason, for whatever opening, decoding or converting it raises.
    """
    from PIL import Image

    with _blaming(path):
        _check_file(path)
        with Image.open(path, formats=FORMATS) as image:
            yield image


def image_kind(path: Path) -> str:
    """The usual suffix of an image's format, by its header, whatever its name. Raises: ImageError."""
    with open_image(path) as image:
        return SUFFIXES.get(image.format or "", (image.format or "").lower())


def image_bytes(path: Path) -> bytes:
    """The bytes of an image file. Raises: ImageError."""
    with _blaming(path):
        _check_file(path)
        return path.read_bytes()


def name_as_text(name: str) -> str:
    """A file's name as files of text hold it: bytes of it that are no UTF-8 become escapes, such as \\xe9."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _check_file(path: Path) -> None:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for somebody to write
        raise ValueError("not a file")
    if found.st_size == 0:
        raise ValueError("empty: 0 bytes")
    if found.st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Pillow's decoders raise almost anything; it is this file that is bad
        raise ImageError(path, _reason(error, path)) from error


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, MemoryError):
        return "too large for the memory of this machine"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = name_as_text(str(error).replace(str(path), path.name))
    if isinstance(error, (OSError, ValueError, SyntaxError)) and text:  # in words, as Pillow means them
        return text
    return f"{type(error).__name__}: {text}"
