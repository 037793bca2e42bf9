"""What the JSON beside a beton says, compared with the beton's tables. Quick: the content is not read again."""

from collections.abc import Iterator

import numpy as np

from rescale_fast.beton.file import IMAGE_FIELD, BetonFile
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import ArtifactError


def compare_with_json(beton: BetonFile, said: BetonInfo) -> None:
    """Compare bytes, number of samples, how many have each label, and the largest image with what the JSON says.

    Raises: ArtifactError, naming the first difference.
    """
    for what, expected, found in _compared(beton, said):
        if expected != found:
            raise ArtifactError(
                f"{beton.path}: {found:,} {what}, but {beton.path.with_suffix('.json').name} beside it says "
                f"{expected:,}. Put the JSON that belongs to it there, or make both again."
            )


def _compared(beton: BetonFile, said: BetonInfo) -> Iterator[tuple[str, int, int]]:
    """(what, what the JSON says, what is found)."""
    images = [beton.records[f"f{i}"] for i, field in enumerate(beton.fields) if field.type_id == IMAGE_FIELD]
    yield "bytes", said.bytes, beton.bytes
    yield "samples", said.num_images, len(beton)
    for side, largest in (("width", said.max_width), ("height", said.max_height)):
        yield f"px as the greatest {side}", largest, max((int(image[side].max()) for image in images), default=0)
    labels, expected = beton.integers("label"), said.images_per_class
    if labels is None or not expected:
        return
    yield "labels of no class", 0, int(np.count_nonzero((labels < 0) | (labels >= len(expected))))
    for label, count in enumerate(np.bincount(labels, minlength=len(expected)).tolist()):
        yield f"images with the label {label}", expected[label], count
