"""Whether a beton can be read as it was asked for, found out before anything is decoded."""

import numpy as np

from rescale_fast.beton.file import JPEG_MODE, BetonFile, Records
from rescale_fast.errors import SettingError
from rescale_fast.loaders.settings import LoaderSettings
from rescale_fast.machine import available_bytes

BATCHES_AHEAD = 3  # that FFCV makes while one is used


def largest_image(images: Records) -> int:
    """Pixels of the largest of these JPEGs, which each thread decodes them into; of raw images there are none."""
    pixels = images["width"].astype(np.int64) * images["height"]
    return int(pixels.max(initial=0, where=images["mode"] == JPEG_MODE))


def memory_needed(largest: int, *, batch_size: int, image_size: int, num_workers: int) -> int:
    """Bytes for each image of several batches, and in each thread for the largest image, and for one made of it."""
    made = image_size**2
    return 3 * ((BATCHES_AHEAD + 2) * batch_size * made + num_workers * (largest + made))


def check_memory(beton: BetonFile, image: int, settings: LoaderSettings) -> None:
    """Raise SettingError where more memory would be set aside than there is."""
    size = {"batch_size": int(settings.batch_size), "image_size": int(settings.image_size)}
    largest = largest_image(beton.records[f"f{image}"])
    needed, free = memory_needed(largest, **size, num_workers=int(settings.num_workers)), available_bytes()
    if free is not None and needed > free:
        raise SettingError(
            f"{beton.path}: for batches of {settings.batch_size} images, made {settings.image_size} px large by "
            f"{settings.num_workers} threads, FFCV would set aside {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are "
            "free. Use a smaller batch, or fewer threads."
        )
