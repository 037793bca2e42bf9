"""What the JSON beside a beton says, compared with the beton's tables. Quick: the content is not read again."""

from collections.abc import Iterator

import numpy as np

from rescale_fast.beton.classes import info_beside
from rescale_fast.beton.file import IMAGE_FIELD, BetonFile
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import ArtifactError
from rescale_fast.types import IntArray


def agreed_info(beton: BetonFile) -> BetonInfo | None:
    """The JSON beside a beton, if there is one. Raises: ArtifactError when it is damaged, or of another beton."""
    info = info_beside(beton)
    if info is not None:
        compare_with_json(beton, info)
    return info


def compare_with_json(beton: BetonFile, said: BetonInfo) -> None:
    """Compare bytes, number of samples, how many have each label, and the largest image with what the JSON says.

    Raises: ArtifactError, naming the first difference.
    """
    for found, expected in _differences(beton, said):
        raise ArtifactError(
            f"{beton.path}: {found}, but {beton.path.with_suffix('.json').name} beside it says {expected}. "
            "Put the JSON that belongs to it there, or make both again."
        )


def _differences(beton: BetonFile, said: BetonInfo) -> Iterator[tuple[str, str]]:
    """(what is found, what the JSON says), cheapest first."""
    images = [beton.records[f"f{i}"] for i, field in enumerate(beton.fields) if field.type_id == IMAGE_FIELD]
    numbers = [("bytes", beton.bytes, said.bytes), ("samples", len(beton), said.num_images)]
    for side, expected in (("width", said.max_width), ("height", said.max_height)):
        numbers.append(
            (f"px as the greatest {side}", max((int(image[side].max()) for image in images), default=0), expected)
        )
    yield from ((f"{found:,} {what}", f"{expected:,}") for what, found, expected in numbers if found != expected)
    labels = beton.integers("label")
    if labels is not None and said.images_per_class:  # else labels are numbers of another kind, which name no class
        yield from _label_differences(labels, said.images_per_class)


def _label_differences(labels: IntArray, images_per_class: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    wrong = np.flatnonzero((labels < 0) | (labels >= len(images_per_class)))
    if len(wrong):
        yield f"sample {wrong[0]:,} has the label {labels[wrong[0]]:,}", f"{len(images_per_class):,} classes, from 0"
        return
    counts = np.bincount(labels, minlength=len(images_per_class)).tolist()
    for label, (found, expected) in enumerate(zip(counts, images_per_class, strict=True)):
        if found != expected:
            yield f"{found:,} images with the label {label}", f"{expected:,}"
