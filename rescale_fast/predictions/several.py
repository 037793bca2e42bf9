"""Predictions of several networks: read one at a time, each checked to be about the same images and classes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rescale_fast.errors import ArtifactError
from rescale_fast.predictions.types import Predictions


@dataclass(frozen=True)
class _Subject:
    """What predictions are about."""

    name: str  # as messages have it
    class_ids: tuple[str, ...]
    labels: dict[str, int]  # of each image that was predicted, by its path


def load_alike(
    sources: Sequence[Path], *, class_ids: Sequence[str] = (), class_names: Sequence[str] = ()
) -> Iterator[Predictions]:
    """Read each network's predictions (a part or a folder of them) when they are asked for, and check them.

    Args: class_ids, class_names: (K,) of the data set, for files that do not say them.
    Raises: ArtifactError for what cannot be read, and where networks looked at different images or classes.
    """
    read = (Predictions.load(one, class_ids=class_ids, class_names=class_names) for one in sources)
    return check_alike(read, [str(one) for one in sources])


def check_alike(predictions: Iterable[Predictions], names: Sequence[str]) -> Iterator[Predictions]:
    """Pass on each network's predictions, in any order of images, unless they are about others than the first's.

    Args: names: what messages call them.
    Raises: ArtifactError naming the first class, image or label in which two differ.
    """
    first: _Subject | None = None
    for name, one in zip(names, predictions, strict=True):
        subject = _Subject(name, one.class_ids, dict(zip(one.paths, one.labels.tolist(), strict=True)))
        first = first or subject
        _compare(first, subject)
        yield one


def _compare(first: _Subject, other: _Subject) -> None:
    if other.class_ids != first.class_ids:
        raise ArtifactError(f"{other.name}: {_differing_classes(first, other)}. {_NEEDED}")
    for some, rest in ((first, other), (other, first)):
        absent = [path for path in some.labels if path not in rest.labels]
        if absent:
            raise ArtifactError(
                f"{rest.name}: has no prediction of {absent[0]!r} ({len(absent):,} such images), which {some.name} "
                f"has. {_NEEDED}"
            )
    wrong = [path for path, label in other.labels.items() if label != first.labels[path]]
    if wrong:
        raise ArtifactError(
            f"{other.name}: has {wrong[0]!r} under the label {other.labels[wrong[0]]}, {first.name} under "
            f"{first.labels[wrong[0]]} ({len(wrong):,} such images). {_NEEDED}"
        )


_NEEDED = "Give predictions of the same validation images by each network."


def _differing_classes(first: _Subject, other: _Subject) -> str:
    if len(other.class_ids) != len(first.class_ids):
        return f"is about {len(other.class_ids):,} classes, {first.name} about {len(first.class_ids):,}"
    at = next(i for i, (a, b) in enumerate(zip(first.class_ids, other.class_ids, strict=True)) if a != b)
    return f"its class {at} is {other.class_ids[at]!r}, that of {first.name} is {first.class_ids[at]!r}"
