"""The images: labelled sets drawn once, kept in memory, in which few training images leave something to be got wrong.

glyphs   the letters of rescale_fast.datasets.glyphs, in which left and right matter
mirrored the same, each image mirrored with probability 1/2, so that mirroring changes nothing of what a class is
objects  patches of random texture and outline, each class one that looks like its neighbours', somewhere on a random
         background, in any light, mirrored or not: what photographs have and letters have not
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rescale_fast.artifact import json_sha256, to_json, write_whole
from rescale_fast.cache import cache_folder
from rescale_fast.datasets.glyphs import characters, draw_glyph
from rescale_fast.types import IntArray

Pixels = NDArray[np.uint8]
FAMILY = 5  # classes of objects that look alike
LIKENESS = 0.6  # share of an object's looks that are its family's


@dataclass(frozen=True)
class SetSettings:
    """What is drawn."""

    kind: str  # of DRAWERS
    classes: int  # K
    size: int  # pixels a side
    train: int  # images a class
    val: int
    noise: float = 0.0  # standard deviation, grey levels, on top of the drawing's own
    seed: int = 0

    @property
    def augment(self) -> str:
        """The augmentation that suits them: letters may not be cut, nor, unless half of them are, mirrored."""
        return {"glyphs": "shift", "mirrored": "shift-flip", "objects": "crop-flip"}[self.kind]


@dataclass(frozen=True)
class Images:
    """One split."""

    pixels: Pixels  # (N, size, size, 3), class after class
    labels: IntArray  # (N,)


def open_set(settings: SetSettings) -> dict[str, Images]:
    """Both splits by name, drawn, or read from the cache."""
    path = cache_folder() / f"recipe-set-{json_sha256(to_json(settings))[:16]}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = {split: _drawn(settings, number) for number, split in enumerate(("train", "val"))}
        with write_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **made)  # type: ignore[arg-type]
    with np.load(path, allow_pickle=False) as file:
        return {split: Images(file[split], _labels(settings, split)) for split in ("train", "val")}


def _labels(settings: SetSettings, split: str) -> IntArray:
    return np.repeat(np.arange(settings.classes), getattr(settings, split))


def _drawn(settings: SetSettings, number: int) -> Pixels:
    count = (settings.train, settings.val)[number]
    rngs = (
        (label, np.random.default_rng([settings.seed, label, number, i]))
        for label in range(settings.classes)
        for i in range(count)
    )
    return np.stack([_noisy(DRAWERS[settings.kind](label, settings, rng), settings.noise, rng) for label, rng in rngs])


def _noisy(pixels: Pixels, noise: float, rng: np.random.Generator) -> Pixels:
    return _rounded(pixels + rng.normal(0, noise, pixels.shape))


def _rounded(pixels: NDArray[np.float64]) -> Pixels:
    rounded: Pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return rounded


def _glyph(label: int, settings: SetSettings, rng: np.random.Generator) -> Pixels:
    return np.asarray(draw_glyph(characters()[label], settings.size, rng)[0])


def _mirrored_glyph(label: int, settings: SetSettings, rng: np.random.Generator) -> Pixels:
    glyph = _glyph(label, settings, rng)
    return glyph[:, ::-1] if rng.random() < 0.5 else glyph


def _object(label: int, settings: SetSettings, rng: np.random.Generator) -> Pixels:
    size = settings.size
    own, family = (_looks(np.random.default_rng([settings.seed, *one])) for one in ((label, 0), (label // FAMILY, 1)))
    looks = _resized(LIKENESS * family + (1 - LIKENESS) * own, size)
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-20, 20), rng.uniform(0.7, 1.2))
    turn[:, 2] += rng.uniform(-0.15, 0.15, 2) * size
    turn[:, :2] += rng.normal(0, 0.06, (2, 2))
    looks = cv2.warpAffine(looks, turn, (size, size), borderValue=(0, 0, 0, -1))
    solid = 1 / (1 + np.exp(-12 * looks[..., 3:]))
    ground = sum(_field(rng, cells, 3, size) / (cells**0.5) for cells in (3, 6, 12))
    pixels = solid * looks[..., :3] + (1 - solid) * ground
    pixels = 128 + 55 * rng.uniform(0.5, 1.3) * pixels + rng.normal(0, 18, 3) + rng.normal(0, 8, pixels.shape)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return _rounded(pixels)


def _looks(rng: np.random.Generator) -> NDArray[np.float64]:
    """(48, 48, 4): colours, and an outline where the last is above nought."""
    colours = _field(rng, 4, 3, 48) + 0.7 * _field(rng, 9, 3, 48)
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    outline = 0.7 - np.hypot(x, y) + 0.3 * _field(rng, 4, 1, 48)[..., 0]
    return np.concatenate([colours, outline[..., None]], axis=2)


def _field(rng: np.random.Generator, cells: int, channels: int, size: int) -> NDArray[np.float64]:
    """(size, size, channels) random and smooth, with as many cells a side."""
    coarse = rng.standard_normal((cells, cells, channels))
    return _resized(coarse, size).reshape(size, size, channels)


def _resized(field: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return np.asarray(cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC))


DRAWERS: Mapping[str, Callable[[int, SetSettings, np.random.Generator], Pixels]] = {
    "glyphs": _glyph,
    "mirrored": _mirrored_glyph,
    "objects": _object,
}
