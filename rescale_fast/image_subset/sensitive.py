"""The sensitive images: those that the pre-trained network misclassified, of the classes that they bring together.

Source: Nguyen and Nguyen (Pattern Recognition Letters 2024) unify the misclassified images of the classes to look at
with those of the classes that they were confused with.
"""

from dataclasses import replace

import numpy as np

from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.errors import DatasetError
from rescale_fast.image_subset.types import SubsetImages
from rescale_fast.predictions.types import Predictions
from rescale_fast.types import IntArray


def sensitive_classes(classes: ClassSubset | ClassGrouping, predictions: Predictions) -> ClassSubset | ClassGrouping:
    """Those that sensitive images bring together: see below. Raises: DatasetError when fewer than two have any."""
    if isinstance(classes, ClassGrouping):
        return _with_mistakes(classes, predictions)
    return _with_confused(classes, predictions)


def _with_confused(classes: ClassSubset, predictions: Predictions) -> ClassSubset:
    """The chosen classes and those that their misclassified images were called; of these, all that have such images."""
    labels, predicted = predictions.labels, predictions.predicted
    is_mistaken = predicted != labels
    of_chosen = is_mistaken & np.isin(labels, classes.classes)
    unified = np.union1d(np.array(classes.classes, np.int64), predicted[of_chosen])
    kept = np.intersect1d(unified, labels[is_mistaken])
    if len(kept) < 2:
        raise DatasetError(
            f"only {len(kept)} of the {len(unified):,} classes have misclassified validation images, expected at least "
            "2. Choose more classes, or another --images."
        )
    return replace(
        classes,
        classes=tuple(kept.tolist()),
        class_ids=tuple(predictions.class_ids[label] for label in kept),
        class_names=tuple(predictions.class_names[label] for label in kept),
    )


def _with_mistakes(grouping: ClassGrouping, predictions: Predictions) -> ClassGrouping:
    """The groups of which validation images were called a class of another group."""
    group_of = labels_of(grouping, len(predictions.class_ids))
    groups, called = group_of[predictions.labels], group_of[predictions.predicted]
    kept = np.unique(groups[(groups >= 0) & (called != groups)]).tolist()
    if len(kept) < 2:
        raise DatasetError(
            f"only {len(kept)} of {len(grouping.labels):,} groups have misclassified validation images, expected at "
            "least 2. Group otherwise, or take another --images."
        )
    return replace(
        grouping,
        class_ids=tuple(grouping.class_ids[group] for group in kept),
        class_names=tuple(grouping.class_names[group] for group in kept),
        labels=tuple(grouping.labels[group] for group in kept),
        member_ids=tuple(grouping.member_ids[group] for group in kept),
    )


def labels_of(classes: ClassSubset | ClassGrouping, num_classes: int) -> IntArray:
    """(K,) the new label of each of the data set's `num_classes` classes; -1 for those left out."""
    new_label = np.full(num_classes, -1, np.int64)
    for new, labels in enumerate(classes.members()):
        new_label[list(labels)] = new
    return new_label


def sensitive_images(val: SubsetImages, predictions: Predictions, new_label: IntArray) -> SubsetImages:
    """The validation images that were called another class (or group) than theirs; those never predicted go, too.

    Args: new_label: (K,) of each class of the data set, -1 for none.
    """
    called = dict(zip(predictions.paths, new_label[predictions.predicted].tolist(), strict=True))
    mistaken = [called.get(path, new) != new for path, new in zip(val.paths, val.new_labels.tolist(), strict=True)]
    return val.take(np.flatnonzero(mistaken))
