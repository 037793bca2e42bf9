"""Likely label errors: images whose given class a network that has not seen them finds implausible.

The number of errors is estimated by confident learning from the probabilities, and that many images with the least
probability of their given class are named (cleanlab's `low_self_confidence`). On labels flipped at random this finds
more of them, and fewer others, than its other ways: benchmarks/results/label_errors.csv.

Source: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels" (JAIR 2021), as
implemented by cleanlab.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import SettingError
from rescale_fast.image_subset.corrections import Corrections, corrected_labels
from rescale_fast.image_subset.sample import Evidence, check_classes, check_predictions, take_images
from rescale_fast.image_subset.sensitive import labels_of
from rescale_fast.image_subset.types import NO_ERRORS, ImageSubset, LabelErrors, join_errors
from rescale_fast.predictions.types import Predictions
from rescale_fast.scores.types import Scores
from rescale_fast.types import Float32Array, IntArray


def find_label_errors(dataset: Dataset, classes: ClassSubset | ClassGrouping, evidence: Evidence) -> LabelErrors:
    """Likely errors in both splits, as far as there is evidence: train by the scores, val by the predictions.

    Images that were corrected by hand are right. Raises: ArtifactError, SettingError for evidence of something else.
    """
    check_classes(dataset, classes)
    found = NO_ERRORS
    if evidence.scores is not None:
        subset = take_images(dataset, classes, Origin({}, {}), evidence.corrections)
        found = errors_in_train(subset, evidence.scores, evidence.scores_path, evidence.corrections)
    if evidence.predictions is not None:
        check_predictions(dataset, evidence.predictions)
        in_val = errors_in_val(evidence.predictions, classes, evidence.corrections, dataset.class_ids)
        found = join_errors(found, in_val)
    return found


def likely_errors(
    paths: Sequence[str], labels: IntArray, probabilities: Float32Array, class_ids: Sequence[str]
) -> LabelErrors:
    """Name the images whose label is likely wrong, least plausible first.

    Args:
        paths: (n,). labels: (n,) given, 0..C-1. class_ids: (C,).
        probabilities: (n, C), each row adding up to 1, from a network that has not seen the image.
    """
    from cleanlab.filter import find_label_issues

    if not len(labels):
        return NO_ERRORS
    found = np.asarray(
        find_label_issues(
            labels,
            probabilities.astype(np.float64),
            filter_by="low_self_confidence",
            return_indices_ranked_by="self_confidence",
            n_jobs=1,  # more would be processes, forked beside torch's threads
        ),
        np.int64,
    )
    suggested = probabilities[found].argmax(axis=1)
    is_other = suggested != labels[found]
    found, suggested = found[is_other], suggested[is_other]
    return LabelErrors(
        paths=tuple(paths[i] for i in found),
        given=tuple(class_ids[label] for label in labels[found]),
        suggested=tuple(class_ids[label] for label in suggested),
        given_probability=probabilities[found, labels[found]],
        suggested_probability=probabilities[found, suggested],
    )


def probabilities_of(predictions: Predictions) -> Float32Array:
    """(N, K) from the top 5 and the true class; what is left is spread over the other classes."""
    num_images, num_classes = len(predictions.labels), len(predictions.class_ids)
    known = np.full((num_images, num_classes), np.nan, np.float32)
    rows = np.arange(num_images)
    known[rows, predictions.labels] = predictions.true_probability
    known[rows[:, None], predictions.top_ids] = predictions.top_probabilities
    unknown = np.isnan(known)
    left = np.maximum(0, 1 - np.where(unknown, 0, known).sum(axis=1)) / np.maximum(1, unknown.sum(axis=1))
    filled = np.where(unknown, left[:, None], known)
    return np.asarray(filled / filled.sum(axis=1, keepdims=True), np.float32)


def errors_in_train(subset: ImageSubset, scores: Scores, source: Path, corrections: Corrections) -> LabelErrors:
    """Likely errors among training images, from two-half scores. Images that were corrected by hand are right.

    Raises: SettingError when the scores have no probabilities of all classes; ArtifactError when an image has no score.
    """
    if scores.probabilities is None:
        raise SettingError(f"{source}: has no column `probabilities`, by which label errors are found.")
    scores.check_width(subset.class_ids, source)
    at = scores.positions_of(subset.train.paths, source)
    was_read = np.array([scores.skipped[i] is None for i in at.tolist()], bool)
    at, images = at[was_read], subset.train.take(np.flatnonzero(was_read))
    found = likely_errors(images.paths, images.new_labels, scores.probabilities[at], subset.class_ids)
    return found.take([i for i, path in enumerate(found.paths) if path not in corrections])


def errors_in_val(
    predictions: Predictions, classes: ClassSubset | ClassGrouping, corrections: Corrections, class_ids: Sequence[str]
) -> LabelErrors:
    """Likely errors among validation images, from the pre-trained network's predictions.

    They are told by all classes of the data set (or all groups), and named where the given or the suggested class is
    in the subset. Args: class_ids: (K,) of the data set, which the predictions are about.
    """
    probabilities, ids = probabilities_of(predictions), tuple(class_ids)
    new_label = np.arange(len(ids))
    if isinstance(classes, ClassGrouping):
        ids, new_label = classes.class_ids, labels_of(classes, len(ids))
        member = (new_label[:, None] == np.arange(len(ids))).astype(np.float32)
        probabilities = probabilities @ member
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = corrected_labels(predictions.paths, predictions.labels, corrections, new_label, ids, class_ids)
    kept = np.flatnonzero(labels >= 0)
    found = likely_errors([predictions.paths[i] for i in kept], labels[kept], probabilities[kept], ids)
    chosen = set(classes.class_ids)
    pairs = zip(found.paths, found.given, found.suggested, strict=True)
    return found.take(
        [i for i, (path, *both) in enumerate(pairs) if path not in corrections and not chosen.isdisjoint(both)]
    )


def corrections_by(errors: LabelErrors, *, relabel: bool) -> dict[str, str | None]:
    """What is to be done about the errors: give the images the suggested classes, or leave them out."""
    return {path: suggested if relabel else None for path, suggested, *_ in errors.rows()}
