"""Whether a beton can be read as it was asked for, found out before anything is decoded."""

from rescale_fast.beton.file import BetonFile
from rescale_fast.errors import SettingError
from rescale_fast.loaders.settings import LoaderSettings
from rescale_fast.machine import available_bytes

BATCHES_AHEAD = 3  # that FFCV makes while one is used


def check_memory(beton: BetonFile, image: int, settings: LoaderSettings) -> None:
    """Raise SettingError where FFCV would set more memory aside than there is.

    It does for the largest image, twice for what is made of it, and all this once for each image of several batches.
    """
    images = beton.records[f"f{image}"]
    width, height = int(images["width"].max()), int(images["height"].max())
    pixels = width * height + 2 * int(settings.image_size) ** 2
    needed, free = (BATCHES_AHEAD + 2) * int(settings.batch_size) * pixels * 3, available_bytes()
    if free is not None and needed > free:
        raise SettingError(
            f"{beton.path}: for batches of {settings.batch_size} images of up to {width} x {height} px, made "
            f"{settings.image_size} px large, FFCV would set aside {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are "
            "free. Use a smaller batch, or write the beton with a lower --max-side."
        )
