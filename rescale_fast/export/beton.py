"""Exports an ImageSubset as .beton files that FFCV reads, each with a JSON beside it.

The core (csrc/beton/write.cpp) reads, converts where it must, and writes in threads without the GIL; the bytes
written do not depend on the number of threads. The file gets its header last and its name after that, so it is
whole or absent. Measured: docs/export.md.
"""

import math
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rescale_fast import _core
from rescale_fast.artifact import Origin, write_whole
from rescale_fast.beton.digest import Blocks
from rescale_fast.beton.file import (
    FIELDS,
    PAGE_SIZE,
    USUAL_FIELDS,
    Field,
    Records,
    page_size_for,
    pages_start,
    record_type,
)
from rescale_fast.beton.tables import write_tables
from rescale_fast.beton.types import READ_AT, BetonInfo
from rescale_fast.errors import DatasetError
from rescale_fast.export.scaling import PARTS, fewest_eighths, scaled
from rescale_fast.export.settings import ExportSettings
from rescale_fast.files import images as image_file
from rescale_fast.files.images import MAX_PIXELS, name_as_text, naming_refused
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from rescale_fast.lock import lock_beside
from rescale_fast.types import IntArray, Track, silent

MANY_FILES = 10_000
HOW = {  # what users read of it, by its name in _core.HOW
    "original": "original bytes",
    "original_scaled": "original bytes, above --max-side: read at a smaller scale",
    "resized": "re-encoded",
    "raw": "raw pixels",
    "small_not_jpeg": "raw pixels: a small file, not a JPEG",
    "not_jpeg": "converted: not a JPEG file",
    "four_components": "converted: CMYK or YCCK",
    "odd": "converted: a rare kind of JPEG",
    "incomplete": "converted: incomplete JPEG",
    "over_max_side": "converted: above --max-side",
    "over_page": "converted: larger than a page",
    "turned": "converted: turned upright",
    "bad": "skipped",
}


@dataclass(frozen=True)
class _Written:
    rows: IntArray  # (n,) rows of the split that were written, in order
    is_original: NDArray[np.bool_]  # (n,) JPEGs that kept their bytes and their size
    records: Records  # (n,)
    sizes: IntArray  # (n, 1) bytes
    blocks: Blocks  # digests of all pages
    stored: Mapping[str, int]  # how -> images
    skipped: Mapping[int, str]  # row -> reason


def export_beton(
    root: Path,
    subset: ImageSubset,
    split: str,
    target: Path,
    settings: ExportSettings,
    origin: Origin,
    *,
    least_side: int | None = None,
    num_threads: int = 0,
    page_size: int | None = None,
    track: Track = silent,
) -> BetonInfo:
    """Write one split of a subset to `target` and its JSON beside it; files that are no sound images are listed there.

    Args:
        least_side: have readers decode each of the files' own JPEGs at the smallest part of its size whose shorter side
            has so many pixels; None: whole.
        page_size: bytes, a power of two from 2 MiB; an image larger than a page is shrunk. None: 8 MiB, as FFCV takes
            by default, but 2 MiB for few bytes, of which padding to larger pages would be a multiple.
    Raises: SettingError for impossible settings; DatasetError when no image of a class can be read, for the
        first bad file with --on-bad fail, and for a file that the operating system does not give; OutputError when
        the beton cannot be written.
    """
    images = subset.split(split)
    with lock_beside(target, "export"):
        with write_whole(target) as temporary:
            size = page_size or page_size_for(_bytes_of(root, images), 0)
            written = _write(root, images, temporary, target.name, settings, num_threads, size, track)
            if page_size is None and size < PAGE_SIZE and HOW["over_page"] in written.stored:
                size = PAGE_SIZE  # an image fits only there
                os.truncate(temporary, 0)
                written = _write(root, images, temporary, target.name, settings, num_threads, size, track)
            if least_side is not None:
                written = _read_smaller(written, least_side)
            _check_classes_left(subset, images, written)
            pointers = written.records["f0"]["pointer"].astype(np.int64)[:, None]
            fields = _fields(settings)
            digest = write_tables(temporary, fields, written.records, pointers, written.sizes, size, written.blocks)
            info = _describe(subset, split, written, temporary.stat().st_size, digest, origin)
            target.with_suffix(".json").unlink(missing_ok=True)  # it would describe another file
        info.save(target.with_suffix(".json"))
    return info


def _fields(settings: ExportSettings) -> tuple[Field, ...]:
    return FIELDS if settings.index else USUAL_FIELDS


def _bytes_of(root: Path, images: SubsetImages) -> float:
    """Of all files together. Of many the sizes are not asked, which takes a moment for each: they count as endless."""
    if len(images) > MANY_FILES:
        return math.inf
    total = 0
    for path in images.paths:
        with suppress(OSError):  # which is told when the file is read
            total += (root / path).stat().st_size
    return total


