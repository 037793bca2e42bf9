"""Takes the images of the chosen classes: all of them, train to train and val to val.

Reads a Dataset and a ClassSubset; makes an ImageSubset. Order: by new label, then by path, as in the data set.
"""

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import ArtifactError
from rescale_fast.image_subset.types import ImageSubset, SubsetImages


def sample_images(dataset: Dataset, classes: ClassSubset, origin: Origin) -> ImageSubset:
    """Take every image of the chosen classes.

    Raises: ArtifactError when the classes were chosen from another data set.
    """
    for label, class_id in zip(classes.classes, classes.class_ids, strict=True):
        if not (label < dataset.num_classes and dataset.class_ids[label] == class_id):
            raise ArtifactError(
                f"the class subset's {class_id!r} (label {label}) is not in {dataset.name} under that label. "
                "It was chosen from another data set; choose again with `rescale-fast select`."
            )
    return ImageSubset(
        origin=origin,
        class_ids=classes.class_ids,
        class_names=classes.class_names,
        train=_of_classes(dataset.splits.get("train"), "train", classes),
        val=_of_classes(dataset.splits["val"], "val", classes),
    )


def _of_classes(images: ImageList | None, split: str, classes: ClassSubset) -> SubsetImages:
    if images is None:
        nothing = np.zeros(0, np.int64)
        return SubsetImages((), nothing, (), nothing, nothing)
    new_label = np.full(classes.num_classes, -1, np.int64)
    new_label[list(classes.classes)] = np.arange(len(classes.classes))
    indices = np.flatnonzero(new_label[images.labels] >= 0)
    return SubsetImages(
        source=(split,) * len(indices),
        indices=indices,
        paths=tuple(images.paths[i] for i in indices),
        labels=images.labels[indices],
        new_labels=new_label[images.labels[indices]],
    )
