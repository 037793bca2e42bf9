"""The "pre-trained network" for glyphs, which nobody can download: where it lies and how it wants its images.

It is trained by train/glyph_network.py.
"""

from pathlib import Path

from rescale_fast.cache import cache_folder
from rescale_fast.datasets.types import Dataset
from rescale_fast.files.images import open_image, patiently
from rescale_fast.networks.types import EvalTransform

RECIPE = "glyph-network/2"  # change it when its training changes, so that cached networks are trained anew
SIZE = 32  # pixels; larger glyphs are resized


def cached_file(dataset: Dataset) -> Path:
    """The checkpoint for a data set, named by its digest."""
    return cache_folder() / "networks" / f"{RECIPE.replace('/', '-')}-{dataset.digest[:24]}.pt"


def transform(dataset: Dataset) -> EvalTransform:
    """How the network wants its images: at 32 px, or as they are when they are smaller."""
    size = min(SIZE, *patiently(lambda: _size_of(dataset.root / dataset.splits["val"].paths[0])))
    return EvalTransform(resize=size, crop=size)


def _size_of(path: Path) -> tuple[int, int]:
    with open_image(path) as image:
        return image.size
