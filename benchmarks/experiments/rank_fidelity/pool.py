"""The images: glyphs made hard, drawn once, kept in memory as one array that every training takes its images from."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rescale_fast.artifact import json_sha256, to_json, write_whole
from rescale_fast.cache import cache_folder
from rescale_fast.datasets.glyphs import characters, draw_glyph
from rescale_fast.types import IntArray


@dataclass(frozen=True)
class PoolSettings:
    """What is drawn."""

    classes: int = 365  # K, the first by code point
    size: int = 24  # pixels a side
    train: int = 30  # images a class
    val: int = 50
    noise: float = 0.0  # standard deviation, grey levels, on top of the glyphs' own
    seed: int = 0


@dataclass(frozen=True)
class Pool:
    """N = K (train + val) images: class after class, in each the training images first."""

    settings: PoolSettings
    images: NDArray[np.uint8]  # (N, size, size, 3)

    @classmethod
    def open(cls, settings: PoolSettings) -> Self:
        """Draw the images, or read them from the cache, and add the noise."""
        images = _drawn(replace(settings, noise=0.0))
        rng = np.random.default_rng(settings.seed)
        for start in range(0, len(images), 1000):  # in place, in little memory
            some = images[start : start + 1000]
            noisy = some + settings.noise * rng.standard_normal(some.shape, np.float32)
            some[:] = np.clip(np.rint(noisy), 0, 255)
        return cls(settings, images)

    @cached_property
    def classes(self) -> IntArray:
        """(N,) the class of each image."""
        return np.repeat(np.arange(self.settings.classes), self.settings.train + self.settings.val)

    @property
    def train(self) -> IntArray:
        """(K, train) indices of the training images of each class."""
        return self._by_class()[:, : self.settings.train]

    @property
    def val(self) -> IntArray:
        """(K, val) indices of the validation images of each class."""
        return self._by_class()[:, self.settings.train :]

    def _by_class(self) -> IntArray:
        return np.arange(len(self.images)).reshape(self.settings.classes, -1)


def _drawn(settings: PoolSettings) -> NDArray[np.uint8]:
    path = cache_folder() / f"glyph-pool-{json_sha256(to_json(settings))[:16]}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        images = np.stack([_draw_class(settings, one) for one in characters()[: settings.classes]])
        with write_whole(path) as temporary, temporary.open("wb") as file:
            np.save(file, images.reshape(-1, settings.size, settings.size, 3))
    images = np.load(path, allow_pickle=False)
    return images  # type: ignore[no-any-return]


def _draw_class(settings: PoolSettings, character: str) -> NDArray[np.uint8]:
    rngs = (np.random.default_rng([settings.seed, ord(character), i]) for i in range(settings.train + settings.val))
    return np.stack([np.asarray(draw_glyph(character, settings.size, rng)[0]) for rng in rngs])
