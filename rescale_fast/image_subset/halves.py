"""Halves a subset's training images: for scoring, a network trained on one half looks at the other."""

import numpy as np

from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import DatasetError
from rescale_fast.image_subset.order import order_by, ranks_within, stable_keys
from rescale_fast.image_subset.types import ImageSubset


def halves(dataset: Dataset, subset: ImageSubset, seed: int) -> ImageSubset:
    """Split the training images of each class in two by a stable hash: half A as train, half B as val.

    Raises: DatasetError for a class with fewer than 2 training images.
    """
    train = subset.train
    counts = np.bincount(train.new_labels, minlength=len(subset.class_ids))
    if counts.min() < 2:
        raise DatasetError(
            f"class {subset.class_ids[int(counts.argmin())]!r} has {counts.min()} training images; scoring needs at "
            "least 2, one for each half."
        )
    keys = stable_keys(dataset.class_ids, train.labels, train.paths, "halves", seed)
    in_a = ranks_within(train.new_labels, order_by(train.new_labels, keys)) < (counts - counts // 2)[train.new_labels]
    return ImageSubset(
        origin=subset.origin,
        class_ids=subset.class_ids,
        class_names=subset.class_names,
        train=train.take(np.flatnonzero(in_a)),
        val=train.take(np.flatnonzero(~in_a)),
    )
