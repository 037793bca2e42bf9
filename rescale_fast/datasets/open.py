"""Opens a data set of any kind: what other parts call."""

from collections.abc import Callable
from pathlib import Path

from rescale_fast.datasets import folder, glyphs, imagenet, places365
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import DatasetError
from rescale_fast.settings import Registry
from rescale_fast.types import Track, silent

LAYOUTS: Registry[Callable[[Path], Dataset]] = Registry(  # of what lies in a folder; glyphs are drawn
    {"folder": folder.open_folder, "imagenet": imagenet.open_imagenet, "places365": places365.open_places365}
)


def open_dataset(settings: DatasetSettings, *, track: Track = silent) -> Dataset:
    """List a data set's images. `glyphs` are drawn first, unless a finished copy is cached.

    Raises: DatasetError saying what was looked for, what was found and what to do.
    """
    if settings.dataset == "glyphs":
        return glyphs.open_glyphs(
            glyphs.GlyphSettings(
                classes=settings.glyph_classes,
                size=settings.glyph_size,
                train=settings.glyph_train,
                val=settings.glyph_val,
                seed=settings.glyph_seed,
            ),
            track=track,
        )
    assert settings.root is not None  # the settings have seen to it
    try:
        root = settings.root.expanduser().resolve()
    except RuntimeError as error:  # a link in a circle, or the home of nobody
        raise DatasetError(f"--root {settings.root}: no such folder ({error}).") from error
    return LAYOUTS[settings.dataset](root)
