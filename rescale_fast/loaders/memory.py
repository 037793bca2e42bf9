"""The memory that FFCV sets aside for its batches, and whether the machine has it."""

from pathlib import Path

from rescale_fast.beton_file import BetonFile
from rescale_fast.errors import SettingError

BATCHES_AHEAD = 3


def check_memory(beton: BetonFile, batch_size: int) -> None:
    """FFCV sets memory aside for the largest image, once for each image of several batches."""
    images = beton.records[f"f{[field.name for field in beton.fields].index('image')}"]
    width, height = int(images["width"].max()), int(images["height"].max())
    needed, free = (BATCHES_AHEAD + 2) * batch_size * width * height * 3, available_bytes()
    if free is not None and needed > free:
        raise SettingError(
            f"{beton.path}: for batches of {batch_size} images of up to {width} x {height} px FFCV would set aside "
            f"{needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free. Use a smaller batch, or write the beton with "
            "a lower --max-side."
        )


def available_bytes() -> int | None:
    """The memory that can be had without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
