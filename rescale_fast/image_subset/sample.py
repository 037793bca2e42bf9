"""Takes images of the chosen classes, or of all classes in groups: all of them, some at random, or by difficulty.

Reads a Dataset and a ClassSubset or ClassGrouping, and as the settings want Scores, Predictions and corrections; makes
an ImageSubset. Order: by new label, then as in the data set. In the order in which they are done: corrections, the
share of val, the choice of training images.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError, DatasetError, MissingInputError
from rescale_fast.image_subset.balance import grow_val
from rescale_fast.image_subset.choose import choose_by_difficulty, choose_random
from rescale_fast.image_subset.corrections import Corrections, check_corrections, corrected_labels
from rescale_fast.image_subset.order import Keys, stable_keys
from rescale_fast.image_subset.sensitive import labels_of, sensitive_classes, sensitive_images
from rescale_fast.image_subset.settings import SampleSettings
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from rescale_fast.predictions.types import Predictions
from rescale_fast.scores.types import Scores
from rescale_fast.types import Float32Array


@dataclass(frozen=True)
class Evidence:
    """What is known of the images beside their listed classes."""

    corrections: Corrections = field(default_factory=dict)
    scores: Scores | None = None  # of training images; for `difficulty`
    scores_path: Path = Path("scores")  # for messages
    predictions: Predictions | None = None  # of validation images; for `sensitive`


def sample_images(
    dataset: Dataset,
    classes: ClassSubset | ClassGrouping,
    origin: Origin,
    settings: SampleSettings = SampleSettings(),
    evidence: Evidence = Evidence(),
) -> ImageSubset:
    """Take images as the settings say, by default all; a group's images get the group's label.

    Raises: ArtifactError when the classes were chosen from another data set, or images have no score; SettingError
        for settings or corrections that fit nothing; DatasetError when a class has too few images.
    """
    settings = settings.resolved()
    check_classes(dataset, classes)
    predictions = _needed_predictions(dataset, evidence) if settings.images == "sensitive" else None
    if predictions is not None:
        classes = sensitive_classes(classes, predictions)
    subset = take_images(dataset, classes, origin, evidence.corrections)
    if predictions is not None:
        subset = replace(subset, val=sensitive_images(subset.val, predictions, labels_of(classes, dataset.num_classes)))
    if settings.val_share is not None:
        keys = _keys(dataset, subset.train, "val", settings.sample_seed)
        had_train = len(subset.train)
        subset = grow_val(subset, settings.val_share, keys)
        if had_train and not len(subset.train):
            raise DatasetError(
                f"--val-share {settings.val_share}: leaves no training image of any class, {subset.class_ids[0]!r} "
                "first. Use a smaller share."
            )
    if settings.images in ("random", "difficulty"):
        subset = replace(subset, train=_choose(dataset, subset, settings, evidence))
    _check_every_class(subset, has_train="train" in dataset.splits)
    return subset


def _needed_predictions(dataset: Dataset, evidence: Evidence) -> Predictions:
    if evidence.predictions is None:
        raise MissingInputError("--images sensitive needs predictions. `rescale-fast validate` makes them.")
    check_predictions(dataset, evidence.predictions)
    return evidence.predictions


def check_classes(dataset: Dataset, classes: ClassSubset | ClassGrouping) -> None:
    """Raise ArtifactError unless the classes are of this data set."""
    ids = classes.member_ids if isinstance(classes, ClassGrouping) else [(one,) for one in classes.class_ids]
    for labels, class_ids in zip(classes.members(), ids, strict=True):
        for label, class_id in zip(labels, class_ids, strict=True):
            if not (label < dataset.num_classes and dataset.class_ids[label] == class_id):
                raise ArtifactError(
                    f"the chosen class {class_id!r} (label {label}) is not in {dataset.name} under that label. "
                    "It was chosen from another data set; choose again with `rescale-fast select` or `group`."
                )


def check_predictions(dataset: Dataset, predictions: Predictions) -> None:
    """Raise ArtifactError unless the predictions are of all validation images of this data set."""
    absent = predictions.missing(dataset)
    if absent:
        raise ArtifactError(
            f"{len(absent):,} of {len(dataset.splits['val']):,} validation images have no prediction, {absent[0]!r} "
            "first. Were files added? `rescale-fast validate` looks at them all."
        )


def take_images(
    dataset: Dataset, classes: ClassSubset | ClassGrouping, origin: Origin, corrections: Corrections
) -> ImageSubset:
    """Take every image that is of one of the classes when the corrections have been made."""
    check_corrections(
        corrections, [images.paths for images in dataset.splits.values()], (dataset.class_ids, classes.class_ids)
    )
    new_label = labels_of(classes, dataset.num_classes)

    def of_split(split: str) -> SubsetImages:
        images = dataset.splits.get(split)
        if images is None:
            nothing = np.zeros(0, np.int64)
            return SubsetImages((), nothing, (), nothing, nothing)
        new_labels = corrected_labels(
            images.paths, images.labels, corrections, new_label, classes.class_ids, dataset.class_ids
        )
        indices = np.flatnonzero(new_labels >= 0)
        indices = indices[np.argsort(new_labels[indices], kind="stable")]
        return SubsetImages(
            source=(split,) * len(indices),
            indices=indices,
            paths=tuple([images.paths[i] for i in indices.tolist()]),
            labels=images.labels[indices],
            new_labels=new_labels[indices],
        )

    return ImageSubset(
        origin=origin,
        class_ids=classes.class_ids,
        class_names=classes.class_names,
        train=of_split("train"),
        val=of_split("val"),
    )


def _keys(dataset: Dataset, images: SubsetImages, purpose: str, seed: int) -> Keys:
    return stable_keys(dataset.class_ids, images.labels, images.paths, purpose, seed)


def _choose(dataset: Dataset, subset: ImageSubset, settings: SampleSettings, evidence: Evidence) -> SubsetImages:
    """The training images that `random` or `difficulty` takes."""
    train, per_class = subset.train, settings.per_class
    if per_class is None or not len(train):
        raise DatasetError(f"{dataset.name} has no training images of these classes to choose from.")
    if settings.images == "random":
        keys = _keys(dataset, train, "random", settings.sample_seed)
        return train.take(choose_random(train.new_labels, keys, per_class, subset.class_ids))
    if evidence.scores is None:
        raise MissingInputError("--images difficulty needs scores. `rescale-fast score` makes them.")
    train, true_probability = scored(subset, evidence.scores, evidence.scores_path)
    keys = _keys(dataset, train, "difficulty", settings.sample_seed)
    over_set = settings.evenly_over == "set"
    chosen = choose_by_difficulty(
        train.new_labels, true_probability, keys, per_class, subset.class_ids, over_set=over_set
    )
    return train.take(chosen)


def scored(subset: ImageSubset, scores: Scores, source: Path) -> tuple[SubsetImages, Float32Array]:
    """The training images whose files could be read, and the probability of the class that each has in the subset.

    Raises: ArtifactError when an image has no score, or one of another class; SettingError for the wrong width.
    """
    scores.check_width(subset.class_ids, source)
    at = scores.positions_of(subset.train.paths, source)
    other = np.flatnonzero(scores.labels[at] != subset.train.labels)
    if len(other):
        path, label = subset.train.paths[other[0]], scores.labels[at[other[0]]]
        raise ArtifactError(
            f"{source}: was made with {path!r} as class {label}, the data set has it as class "
            f"{subset.train.labels[other[0]]} ({len(other):,} such images). Score again."
        )
    true_probability = scores.true_probability[at]
    if scores.probabilities is not None:  # a correction since then may have changed the class
        true_probability = scores.probabilities[at, subset.train.new_labels]
    was_read = np.array([scores.skipped[i] is None for i in at.tolist()], bool)
    return subset.train.take(np.flatnonzero(was_read)), true_probability[was_read]


def _check_every_class(subset: ImageSubset, has_train: bool) -> None:
    """Raise DatasetError when a class has no image in a split that the data set has."""
    for split, images in (("train", subset.train), ("val", subset.val)):
        if split == "train" and not has_train:
            continue
        counts = np.bincount(images.new_labels, minlength=len(subset.class_ids))
        empty = np.flatnonzero(counts == 0)
        if len(empty):
            raise DatasetError(
                f"{len(empty):,} of {len(subset.class_ids):,} classes have no {split} image left, "
                f"{subset.class_ids[empty[0]]!r} first. Take that class out, or correct, drop or move fewer."
            )
