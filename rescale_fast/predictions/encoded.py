"""The files' own bytes, and which of them every decoder reads alike.

Reading is done in C++ (csrc/image/encoded_image.cpp) without the interpreter's lock.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rescale_fast import _core
from rescale_fast.files.images import patiently


class EncodedImage(NamedTuple):
    """An image file's bytes."""

    data: NDArray[np.uint8]
    fault: str  # why there are no bytes to decode; empty when there are
    is_plain: bool  # 8-bit grey or RGB JPEG or PNG, complete as far as the header tells: decoders agree on its pixels
    width: int  # pixels; 0 unless plain
    height: int


def read_encoded(paths: Sequence[str], *, wait: Callable[[float], Any] = time.sleep) -> list[EncodedImage]:
    """Read these files, one after another, with patience.

    Raises: DatasetError for a file that the operating system does not give.
    """
    return read_refused(paths, read_at_once(paths), wait=wait)


def read_at_once(paths: Sequence[str]) -> list[EncodedImage | OSError]:
    """Read these files without waiting for those that the operating system does not give."""
    names = b"\0".join(os.fsencode(path) for path in paths)
    found = _core.read_encoded_images(names, count=len(paths))
    return [
        OSError(error, os.strerror(error), path) if error else EncodedImage(data, fault, is_plain, width, height)
        for path, (data, error, fault, is_plain, width, height) in zip(paths, found, strict=True)
    ]


def read_refused(
    paths: Sequence[str], found: Sequence[EncodedImage | OSError], *, wait: Callable[[float], Any] = time.sleep
) -> list[EncodedImage]:
    """Complete what read_at_once found, patiently. Raises: as read_encoded."""
    return [
        patiently(partial(_read, path), wait=wait) if isinstance(one, OSError) else one
        for path, one in zip(paths, found, strict=True)
    ]


def _read(path: str) -> EncodedImage:
    (one,) = read_at_once([path])
    if isinstance(one, OSError):
        raise one
    return one
