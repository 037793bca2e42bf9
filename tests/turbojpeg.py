"""How FFCV decodes: libturbojpeg by the same call and flags, with one decoder for image after image, in one buffer."""

import ctypes

import numpy as np

FAST_DCT, NO_REALLOC, RGB = 2048, 1024, 0

library = ctypes.CDLL("libturbojpeg.so.0")
library.tjInitDecompress.restype = ctypes.c_void_p
library.tjDestroy.argtypes = [ctypes.c_void_p]
library.tjDecompress2.argtypes = [
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
    *[ctypes.c_int] * 5,
]


def served(payload, width, height, before, shade):
    """What a reader gets for this payload when it has just decoded another JPEG and its buffer holds this shade."""
    pixels = np.full((height, width, 3), shade, np.uint8)
    decoder = library.tjInitDecompress()
    other = np.empty((512, 512, 3), np.uint8)
    library.tjDecompress2(decoder, before, len(before), other.ctypes.data, 512, 0, 512, RGB, FAST_DCT | NO_REALLOC)
    library.tjDecompress2(
        decoder, payload, len(payload), pixels.ctypes.data, width, 0, height, RGB, FAST_DCT | NO_REALLOC
    )
    library.tjDestroy(decoder)
    return pixels
