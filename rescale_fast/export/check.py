"""Checks betons: structure, the JSON beside it with its digest and, on request, that every image decodes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rescale_fast import _core
from rescale_fast.beton_file import IMAGE_FIELD, JPEG_MODE, BetonFile, read_beton
from rescale_fast.errors import ArtifactError
from rescale_fast.export.digest import file_digest
from rescale_fast.export.types import BetonInfo
from rescale_fast.types import Track, silent


@dataclass(frozen=True)
class BetonReport:
    """What was found in a sound beton."""

    path: Path
    num_samples: int
    fields: tuple[str, ...]
    bytes: int
    info: BetonInfo | None  # the JSON beside it, if there is one; the digest in it was compared
    num_decoded: int

    def __str__(self) -> str:
        digest = f"content as in its JSON ({self.info.digest})" if self.info else "no JSON beside it, so no digest"
        decoded = f", {self.num_decoded:,} images decoded" if self.num_decoded else ""
        return (
            f"{self.path}: sound. {self.num_samples:,} samples of {', '.join(self.fields)}; "
            f"{self.bytes / 1e6:,.1f} MB; {digest}{decoded}"
        )


def check_beton(path: Path, *, decode: bool = False, num_threads: int = 0, track: Track = silent) -> BetonReport:
    """Check a beton, whoever wrote it.

    Without a JSON beside it, changed bytes inside a payload are found by `decode` only, and not all of them.
    Raises: ArtifactError, saying what is wrong.
    """
    beton = read_beton(path)
    beside = path.with_suffix(".json")
    info = BetonInfo.load(beside) if beside.exists() else None
    if info is not None:
        _compare(beton, info, beside, num_threads, track)
    decoded = _decode(beton, num_threads, track) if decode else 0
    return BetonReport(path, len(beton), tuple(field.name for field in beton.fields), beton.bytes, info, decoded)


def _compare(beton: BetonFile, info: BetonInfo, beside: Path, num_threads: int, track: Track) -> None:
    if beton.bytes != info.bytes:
        raise ArtifactError(f"{beton.path}: has {beton.bytes:,} bytes, {beside.name} says {info.bytes:,}.")
    if len(beton) != info.num_images:
        raise ArtifactError(f"{beton.path}: holds {len(beton):,} samples, {beside.name} says {info.num_images:,}.")
    labels = beton.integers("label")
    if labels is not None and info.images_per_class:
        wrong = (labels < 0) | (labels >= len(info.images_per_class))
        if wrong.any() or tuple(np.bincount(labels, minlength=len(info.images_per_class))) != info.images_per_class:
            raise ArtifactError(f"{beton.path}: its labels are not those that {beside.name} counts.")
    try:
        found = file_digest(beton.path, num_threads=num_threads, track=track)
    except OSError as error:
        raise ArtifactError(f"{beton.path}: cannot be read ({error.strerror}).") from error
    if found != info.digest:
        raise ArtifactError(
            f"{beton.path}: its content has changed since it was written: {found}, {beside.name} says {info.digest}. "
            "Make it again, or copy it again from where it came."
        )


def _decode(beton: BetonFile, num_threads: int, track: Track) -> int:
    """Decode every JPEG payload; return the number of images."""
    decoded, payload = 0, 0
    for i, field in enumerate(beton.fields):
        if field.type_id == IMAGE_FIELD:
            image = beton.records[f"f{i}"]
            rows = np.flatnonzero(image["mode"] == JPEG_MODE)
            with beton.path.open("rb") as file, track(f"Decoding {beton.path.name}", total=len(rows)) as advance:
                reasons = _core.check_payloads(
                    fd=file.fileno(),
                    pointers=np.ascontiguousarray(beton.pointers[rows, payload]),
                    sizes=np.ascontiguousarray(beton.sizes[rows, payload]),
                    widths=image["width"][rows].astype(np.int64),
                    heights=image["height"][rows].astype(np.int64),
                    num_threads=num_threads,
                    advance=advance,
                )
            if reasons:
                at = min(reasons)
                raise ArtifactError(
                    f"{beton.path}: {len(reasons):,} of {len(rows):,} images are damaged. First: sample "
                    f"{int(rows[at]):,} {reasons[at]}."
                )
            decoded += len(image)
        payload += field.has_payload
    return decoded
