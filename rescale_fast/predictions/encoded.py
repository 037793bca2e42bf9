"""The files' own bytes, and which of them every decoder reads alike.

Where the operating system does not give a file (it is missing for a moment, a server is away, too many files are open),
that says nothing about the image: it is asked for again, and if it stays so, the work ends instead of going on without
the image. Reading is done in C++ (csrc/image/encoded_image.cpp) without the interpreter's lock.
"""

import errno
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rescale_fast import _core
from rescale_fast.errors import DatasetError

WAITS = (0.1, 0.5, 2.0, 8.0)  # seconds before a file is asked for again
LASTING = {errno.EISDIR, errno.EFBIG}  # facts about what lies there, which waiting does not change


class EncodedImage(NamedTuple):
    """An image file's bytes."""

    data: NDArray[np.uint8]
    error: int  # of LASTING; 0 when the bytes are there
    is_plain: bool  # 8-bit grey or RGB JPEG or PNG, complete as far as the header tells: decoders agree on its pixels
    width: int  # pixels; 0 unless plain
    height: int


def read_encoded(paths: Sequence[str], *, wait: Callable[[float], Any] = time.sleep) -> list[EncodedImage]:
    """Read these files, one after another, with patience.

    Raises: DatasetError for a file that the operating system still refuses after the last of WAITS.
    """
    found = _read(paths)
    for seconds in WAITS:
        again = [i for i, one in enumerate(found) if _is_refused(one)]
        if not again:
            break
        wait(seconds)
        for i, one in zip(again, _read([paths[i] for i in again]), strict=True):
            found[i] = one
    for path, one in zip(paths, found, strict=True):
        if _is_refused(one):
            raise _unavailable(path, one.error)
    return found


def _unavailable(path: str, error: int) -> DatasetError:
    return DatasetError(
        f"{path}: {os.strerror(error)} ({errno.errorcode.get(error, error)}), also when asked {len(WAITS)} more times. "
        "What is finished is kept, and this image is not taken for a damaged one: when it can be read again, the same "
        "command goes on. If it is gone for good, take it out of the data set (the link to it, or its line in a list)."
    )


def why_not(image: EncodedImage) -> str:
    """Why there are no bytes to decode; empty when there are."""
    if image.error:
        return os.strerror(image.error)
    return "" if len(image.data) else "0 bytes: empty, or no file"


def _read(paths: Sequence[str]) -> list[EncodedImage]:
    names = b"\0".join(os.fsencode(path) for path in paths)
    return [EncodedImage(*one) for one in _core.read_encoded_images(names, count=len(paths))]


def _is_refused(image: EncodedImage) -> bool:
    return image.error != 0 and image.error not in LASTING
