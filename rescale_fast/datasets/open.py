"""Opens a data set of any kind: the one door of this room."""

from rescale_fast.datasets import folder, glyphs, imagenet, places365
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import DatasetError, SettingError
from rescale_fast.types import Track, silent


def open_dataset(settings: DatasetSettings, *, track: Track = silent) -> Dataset:
    """List a data set's images. `glyphs` are drawn first, unless a finished copy is cached.

    Raises: SettingError when --root is missing or pointless; DatasetError saying what was looked for, what
        was found and what to do.
    """
    if settings.dataset == "glyphs":
        if settings.root is not None:
            raise SettingError(
                f"--root {settings.root}: `glyphs` are drawn into a cache and need no folder. "
                "For your own images pass --dataset folder as well."
            )
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
    if settings.root is None:
        raise SettingError(
            f"--dataset {settings.dataset} needs --root DIR, the folder that holds train/<class> and val/<class>."
        )
    openers = {
        "folder": folder.open_folder,
        "imagenet": imagenet.open_imagenet,
        "places365": places365.open_places365,
    }
    try:
        root = settings.root.expanduser().resolve()
    except RuntimeError as error:  # a link in a circle, or the home of nobody
        raise DatasetError(f"--root {settings.root}: no such folder ({error}).") from error
    return openers[settings.dataset](root)
