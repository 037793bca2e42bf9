"""Errors of ranked guesses against a set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from rescale_fast.api.origins import whole_numbers
from rescale_fast.errors import SettingError
from rescale_fast.evaluate import (
    Evaluation,
    Guesses,
    Truth,
    guesses_of,
    read_guesses,
    read_truth,
    truth_of,
)
from rescale_fast.evaluate import evaluate as count
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.predictions.types import Predictions


def evaluate(
    truth: "ImageSubset | str | Path | Sequence[int]",
    guesses: "Predictions | str | Path | ArrayLike",
) -> Evaluation:
    """Count the top-1 to top-5 errors of ranked guesses, or of predictions, against the validation images of a set.

    Args:
        truth: an ImageSubset; or a path: of a down-sampled set, an image_subset.parquet, or a text file with a label
            or class id a line; or (N,) whole numbers, the class of each image, 0..k-1.
        guesses: Predictions, of which those of other images are left out; or the path of a text file with the guesses
            for an image a line, best first: labels from 1, or class ids; or (N, g) whole numbers, guessed classes
            from 0 in the order of the images, best first, -1 = none.
    Returns: Evaluation: errors (5,), shares 0..1 of num_images that are wrong at top-1 .. top-5; num_unknown guesses of
        no class of the set; num_without images that have no prediction, and are not counted.
    Raises: SettingError for guesses that do not fit the set; ArtifactError for a file that cannot be read.
    """
    listed = _truth(truth)
    if isinstance(guesses, Predictions):
        return count(listed, guesses_of(guesses, listed))
    if isinstance(guesses, (str, Path)):
        return count(listed, read_guesses(Path(guesses), listed))
    return count(listed, _guesses(guesses, listed))


def _truth(truth: "ImageSubset | str | Path | Sequence[int]") -> Truth:
    if isinstance(truth, ImageSubset):
        return truth_of(truth)
    if isinstance(truth, (str, Path)):
        return read_truth(Path(truth))
    labels = whole_numbers("truth", truth, 1)
    if not labels.size or labels.min() < 0:
        raise SettingError("truth: expected at least one label, and none below 0.")
    return Truth(tuple((str(label + 1),) for label in range(int(labels.max()) + 1)), labels)


def _guesses(guesses: ArrayLike, truth: Truth) -> Guesses:
    found = whole_numbers("guesses", guesses, 2)
    if len(found) != len(truth.classes):
        raise SettingError(f"guesses: are for {len(found):,} images, and the set has {len(truth.classes):,}.")
    is_unknown = found >= len(truth.names)
    return Guesses(np.arange(len(found)), np.where(is_unknown, -1, found), int(is_unknown.sum()))
