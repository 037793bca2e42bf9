"""Compares choices of classes: how much they share, how confused each is inside, what a random choice gives.

Reads a ConfusionMatrix, and Predictions if there are any. A subset is an increasing (k,) int64 array of labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rescale_fast.class_subset.lists import find_list
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import SettingError
from rescale_fast.predictions.types import Predictions
from rescale_fast.types import IntArray

NUM_DRAWS = 400
INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Hardness:
    """How hard a subset is for the network that made the confusion matrix."""

    k: int
    images: float  # of its classes
    value: float  # images of its classes called another of its classes
    errors: float  # misclassified images of its classes
    share_inside: float  # value / errors, 0..1; 0 without errors
    accuracy: float  # on its images, 0..1, when any of the K classes may be answered
    allowed_low: float  # the same when only its k classes may be: at least ...
    allowed_high: float  # ... and at most


def hardness(confusion: ConfusionMatrix, chosen: IntArray, predictions: Predictions | None = None) -> Hardness:
    """Measure a subset.

    When only the k classes are allowed, an image called a class outside goes to the best-ranked class inside. From
    Predictions that class is known if the top 5 hold one; else, and without Predictions, the image counts as
    wrong in allowed_low and as right in allowed_high.
    """
    counts = confusion.counts[chosen]
    inside = counts[:, chosen]
    images, right = int(counts.sum()), int(np.trace(inside))
    errors, value = images - right, int(inside.sum()) - right
    low, high = right, images - value
    if predictions is not None:
        low, high, images = _allowed(predictions, chosen)
    return Hardness(
        k=len(chosen),
        images=int(counts.sum()),
        value=value,
        errors=errors,
        share_inside=value / max(1, errors),
        accuracy=right / max(1, int(counts.sum())),
        allowed_low=low / max(1, images),
        allowed_high=high / max(1, images),
    )


def _allowed(predictions: Predictions, chosen: IntArray) -> tuple[int, int, int]:
    """Images of the chosen classes that are right when only those may be answered: at least, at most, of how many."""
    inside = np.zeros(len(predictions.class_ids), bool)
    inside[chosen] = True
    rows = np.flatnonzero(inside[predictions.labels])
    top = predictions.top_ids[rows]
    known = inside[top]
    answers = top[np.arange(len(rows)), known.argmax(axis=1)]
    right = int(np.sum(known.any(axis=1) & (answers == predictions.labels[rows])))
    return right, right + int(np.sum(~known.any(axis=1))), len(rows)


@dataclass(frozen=True)
class RandomChoice:
    """What random subsets of one size give: the mean of each measure, and the interval 95 % of them fall in."""

    mean: Hardness
    low: Hardness
    high: Hardness


def random_choice(
    confusion: ConfusionMatrix, k: int, predictions: Predictions | None = None, *, seed: int = 0
) -> RandomChoice:
    """Measure NUM_DRAWS random subsets of k classes."""
    rng = np.random.default_rng(seed)
    draws = [
        hardness(confusion, np.sort(rng.choice(confusion.num_classes, k, replace=False)), predictions)
        for _ in range(NUM_DRAWS)
    ]
    names = ("images", "value", "errors", "share_inside", "accuracy", "allowed_low", "allowed_high")
    columns = {name: np.array([getattr(draw, name) for draw in draws], float) for name in names}

    def summary(reduce: Callable[[np.ndarray], float]) -> Hardness:
        return Hardness(k, **{name: float(reduce(column)) for name, column in columns.items()})

    return RandomChoice(
        summary(np.mean),
        summary(lambda column: float(np.percentile(column, INTERVAL[0]))),
        summary(lambda column: float(np.percentile(column, INTERVAL[1]))),
    )


@dataclass(frozen=True)
class Comparison:
    """S choices of classes, measured on one confusion matrix."""

    names: tuple[str, ...]  # (S,)
    hardness: tuple[Hardness, ...]  # (S,)
    at_random: Mapping[int, RandomChoice]  # k -> what random choices of as many classes give
    shared: IntArray  # (S, S) classes that each two share


def compare_subsets(
    confusion: ConfusionMatrix, subsets: Mapping[str, IntArray], predictions: Predictions | None = None
) -> Comparison:
    """Measure subsets, random choices of the same sizes, and what each two share.

    Raises: SettingError for predictions about other classes.
    """
    if predictions is not None and predictions.class_ids != confusion.class_ids:
        raise SettingError("--predictions: are about other classes than the confusion matrix.")
    chosen = list(subsets.values())
    return Comparison(
        tuple(subsets),
        tuple(hardness(confusion, one, predictions) for one in chosen),
        {k: random_choice(confusion, k, predictions) for k in sorted({len(one) for one in chosen})},
        overlaps(chosen),
    )


def find_subset(name: str, class_ids: tuple[str, ...], option: str = "--subsets") -> IntArray:
    """(k,) int64 labels of a class_subset.json, by itself or in a run folder, a list, or a published list.

    Raises: SettingError, ArtifactError.
    """
    path = Path(name)
    if path.is_dir():
        path /= "class_subset.json"
    if path.suffix == ".json":
        return labels_in(ClassSubset.load(path), class_ids, str(path))
    return find_list(name, option).labels(class_ids)


def labels_in(subset: ClassSubset, class_ids: tuple[str, ...], source: str) -> IntArray:
    """(k,) int64 labels. Raises: SettingError unless they are of these classes; `source` is what messages call it."""
    for label, class_id in zip(subset.classes, subset.class_ids, strict=True):
        if not (label < len(class_ids) and class_ids[label] == class_id):
            raise SettingError(f"{source}: its class {class_id!r} is not class {label} of the confusion matrix.")
    return np.array(subset.classes, np.int64)


def overlaps(subsets: Sequence[IntArray]) -> IntArray:
    """(S, S) int64: the number of classes that each two subsets share; on the diagonal, their sizes."""
    return np.array([[len(np.intersect1d(a, b)) for b in subsets] for a in subsets], np.int64).reshape(
        len(subsets), len(subsets)
    )
