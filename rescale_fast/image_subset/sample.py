"""Takes the images of the chosen classes, or of all classes in groups: train to train and val to val.

Reads a Dataset and a ClassSubset or ClassGrouping; makes an ImageSubset. Order: by new label, then as in the data set.
"""

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import ArtifactError
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from rescale_fast.types import IntArray


def sample_images(dataset: Dataset, classes: ClassSubset | ClassGrouping, origin: Origin) -> ImageSubset:
    """Take every image of the classes; a group's images get the group's label.

    Raises: ArtifactError when the classes were chosen from another data set.
    """
    ids = classes.member_ids if isinstance(classes, ClassGrouping) else [(one,) for one in classes.class_ids]
    new_label = np.full(dataset.num_classes, -1, np.int64)
    for new, (labels, class_ids) in enumerate(zip(classes.members(), ids, strict=True)):
        for label, class_id in zip(labels, class_ids, strict=True):
            if not (label < dataset.num_classes and dataset.class_ids[label] == class_id):
                raise ArtifactError(
                    f"the chosen class {class_id!r} (label {label}) is not in {dataset.name} under that label. "
                    "It was chosen from another data set; choose again with `rescale-fast select` or `group`."
                )
            new_label[label] = new
    return ImageSubset(
        origin=origin,
        class_ids=classes.class_ids,
        class_names=classes.class_names,
        train=_of_classes(dataset.splits.get("train"), "train", new_label),
        val=_of_classes(dataset.splits["val"], "val", new_label),
    )


def _of_classes(images: ImageList | None, split: str, new_label: IntArray) -> SubsetImages:
    if images is None:
        nothing = np.zeros(0, np.int64)
        return SubsetImages((), nothing, (), nothing, nothing)
    new_labels = new_label[images.labels]
    indices = np.flatnonzero(new_labels >= 0)
    indices = indices[np.argsort(new_labels[indices], kind="stable")]
    return SubsetImages(
        source=(split,) * len(indices),
        indices=indices,
        paths=tuple(images.paths[i] for i in indices),
        labels=images.labels[indices],
        new_labels=new_labels[indices],
    )
