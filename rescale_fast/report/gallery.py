"""The most confused pairs of classes, with images of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.datasets.types import Dataset
from rescale_fast.predictions.types import Predictions
from rescale_fast.report.pictures import Picture, picture

NUM_PAIRS = 12
IMAGES_A_SIDE = 3
SIDE = 320  # pixels of an image as it is opened


@dataclass(frozen=True)
class Pair:
    """Two chosen classes that are confused, most confused first; label `a` is the smaller."""

    a: int
    b: int
    a_called_b: int  # images
    b_called_a: int


@dataclass(frozen=True)
class Side:
    """Images of one class of a pair, first those that were taken for the other."""

    name: str
    called: str  # the other class
    count: int  # images of this that were called the other
    images: list[Picture]


@dataclass(frozen=True)
class PairShown:
    """A pair as a page shows it."""

    total: int
    sides: tuple[Side, Side]


def most_confused_pairs(confusion: ConfusionMatrix, classes: Sequence[int], limit: int = NUM_PAIRS) -> list[Pair]:
    """The pairs of classes with the most images confused either way; ties by label."""
    chosen = np.sort(np.array(classes, np.int64))
    counts = confusion.counts[np.ix_(chosen, chosen)]
    either = np.triu(counts + counts.T, 1)
    rows, columns = np.nonzero(either)
    found = np.lexsort((columns, rows, -either[rows, columns]))[:limit]
    return [
        Pair(int(chosen[a]), int(chosen[b]), int(counts[a, b]), int(counts[b, a]))
        for a, b in zip(rows[found], columns[found], strict=True)
    ]


def gallery(
    confusion: ConfusionMatrix, classes: Sequence[int], dataset: Dataset | None, predictions: Predictions | None
) -> list[PairShown]:
    """The most confused pairs; without a data set, without images."""
    names = confusion.class_names

    def side(true: int, other: int, count: int) -> Side:
        images = [] if dataset is None else _images(dataset, predictions, true, other)
        return Side(names[true], names[other], count, images)

    return [
        PairShown(
            pair.a_called_b + pair.b_called_a,
            (side(pair.a, pair.b, pair.a_called_b), side(pair.b, pair.a, pair.b_called_a)),
        )
        for pair in most_confused_pairs(confusion, classes)
    ]


def _images(dataset: Dataset, predictions: Predictions | None, true: int, other: int) -> list[Picture]:
    """Images of class `true`: first those that were called `other`, then others of it."""
    mistaken: list[str] = []
    if predictions is not None:
        hits = (predictions.labels == true) & (predictions.predicted == other)
        mistaken = [predictions.paths[i] for i in np.flatnonzero(hits)]
    val, known = dataset.splits["val"], set(mistaken)
    rest = [val.paths[i] for i in np.flatnonzero(val.labels == true) if val.paths[i] not in known]
    shown: list[Picture] = []
    for path in mistaken + rest:
        made = picture(dataset.root, path, SIDE, mistaken=path in known)
        if made.uri is not None:
            shown.append(made)
        if len(shown) == IMAGES_A_SIDE:
            break
    return shown
