"""Where the crop that a network sees lies in an image: the sizes and offsets of torchvision's Resize and CenterCrop.

Sides, offsets and regions are (..., 2) arrays of (y, x), in pixels.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rescale_fast.networks.types import EvalTransform
from rescale_fast.types import FloatArray, IntArray

CUBIC_REACH = 2  # pixels to either side, of the smaller of the two images


class Resizing(NamedTuple):
    """One use of a resizing operator: this region of an image becomes an image of this size."""

    start: FloatArray
    stop: FloatArray
    size: FloatArray


def resized_sides(sides: IntArray, transform: EvalTransform) -> IntArray:
    """Of the whole image: the short one becomes `resize`, the long one int(resize * long / short)."""
    if transform.squash:
        return np.full_like(sides, transform.resize)
    resized: IntArray = sides * transform.resize // sides.min(axis=-1, keepdims=True)
    return resized


def crop_offset(resized: IntArray, transform: EvalTransform) -> IntArray:
    """Of the centre crop in the resized image: int(round((resized - crop) / 2)), which rounds half to even."""
    return np.rint((resized - transform.crop) / 2).astype(np.int64)


def source_region(sides: IntArray, transform: EvalTransform) -> tuple[FloatArray, FloatArray]:
    """Corners of the region of the image that becomes the crop."""
    resized = resized_sides(sides, transform)
    offset = crop_offset(resized, transform)
    scale = sides / resized
    return offset * scale, (offset + transform.crop) * scale


def resizings(sides: IntArray, transform: EvalTransform) -> tuple[Resizing, ...]:
    """How N images become crops, by an operator that rounds to 8 bits only at its end. sides: (N, 2).

    Pillow rounds, and cuts to 0..255, between its horizontal and its vertical pass. Only of bicubic filters can that be
    seen, as they overshoot at edges: by up to 22 grey levels. So these are resized in two steps.
    """
    start, stop = source_region(sides, transform)
    crop = np.full(sides.shape, float(transform.crop))
    if transform.interpolation != "bicubic":
        return (Resizing(start, stop, crop),)
    first = np.eye(2, dtype=bool)[_first_axis(sides, transform)]  # of each image, True where the first step resizes
    reach = CUBIC_REACH * np.maximum((stop - start) / crop, 1) + 1
    low = np.maximum(np.floor(start - reach), 0)  # what the second step looks at
    high = np.minimum(np.ceil(stop + reach), sides)
    return (
        Resizing(np.where(first, start, low), np.where(first, stop, high), np.where(first, crop, high - low)),
        Resizing(np.where(first, 0, start - low), np.where(first, crop, stop - low), crop),
    )


def _first_axis(sides: IntArray, transform: EvalTransform) -> NDArray[Any]:
    """(N,) the axis that Pillow, from version 13 on, resizes first: 1, across, unless that would be much more work."""
    lost_rows, lost_columns = np.moveaxis(sides - resized_sides(sides, transform), -1, 0)
    return np.where(lost_rows > np.maximum(2 * lost_columns, 0), 0, 1)
