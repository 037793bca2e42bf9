"""Where each image of an epoch is cut, mirrored and moved, decided before the epoch begins.

The choice depends on (seed, epoch, row and size of the image) alone. So it is the same for any number of threads and
ranks, for every loader, whatever the other images are, and for a training that was interrupted and resumed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rescale_fast.loaders.draws import Purpose, RowDraws
from rescale_fast.settings import OneOf, Registry
from rescale_fast.types import FloatArray, IntArray

Augment: TypeAlias = Annotated[str, OneOf("rescale_fast.loaders.augment:AUGMENTS")]
FILL = (124, 116, 104)  # RGB of what moves in from outside: ImageNet's mean, which normalisation takes to about 0
AREA = (0.08, 1.0)  # share of the image that a random crop takes
LOG_RATIO = (np.log(3 / 4), np.log(4 / 3))  # of its width to its height
ATTEMPTS = 10


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for each training image."""

    mirrors: bool = False  # half of the images
    crops: bool = False  # a random resized crop; val's are then the centre's 7/8. Else the centre's square
    shift: Callable[[int], int] = lambda side: 0  # pixels that an image of that side is moved by at most


AUGMENTS = Registry(
    {
        "crop-flip": Augmentation(mirrors=True, crops=True),
        "shift": Augmentation(shift=lambda side: max(1, side // 16)),
        "shift-flip": Augmentation(mirrors=True, shift=lambda side: 4),
    }
)


@dataclass(frozen=True)
class Placements:
    """How each of n images is made: its box is cut out, resized to a square, mirrored, and moved."""

    boxes: IntArray  # (n, 4) top, left, height, width, pixels of the stored image
    mirrored: NDArray[np.bool_]  # (n,) left to right
    shifts: IntArray  # (n, 2) down, right, pixels of the square


def place_centrally(sizes: IntArray, augment: Augment) -> Placements:
    """The places of validation images, the same every epoch: the centre's square, 7/8 of the short side for crop-flip.

    Args: sizes: (n, 2) heights and widths, pixels.
    Source: Resize(256) and CenterCrop(224), in one step.
    """
    short = sizes.min(axis=1)
    boxes = _central(sizes, short * 7 // 8 if AUGMENTS[augment].crops else short)
    return Placements(boxes, np.zeros(len(sizes), bool), np.zeros((len(sizes), 2), np.int64))


def place_randomly(sizes: IntArray, augment: Augment, image_size: int, seed: int, epoch: int) -> Placements:
    """The places of training images in an epoch.

    "crop-flip" is a random resized crop and mirroring; "shift" moves the centre's square by up to 1/16 of its side;
    "shift-flip" by up to 4 px, and mirrors half of the images.
    Args: sizes: (n, 2) heights and widths, pixels. image_size: side of the squares made, pixels.
    """
    rows, places, how = np.arange(len(sizes)), place_centrally(sizes, augment), AUGMENTS[augment]
    if how.crops:
        places = replace(places, boxes=random_boxes(sizes, RowDraws(seed, epoch, Purpose.CROP)))
    if how.mirrors:
        mirrored = RowDraws(seed, epoch, Purpose.MIRROR).uniform(rows, range(1))[0] < 0.5
        places = replace(places, mirrored=mirrored)
    if most := how.shift(image_size):
        shares = RowDraws(seed, epoch, Purpose.SHIFT).uniform(rows, range(2)).T
        places = replace(places, shifts=(shares * (2 * most + 1)).astype(np.int64) - most)
    return places


def random_boxes(sizes: IntArray, draws: RowDraws) -> IntArray:
    """(n, 4) top, left, height, width of a random resized crop of each image.

    Area and ratio of the sides are drawn until such a box fits, ten times at most; then it is the centre's largest.
    Source: Szegedy et al. 2015, section 6, as torchvision's RandomResizedCrop has it.
    """
    boxes = np.empty((len(sizes), 4), np.int64)
    left = np.arange(len(sizes))
    for attempt in range(ATTEMPTS):
        area, ratio, *corner = draws.uniform(left, range(4 * attempt, 4 * attempt + 4))
        area = sizes[left].prod(axis=1) * _between(AREA, area)
        ratio = np.exp(_between(LOG_RATIO, ratio))
        box = np.rint(np.sqrt(np.stack([area / ratio, area * ratio], axis=1))).astype(np.int64)  # height, width
        fits = ((box > 0) & (box <= sizes[left])).all(axis=1)
        chosen, box = left[fits], box[fits]
        boxes[chosen, :2] = np.stack(corner, axis=1)[fits] * (sizes[chosen] - box + 1)
        boxes[chosen, 2:] = box
        left = left[~fits]
    boxes[left] = _central(sizes[left], _within_ratio(sizes[left]))
    return boxes


def _between(ends: tuple[float, float], share: FloatArray) -> FloatArray:
    low, high = ends
    return low + (high - low) * share


def _within_ratio(sizes: IntArray) -> IntArray:
    """(n, 2) height and width of the largest boxes whose ratio is allowed."""
    low, high = np.exp(LOG_RATIO)
    height, width = sizes[:, 0], sizes[:, 1]
    return np.stack(
        [np.minimum(height, np.rint(width / low)), np.minimum(width, np.rint(height * high))], axis=1
    ).astype(np.int64)


def _central(sizes: IntArray, box: IntArray) -> IntArray:
    """(n, 4) boxes in the middle; `box` is (n,) a side, or (n, 2) height and width."""
    shape = np.maximum(1, np.broadcast_to(box[:, None] if box.ndim == 1 else box, sizes.shape))
    return np.concatenate([(sizes - shape) // 2, shape], axis=1)