def _write(
    root: Path,
    images: SubsetImages,
    target: Path,
    name: str,
    settings: ExportSettings,
    num_threads: int,
    page_size: int,
    track: Track,
) -> _Written:
    with (
        target.open("rb+", buffering=0) as file,
        track(f"Writing {name}", total=len(images)) as advance,
        warnings.catch_warnings(),
        naming_refused(),
    ):
        warnings.simplefilter("ignore")  # Pillow's, of which a file in a data set has no use
        made = _core.write_images(
            fd=file.fileno(),
            root=os.fsencode(root) + b"/",
            names=b"\0".join(os.fsencode(path) for path in images.paths),
            count=len(images),
            start=pages_start(_fields(settings), len(images), page_size),
            page_size=page_size,
            mode=settings.mode,
            resize_by=settings.resize_by,
            resize_side=settings.resize_side,
            eighths=settings.eighths,
            max_side=settings.max_side,
            quality=settings.quality,
            apply_exif=settings.apply_exif,
            max_pixels=MAX_PIXELS,
            stop_at_bad=settings.on_bad == "fail",
            num_threads=num_threads,
            waits=image_file.WAITS,
            load=lambda row, content: _load_pixels(root / images.paths[row], content, settings),
            advance=advance,
        )
    if settings.on_bad == "fail" and made["reasons"]:
        row, reason = min(made["reasons"].items())
        raise DatasetError(
            f"{root / images.paths[row]}: {reason}. Repair or remove it, or pass --on-bad skip to leave such files out."
        )
    return _collect(images, made, _fields(settings))


def _load_pixels(path: Path, content: bytes, settings: ExportSettings) -> NDArray[np.uint8] | str:
    from rescale_fast.files.images import load_pixels

    return load_pixels(path, content, MAX_PIXELS, apply_exif=settings.apply_exif)


def _collect(images: SubsetImages, made: "_core.WrittenImages", fields: tuple[Field, ...]) -> _Written:
    rows = np.flatnonzero(made["size"])
    records = np.zeros(len(rows), record_type(fields))
    for column in ("mode", "width", "height", "pointer"):
        records["f0"][column] = made[column][rows]
    records["f1"] = images.new_labels[rows]
    if fields == FIELDS:
        records["f2"] = rows
    how = made["how"][rows]
    counts = np.bincount(how, minlength=len(HOW))
    return _Written(
        rows=rows,
        is_original=how == _core.HOW.index("original"),
        records=records,
        sizes=made["size"][rows].astype(np.int64)[:, None],
        blocks=made["blocks"],
        stored={HOW[how]: int(count) for how, count in zip(_core.HOW, counts, strict=True) if count},
        skipped=made["reasons"],
    )


def _read_smaller(written: _Written, least_side: int) -> _Written:
    """The same payloads, with records that make readers decode large images at a part of their size."""
    records = written.records.copy()
    images, original = records["f0"], written.is_original
    eighths = np.where(original, fewest_eighths(images, least_side), 8)
    for side in ("width", "height"):
        images[side] = scaled(images[side].astype(np.int64), eighths)
    counts = np.bincount(eighths[original], minlength=9)
    smaller = {f"{READ_AT} {n}/8 of their size": int(counts[n]) for n in PARTS if counts[n]}
    whole = {HOW["original"]: int(counts[8])} if counts[8] else {}
    others = {how: count for how, count in written.stored.items() if how != HOW["original"]}
    return replace(written, records=records, stored=whole | smaller | others)


def _check_classes_left(subset: ImageSubset, images: SubsetImages, written: _Written) -> None:
    counts = np.bincount(images.new_labels[written.rows], minlength=len(subset.class_ids))
    if counts.min() == 0:
        empty = int(counts.argmin())
        of_class = [row for row in sorted(written.skipped) if images.new_labels[row] == empty]
        detail = f" First: {images.paths[of_class[0]]}: {written.skipped[of_class[0]]}" if of_class else ""
        raise DatasetError(f"class {subset.class_ids[empty]!r} has no readable image.{detail}")


def _describe(subset: ImageSubset, split: str, written: _Written, size: int, digest: str, origin: Origin) -> BetonInfo:
    images = subset.split(split)
    counts = np.bincount(images.new_labels[written.rows], minlength=len(subset.class_ids))
    return BetonInfo(
        origin=origin,
        split=split,
        num_images=len(written.rows),
        class_ids=subset.class_ids,
        class_names=subset.class_names,
        original_labels=_original_labels(images, len(subset.class_ids)),
        images_per_class=tuple(int(count) for count in counts),
        stored=written.stored,
        skipped=tuple(
            {"path": name_as_text(images.paths[row]), "reason": why} for row, why in sorted(written.skipped.items())
        ),
        max_width=int(written.records["f0"]["width"].max()),
        max_height=int(written.records["f0"]["height"].max()),
        bytes=size,
        digest=digest,
    )


def _original_labels(images: SubsetImages, num_classes: int) -> tuple[tuple[int, ...], ...]:
    pairs = np.unique(np.stack([images.new_labels, images.labels]), axis=1).T
    return tuple(tuple(pairs[pairs[:, 0] == label, 1].tolist()) for label in range(num_classes))
