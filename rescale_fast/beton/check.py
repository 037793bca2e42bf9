"""Checks betons: structure, the JSON beside it with its digest and, on request, that every image decodes."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from rescale_fast import _core
from rescale_fast.artifact import file_sha256
from rescale_fast.beton.agreement import agreed_info
from rescale_fast.beton.classes import info_beside
from rescale_fast.beton.digest import file_digest
from rescale_fast.beton.file import IMAGE_FIELD, JPEG_MODE, BetonFile, read_beton
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import ArtifactError
from rescale_fast.files.csv_files import write_csv
from rescale_fast.files.images import MAX_PIXELS
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.types import Track, silent

IMAGE_SUBSET = "image_subset.parquet"  # in a run folder, beside the betons


@dataclass(frozen=True)
class BetonReport:
    """What was found in a sound beton."""

    path: Path
    num_samples: int
    fields: tuple[str, ...]
    bytes: int
    info: BetonInfo | None  # the JSON beside it, if there is one; the digest in it was compared

    def __str__(self) -> str:
        digest = f"content as in its JSON ({self.info.digest})" if self.info else "no JSON beside it, so no digest"
        return (
            f"{self.path}: sound. {self.num_samples:,} samples of {', '.join(self.fields)}; "
            f"{self.bytes / 1e6:,.1f} MB; {digest}"
        )


@dataclass(frozen=True)
class BadImage:
    """An image that does not decode as it should. Its fields are the columns of the list that `check` writes."""

    row: int  # in the beton
    path: str  # of its file within the data set; empty where that is not known
    reason: str
    kind: Literal["error", "warning"]  # error: readers get no image, or another one; warning: the decoder complains


def check_beton(path: Path, *, num_threads: int = 0, track: Track = silent) -> BetonReport:
    """Check the structure of a beton, whoever wrote it, and its content where there is a JSON beside it.

    Raises: ArtifactError, saying what is wrong.
    """
    beton = read_beton(path)
    info = agreed_info(beton)
    if info is not None:
        _compare_digest(beton, info, num_threads, track)
    return BetonReport(path, len(beton), tuple(field.name for field in beton.fields), beton.bytes, info)


def _compare_digest(beton: BetonFile, info: BetonInfo, num_threads: int, track: Track) -> None:
    try:
        found = file_digest(beton.path, num_threads=num_threads, track=track)
    except OSError as error:
        raise ArtifactError(f"{beton.path}: cannot be read ({error.strerror}).") from error
    if found != info.digest:
        raise ArtifactError(
            f"{beton.path}: its content has changed since it was written: {found}, its JSON says {info.digest}. "
            "Make it again, or copy it again from where it came."
        )


def find_bad_images(path: Path, *, num_threads: int = 0, track: Track = silent) -> tuple[BadImage, ...]:
    """Decode every JPEG of a beton; return those that do not decode as they should, in the order of their rows.

    Raises: ArtifactError when the beton's structure is not sound.
    """
    beton = read_beton(path)
    paths = _paths(beton)
    columns = [i for i, field in enumerate(beton.fields) if field.type_id == IMAGE_FIELD]
    bad = []
    for i in columns:
        called = f"{beton.fields[i].name}: " if len(columns) > 1 else ""
        for row, reason, kind in _decode(beton, i, num_threads, track):
            bad.append(BadImage(row, paths[row] if paths else "", called + reason, kind))
    return tuple(sorted(bad, key=lambda one: one.row))


def _decode(
    beton: BetonFile, i: int, num_threads: int, track: Track
) -> Iterator[tuple[int, str, Literal["error", "warning"]]]:
    """(row, reason, kind) of each JPEG in the i-th field that does not decode as it should."""
    image, payload = beton.records[f"f{i}"], sum(field.has_payload for field in beton.fields[:i])
    rows = np.flatnonzero(image["mode"] == JPEG_MODE)
    with beton.path.open("rb") as file, track(f"Decoding {beton.path.name}", total=len(rows)) as advance:
        errors, warnings = _core.check_payloads(
            fd=file.fileno(),
            pointers=np.ascontiguousarray(beton.pointers[rows, payload]),
            sizes=np.ascontiguousarray(beton.sizes[rows, payload]),
            widths=image["width"][rows].astype(np.int64),
            heights=image["height"][rows].astype(np.int64),
            max_pixels=MAX_PIXELS,
            num_threads=num_threads,
            advance=advance,
        )
    yield from ((int(rows[at]), reason, "error") for at, reason in errors.items())
    yield from ((int(rows[at]), reason, "warning") for at, reason in warnings.items())


def _paths(beton: BetonFile) -> list[str] | None:
    """The file of each sample: its `index` in the ImageSubset that, by the JSON, the beton was made from."""
    info, index, listing = info_beside(beton), beton.integers("index"), beton.path.with_name(IMAGE_SUBSET)
    if info is None or index is None or not listing.exists():
        return None
    if info.origin.made_from.get("image_subset") != file_sha256(listing):
        return None
    paths = ImageSubset.load(listing).split(info.split).paths
    return [paths[i] if 0 <= i < len(paths) else "" for i in index.tolist()]


def write_bad_images(bad: Sequence[BadImage], path: Path) -> None:
    """Write a CSV with a line for each image. Raises: OutputError."""
    write_csv(path, [field.name for field in fields(BadImage)], [astuple(one) for one in bad])
