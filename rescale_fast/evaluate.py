"""Top-1 to top-5 error of ranked guesses against the images of a set, as the ILSVRC devkit and imagenet-tiny count it.

Truth is a list of images with their classes; guesses come from a text file, a line an image, or from Predictions. An
image is right at rank r when its class is among the first r guesses; a guess that is not made is wrong.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.files.csv_files import read_rows
from rescale_fast.files.reading import read_text, reading
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.predictions.types import Predictions
from rescale_fast.types import FloatArray, IntArray

TOP = 5


@dataclass(frozen=True)
class Truth:
    """N images of k classes, in order."""

    names: tuple[tuple[str, ...], ...]  # (k,) what a guess may call each class: its label and its id, or one of them
    classes: IntArray  # (N,) 0..k-1
    paths: tuple[str, ...] | None = None  # (N,) relative to the data set's root
    of_label: dict[int, int] | None = None  # label in the data set -> class; None: classes are found by their ids


@dataclass(frozen=True)
class Guesses:
    """Ranked guesses, best first; -1 is none, or one of no class of the set."""

    rows: IntArray  # (n,) the images of the truth that they are about
    classes: IntArray  # (n, g)
    num_unknown: int  # guesses of no class of the set


@dataclass(frozen=True)
class Evaluation:
    """How wrong guesses are."""

    num_images: int
    num_classes: int
    errors: tuple[float, ...]  # top-1 .. top-5, 0..1
    num_unknown: int  # guesses of no class of the set
    num_without: int  # images without guesses, which are not counted


def evaluate(truth: Truth, guesses: Guesses) -> Evaluation:
    """Count. Raises: SettingError when not one guess is of a class of the set."""
    if guesses.num_unknown and not (guesses.classes >= 0).any():
        raise SettingError("no guess names a class of the set. Are the guesses for another one?")
    errors = top_errors(guesses.classes, truth.classes[guesses.rows])
    without = len(truth.classes) - len(guesses.rows)
    return Evaluation(len(guesses.rows), len(truth.names), tuple(errors.tolist()), guesses.num_unknown, without)


def top_errors(guesses: IntArray, truth: IntArray) -> FloatArray:
    """(5,) share of images, 0..1, whose class is not among the first 1, 2, .. 5 guesses.

    Args: guesses: (n, g) classes, best first, -1 = none. truth: (n,) >= 0.
    """
    ranked = np.full((len(truth), TOP), -1, np.int64)
    width = min(TOP, guesses.shape[1])
    ranked[:, :width] = guesses[:, :width]
    right = np.cumsum(ranked == truth[:, None], axis=1) > 0
    return np.asarray(1 - right.mean(axis=0))


def read_truth(path: Path) -> Truth:
    """Read a down-sampled set (its folder, or its val_images.csv), an image_subset.parquet (its val split), or a text
    file with the label or id of a class a line.

    Raises: ArtifactError when it cannot be read, or is none of these.
    """
    if path.is_dir():
        path = path / "val_images.csv"
    with reading(path, "a list of images and classes", "Give a down-sampled set, an image_subset.parquet or a text."):
        if path.suffix == ".parquet":
            return truth_of(ImageSubset.load(path))
        if path.suffix == ".csv":
            return _truth_of_listing(path)
        return _truth_of_lines(path)


def truth_of(subset: ImageSubset) -> Truth:
    """The validation images of a subset."""
    both = (subset.train, subset.val)
    of_label = {
        int(old): int(new)
        for images in both
        for old, new in np.unique(np.stack([images.labels, images.new_labels], axis=1), axis=0)
    }
    names = tuple((str(label + 1), class_id) for label, class_id in enumerate(subset.class_ids))
    return Truth(names, subset.val.new_labels, subset.val.paths, of_label)


def _truth_of_listing(path: Path) -> Truth:
    rows = read_rows(path, ("label", "class_id", "path"))
    if not rows:
        raise ArtifactError(f"{path}: has no row. Expected label, class_id and path.")
    names, classes = _number([(row["label"], row["class_id"]) for row in rows])
    return Truth(names, classes, tuple(row["path"] for row in rows))


def _truth_of_lines(path: Path) -> Truth:
    words = read_text(path).split()
    if not words:
        raise ArtifactError(f"{path}: is empty. Expected the label or id of a class a line.")
    return Truth(*_number([(word,) for word in words]))


def _number(of_images: Sequence[tuple[str, ...]]) -> tuple[tuple[tuple[str, ...], ...], IntArray]:
    """The classes that occur, and which of them each image is."""
    names = sorted(set(of_images))
    place = {one: i for i, one in enumerate(names)}
    return tuple(names), np.array([place[one] for one in of_images], np.int64)


def read_guesses(path: Path, truth: Truth) -> Guesses:
    """Read a text file with the guesses for an image a line, best first: labels or class ids, between spaces or commas.

    Raises: SettingError for a file that cannot be read, of another number of lines, with an empty line, or whose
        labels begin with 0 where the set's begin with 1.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise SettingError(f"--guesses {path}: cannot be read as text ({error}).") from error
    if len(lines) != len(truth.classes):
        raise SettingError(f"{path}: has {len(lines):,} lines, and the set has {len(truth.classes):,} images.")
    place = {names[0]: i for i, names in enumerate(truth.names)}
    for i, names in enumerate(truth.names):
        place.setdefault(names[-1], i)  # where class ids are numbers, too, a number is a label
    classes = np.full((len(lines), TOP), -1, np.int64)
    unknown = 0
    for row, line in enumerate(lines):
        words = re.split(r"[\s,]+", line.strip(" \t,"))[:TOP]
        if words == [""]:
            raise SettingError(f"{path}, line {row + 1}: is empty, expected at least one guess.")
        if "0" in words and "0" not in place and "1" in place:
            raise SettingError(f"{path}, line {row + 1}: guesses label 0, and the labels of this set begin with 1.")
        found = [place.get(word, -1) for word in words]
        classes[row, : len(found)] = found
        unknown += found.count(-1)
    return Guesses(np.arange(len(lines)), classes, unknown)


def guesses_of(predictions: Predictions, truth: Truth) -> Guesses:
    """Take what a network said of the images of the set, whatever else it was asked.

    Raises: SettingError when the set does not say which files it is of, or one of them was neither predicted nor
        skipped.
    """
    if truth.paths is None:
        raise SettingError(
            "predictions are found by the files' paths, and this list of classes has none. Use --guesses."
        )
    place = {path: i for i, path in enumerate(predictions.paths)}
    skipped = {one.path for one in predictions.skipped}
    lost = [path for path in truth.paths if path not in place and path not in skipped]
    if lost:
        raise SettingError(
            f"{len(lost):,} of {len(truth.paths):,} images are not among the predictions, {lost[0]!r} first. "
            "Are these predictions for another data set?"
        )
    rows = np.array([row for row, path in enumerate(truth.paths) if path in place], np.int64)
    top = predictions.top_ids[[place[truth.paths[row]] for row in rows]]
    classes = _classes_of_labels(predictions, truth)[top]
    return Guesses(rows, classes, int((classes < 0).sum()))


def _classes_of_labels(predictions: Predictions, truth: Truth) -> IntArray:
    """(K,) the class of the truth that each class of the network is; -1 = none."""
    if truth.of_label is not None:
        return np.array([truth.of_label.get(label, -1) for label in range(len(predictions.class_ids))], np.int64)
    place = {name: i for i, names in enumerate(truth.names) for name in names[1:]}
    return np.array([place.get(class_id, -1) for class_id in predictions.class_ids], np.int64)
