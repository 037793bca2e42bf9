"""Moves training images to val until each class has its share there.

Images that validated before go on validating. Which ones join them is decided by a hash of their names, class by
class, so that a new file moves one other image at most.
"""

from dataclasses import replace

import numpy as np

from rescale_fast.image_subset.order import Keys, order_by, ranks_within
from rescale_fast.image_subset.types import ImageSubset, join_images
from rescale_fast.types import IntArray


def grow_val(subset: ImageSubset, share: float, keys: Keys) -> ImageSubset:
    """Give val at least `share` of each class's images, rounded to the nearest image.

    Args: share: above 0, below 1. keys: of the training images; the smallest of each class move.
    Returns: the subset; images are in order of new label, those that were in val before the others.
    """
    num_classes = len(subset.class_ids)
    in_val = np.bincount(subset.val.new_labels, minlength=num_classes)
    in_train = np.bincount(subset.train.new_labels, minlength=num_classes)
    wanted: IntArray = np.rint(share * (in_val + in_train)).astype(np.int64) - in_val
    train = subset.train
    moves = ranks_within(train.new_labels, order_by(train.new_labels, keys)) < wanted[train.new_labels]
    val = join_images(subset.val, train.take(np.flatnonzero(moves)))
    return replace(
        subset,
        train=train.take(np.flatnonzero(~moves)),
        val=val.take(np.argsort(val.new_labels, kind="stable")),
    )
