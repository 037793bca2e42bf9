"""The JSON beside a beton, compared with the beton's tables. Quick: the file's content is not read again."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rescale_fast.artifact import read_json
from rescale_fast.beton_file import IMAGE_FIELD, BetonFile
from rescale_fast.errors import ArtifactError

SCHEMA = "beton_info/2"  # of export.types.BetonInfo


def compare_with_json(beton: BetonFile) -> bool:
    """Compare a beton with its JSON: bytes, number of samples, how many have each label, and the largest image.

    Returns: whether there is a JSON beside the beton.
    Raises: ArtifactError, naming the first difference; also for a JSON that is damaged.
    """
    beside = beton.path.with_suffix(".json")
    if not beside.exists():
        return False
    said = read_json(beside, SCHEMA)
    try:
        for what, expected, found in _compared(said, beton):
            if expected != found:
                raise ArtifactError(
                    f"{beton.path}: {found:,} {what}, but {beside.name} beside it says {expected}. "
                    "Put the JSON that belongs to it there, or make both again."
                )
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{beside}: lacks the field {error}. Delete it to have it made again.") from error
    return True


def _compared(said: Mapping[str, Any], beton: BetonFile) -> Iterator[tuple[str, Any, int]]:
    """(what, what the JSON says, what is found)."""
    images = [beton.records[f"f{i}"] for i, field in enumerate(beton.fields) if field.type_id == IMAGE_FIELD]
    yield "bytes", said["bytes"], beton.bytes
    yield "samples", said["num_images"], len(beton)
    for side in ("width", "height"):
        yield (
            f"px as the greatest {side}",
            said[f"max_{side}"],
            max((int(image[side].max()) for image in images), default=0),
        )
    labels, classes = beton.integers("label"), said["classes"]
    if labels is None or not classes:
        return
    yield "labels of no class", 0, int(np.count_nonzero((labels < 0) | (labels >= len(classes))))
    for label, count in enumerate(np.bincount(labels, minlength=len(classes)).tolist()):
        yield f"images with the label {label}", classes[label]["num_images"], count
