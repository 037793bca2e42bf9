"""Where each image of an epoch is cut, mirrored and moved, decided before the epoch begins.

The choice depends on (seed, epoch, row, copy and size of the image) alone. So it is the same for any number of threads
and ranks, for every loader, whatever the other images are, and for a training that was interrupted and resumed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeAlias

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
COPY = 2**40  # what is drawn for another copy of an image is drawn as for a row so much further on


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for each training image."""

    mirrors: Literal["randomly", "alternately", "both"] | None = None
    """Half of the images, drawn anew each epoch; half of them in the even epochs, and the others in the odd ones
    (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU"); each twice an epoch, as it is and mirrored."""
    crops: bool = False  # a random resized crop; val's are then the centre's 7/8. Else the centre's square
    shift: Callable[[int], int] = lambda side: 0  # pixels that an image of that side is moved by at most

    @property
    def copies(self) -> int:
        """How often an epoch has each image."""
        return 2 if self.mirrors == "both" else 1


AUGMENTS = Registry(
    {
        "crop-flip": Augmentation(mirrors="randomly", crops=True),
        "crop-alternate": Augmentation(mirrors="alternately", crops=True),
        "shift": Augmentation(shift=lambda side: max(1, side // 16)),
        "shift-flip": Augmentation(mirrors="randomly", shift=lambda side: 4),
        "shift-both": Augmentation(mirrors="both", shift=lambda side: 4),
    }
)


@dataclass(frozen=True)
class Placements:
    """How each of m images is made: its box is cut out, resized to a square, mirrored, and moved."""

    rows: IntArray  # (m,) of the beton, in the order in which they are given
    boxes: IntArray  # (m, 4) top, left, height, width, pixels of the stored image
    mirrored: NDArray[np.bool_]  # (m,) left to right
    shifts: IntArray  # (m, 2) down, right, pixels of the square

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> "Placements":
        return Placements(self.rows[part], self.boxes[part], self.mirrored[part], self.shifts[part])

    def batches(self, batch_size: int) -> "Iterator[Placements]":
        """One after the other; the last may be smaller."""
        return (self[at : at + batch_size] for at in range(0, len(self), batch_size))


def place_centrally(rows: IntArray, sizes: IntArray, augment: Augment) -> Placements:
    """The places of validation images, the same every epoch: the centre's square, 7/8 of the short side where training
    images are cropped.

    Args: rows: (m,) of the beton. sizes: (N, 2) heights and widths of all its images, pixels.
    Source: Resize(256) and CenterCrop(224), in one step.
    """
    short = sizes[rows].min(axis=1)
    boxes = _central(sizes[rows], short * 7 // 8 if AUGMENTS[augment].crops else short)
    return Placements(rows, boxes, np.zeros(len(rows), bool), np.zeros((len(rows), 2), np.int64))


def place_randomly(
    rows: IntArray, copies: IntArray, sizes: IntArray, augment: Augment, image_size: int, seed: int, epoch: int
) -> Placements:
    """The places of training images in an epoch: what is drawn for each.

    Args:
        rows: (m,) of the beton. copies: (m,) which of the augmentation's copies of the image each is, from 0.
        sizes: (N, 2) heights and widths of all its images, pixels. image_size: side of the squares made, pixels.
    """
    places, how, drawn_for = place_centrally(rows, sizes, augment), AUGMENTS[augment], rows + copies * COPY
    if how.crops:
        places = replace(places, boxes=random_boxes(sizes[rows], drawn_for, RowDraws(seed, epoch, Purpose.CROP)))
    if most := how.shift(image_size):
        shares = RowDraws(seed, epoch, Purpose.SHIFT).uniform(drawn_for, range(2)).T
        places = replace(places, shifts=(shares * (2 * most + 1)).astype(np.int64) - most)
    return replace(places, mirrored=_mirrored(how, rows, copies, seed, epoch))


def _mirrored(how: Augmentation, rows: IntArray, copies: IntArray, seed: int, epoch: int) -> NDArray[np.bool_]:
    if how.mirrors == "randomly":
        return _half_of(rows, seed, epoch)
    if how.mirrors == "alternately":
        return np.logical_xor(_half_of(rows, seed, 0), epoch % 2)
    return np.equal(copies, 1)  # of which there is none without "both"


def _half_of(rows: IntArray, seed: int, epoch: int) -> NDArray[np.bool_]:
    return np.asarray(RowDraws(seed, epoch, Purpose.MIRROR).uniform(rows, range(1))[0] < 0.5)


def random_boxes(sizes: IntArray, rows: IntArray, draws: RowDraws) -> IntArray:
    """(m, 4) top, left, height, width of a random resized crop of each image.

    Area and ratio of the sides are drawn until such a box fits, ten times at most; then it is the centre's largest.
    Args: sizes: (m, 2) heights and widths, pixels. rows: (m,) whose draws each takes.
    Source: Szegedy et al. 2015, section 6, as torchvision's RandomResizedCrop has it.
    """
    boxes = np.empty((len(sizes), 4), np.int64)
    left = np.arange(len(sizes))
    for attempt in range(ATTEMPTS):
        area, ratio, *corner = draws.uniform(rows[left], range(4 * attempt, 4 * attempt + 4))
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
