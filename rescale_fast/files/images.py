"""Image files: how they are read, and how Pillow opens them.

What is wrong with an image (a decoder's verdict, an empty file, a folder in its place) is an ImageError with the
reason, and the image is left out. Where the operating system does not give a file (it is missing for a moment, a server
is away, too many files are open), that says nothing about the image: it is an OSError, the file is asked for again, and
if it stays so, the work ends instead of going on without the image. csrc/image_file.cpp has the same rule.
"""

import errno
import io
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rescale_fast.errors import DatasetError, ImageError

if TYPE_CHECKING:
    from PIL import Image

# Not all that Pillow opens: some of its formats start other programs, or are no images. MPO comes with JPEG: naming
# it here raises KeyError for every file that is no JPEG.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "TGA", "ICO")
SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif", "JPEG2000": "jp2"}
MAX_PIXELS = 178_956_970  # of an image; more is called a decompression bomb by Pillow, too
MAX_BYTES = 1 << 29  # of a file, as csrc/image_file.cpp has it
WAITS = (0.1, 0.5, 2.0, 8.0)  # seconds before a file is asked for again

Asked = TypeVar("Asked")
Item = TypeVar("Item")


def patiently(ask: Callable[[], Asked], *, wait: Callable[[float], Any] = time.sleep) -> Asked:
    """Do what reads a file; where that raises OSError, do it again after each of WAITS.

    Call it on the main thread, so that Ctrl-C ends a pause. Raises: DatasetError naming the file, after the last time.
    """
    for seconds in WAITS:
        try:
            return ask()
        except OSError:
            wait(seconds)
    with naming_refused():
        return ask()


def patient_map(pool: Executor, read: Callable[[Item], Asked], items: Iterable[Item]) -> Iterator[Asked]:
    """As pool.map; what raises OSError in the pool is done again by the calling thread, patiently."""
    begun = [(item, pool.submit(read, item)) for item in items]
    for item, future in begun:
        try:
            found = future.result()
        except OSError:
            found = patiently(partial(read, item))
        yield found


@contextmanager
def naming_refused() -> Iterator[None]:
    """Turn an OSError that names a file into the DatasetError that ends the work."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        name, code = name_as_text(os.fsdecode(error.filename)), error.errno or 0
        cause = f"{os.strerror(code)} ({errno.errorcode.get(code, code)})"
        raise DatasetError(
            f"{name}: {cause}, also when asked {len(WAITS)} more times. What is finished is kept, and this "
            "image is not taken for a damaged one: when it can be read again, the same command goes on. If it is gone "
            "for good, take it out of the data set (the link to it, or its line in a list)."
        ) from error


@contextmanager
def open_image(path: Path) -> Iterator["Image.Image"]:
    """Open an image file. What is done with the image inside the `with` may fail for the file's sake, too.

    Raises: ImageError with the reason, for whatever opening, decoding or converting it raises; OSError naming it where
        the operating system does not give it.
    """
    with open_content(path, image_bytes(path)) as image:
        yield image


@contextmanager
def open_content(path: Path, content: bytes) -> Iterator["Image.Image"]:
    """As open_image, of bytes that were read before. path: whose they are."""
    from PIL import Image

    with _blaming(path), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        yield image


def load_pixels(path: Path, content: bytes, max_pixels: int, *, apply_exif: bool) -> NDArray[np.uint8] | str:
    """The image in a file's bytes as (height, width, 3) RGB, or why there is none. 16-bit grey is scaled to 8."""
    from PIL import ImageOps

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


def image_kind(path: Path) -> str:
    """The usual suffix of an image's format, by its header, whatever its name. Raises: as open_image."""
    from PIL import Image

    with _blaming(path):
        _check_file(path)
        with Image.open(path, formats=FORMATS) as image:
            return SUFFIXES.get(image.format or "", (image.format or "").lower())


def image_bytes(path: Path) -> bytes:
    """The bytes of an image file. Raises: as open_image."""
    with _blaming(path):
        size = _check_file(path)
        content = path.read_bytes()
        if len(content) < size:
            raise OSError(errno.EIO, "became shorter while it was read")
        return content


def name_as_text(name: str) -> str:
    """A file's name as files of text hold it: bytes of it that are no UTF-8 become escapes, such as \\xe9."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _check_file(path: Path) -> int:
    """The size of the file, bytes."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for somebody to write
        raise ValueError("not a file")
    if found.st_size == 0:
        raise ValueError("empty: 0 bytes")
    if found.st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
    return found.st_size


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Pillow's decoders raise almost anything; it is this file that is bad
        if isinstance(error, OSError) and error.errno not in (None, errno.ELOOP):  # a link to itself stays one
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise ImageError(path, _reason(error, path)) from error


def _reason(error: Exception, path: Path) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, MemoryError):
        return "too large for the memory of this machine"
    if isinstance(error, UnidentifiedImageError):
        return f"cannot identify image file {name_as_text(path.name)!r}"  # its own words are about our buffer
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = name_as_text(str(error).replace(str(path), path.name))
    if isinstance(error, (OSError, ValueError, SyntaxError)) and text:  # in words, as Pillow means them
        return text
    return f"{type(error).__name__}: {text}"
