"""Composes a beton of samples from others. Payloads are copied; no image is decoded.

Any beton will do, those that FFCV's writer made included, with any of FFCV's own field types. Copying runs in the core
(csrc/beton/copy.cpp) in threads without the GIL, a MiB of the new file at a time.
"""

import errno
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from rescale_fast import _core
from rescale_fast.artifact import Origin, write_whole
from rescale_fast.beton.classes import Classes, classes_beside, info_beside, numbered
from rescale_fast.beton.digest import Blocks
from rescale_fast.beton.file import (
    IMAGE_FIELD,
    INT_FIELD,
    BetonFile,
    Field,
    Records,
    page_size_for,
    pages_end,
    pages_start,
    read_beton,
    set_pointers,
)
from rescale_fast.beton.tables import write_tables
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.types import IntArray, Track, silent


@dataclass(frozen=True)
class Part:
    """Samples of one beton."""

    path: Path
    rows: IntArray | None = None  # (m,) which samples, in the order wanted; None = all
    labels: IntArray | None = None  # (m,) their new labels; None = those they have


def compose_beton(
    parts: Sequence[Part],
    target: Path,
    *,
    classes: Classes | None = None,
    replaces: Path | None = None,
    num_threads: int = 0,
    track: Track = silent,
) -> BetonInfo:
    """Write the samples of all parts, in order, to `target`, and its JSON.

    Nothing else may write there meanwhile: the caller, who looked at the sources, holds a lock beside `target`.
    Every value of a sample but its label stays what it was, `index` too. A sample may be taken more than once.
    Args:
        classes: what the labels mean; by default what the JSON beside the first part says, else numbers.
        replaces: the one part that `target` may be.
    Raises: ArtifactError for a damaged source; SettingError when fields differ, a row or label is out of range,
        nothing is left, or `target` is another of the parts; OutputError when the file cannot be written.
    """
    if not target.name:
        raise SettingError(f"{target}: is a folder. Give the beton a name in it.")
    if target.suffix == ".json":
        raise SettingError(f"{target}: is where the JSON beside the beton goes. Call the beton otherwise.")
    _check_target(target, parts, replaces)
    betons = [read_beton(part.path) for part in parts]
    _check_alike(betons)
    fields = betons[0].fields
    rows = [chosen_rows(part, beton) for part, beton in zip(parts, betons, strict=True)]
    records = np.concatenate([beton.records[chosen] for beton, chosen in zip(betons, rows, strict=True)])
    if not len(records):
        raise SettingError(f"{target}: no sample is left to write. Choose at least one row.")
    _relabel(records, fields, parts, rows)
    labels = _label_column(records, fields)
    classes = numbered(None) if labels is None else classes or classes_beside(betons[0]) or numbered(labels)
    counts = _count(labels, classes, target)
    sizes = np.concatenate([beton.sizes[chosen] for beton, chosen in zip(betons, rows, strict=True)])
    page_size = page_size_for(int(sizes.sum()), int(sizes.sum(axis=1).max()))
    start = pages_start(fields, len(records), page_size)
    pointers = _core.place_payloads(np.ascontiguousarray(sizes), start=start, page_size=page_size)
    set_pointers(records, fields, pointers)
    with write_whole(target) as temporary:
        bounds = (start, pages_end(pointers, sizes, page_size))
        pages = _copy(betons, rows, pointers, sizes, bounds, temporary, target.name, num_threads, track)
        digest = write_tables(temporary, fields, records, pointers, sizes, page_size, pages)
        info = _describe(betons, fields, records, classes, counts, temporary.stat().st_size, digest)
        target.with_suffix(".json").unlink(missing_ok=True)  # it would describe another file
    info.save(target.with_suffix(".json"))
    return info


def _check_target(target: Path, parts: Sequence[Part], replaces: Path | None) -> None:
    for part in parts:
        if part.path != replaces and _is_same(part.path, target):
            raise SettingError(f"{target}: is a beton that is read, and would be lost. Give the new one another name.")


def _is_same(path: Path, other: Path) -> bool:
    return path.exists() and other.exists() and path.samefile(other)


def _check_alike(betons: Sequence[BetonFile]) -> None:
    if not betons:
        raise SettingError("no beton was given to take samples from.")
    for beton in betons:
        found, expected = ([(f.name, f.type_id) for f in one.fields] for one in (beton, betons[0]))
        if found != expected:
            raise SettingError(
                f"{beton.path}: its fields (name, type) are {found}, those of {betons[0].path} are {expected}. "
                "Only betons with the same fields in the same order go together."
            )
        if beton.fields != betons[0].fields:
            raise SettingError(
                f"{beton.path}: its fields have the names and types of those of {betons[0].path}, but other arguments: "
                "arrays of another shape or of other numbers. Only betons with the same fields go together."
            )
        if not beton.sizes.shape[1]:
            raise SettingError(f"{beton.path}: none of its fields has a payload; there is nothing to copy.")


def chosen_rows(part: Part, beton: BetonFile) -> IntArray:
    """(m,) the rows of a part. Raises: SettingError for a row that the beton has not."""
    if part.rows is None:
        return np.arange(len(beton))
    rows = np.asarray(part.rows)
    if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
        raise SettingError(f"{part.path}: rows are {rows.dtype} of shape {rows.shape}, expected a list of integers.")
    wrong = np.flatnonzero((rows < 0) | (rows >= len(beton)))
    if wrong.size:
        raise SettingError(f"{part.path}: row {rows[wrong[0]]} is asked for; it has rows 0 to {len(beton) - 1}.")
    return rows.astype(np.int64)


def _label_column(records: Records, fields: tuple[Field, ...]) -> IntArray | None:
    """The labels in records, to be read or overwritten."""
    for i, field in enumerate(fields):
        if (field.name, field.type_id) == ("label", INT_FIELD):
            return records[f"f{i}"]
    return None


def _relabel(records: Records, fields: tuple[Field, ...], parts: Sequence[Part], rows: Sequence[IntArray]) -> None:
    column = _label_column(records, fields)
    at = 0
    for part, chosen in zip(parts, rows, strict=True):
        if part.labels is not None:
            labels = np.asarray(part.labels)
            if column is None:
                names = ", ".join(repr(field.name) for field in fields)
                raise SettingError(f"{part.path}: has no integer field 'label' to change. Its fields: {names}.")
            if labels.shape != chosen.shape or not np.issubdtype(labels.dtype, np.integer):
                raise SettingError(
                    f"{part.path}: labels are {labels.dtype} of the shape {labels.shape}, expected integers of the "
                    f"shape {chosen.shape}."
                )
            if labels.size and not 0 <= labels.min() <= labels.max() < 2**63:
                raise SettingError(f"{part.path}: labels from {labels.min()} to {labels.max()}, expected none below 0.")
            column[at : at + len(chosen)] = labels
        at += len(chosen)


def _count(labels: IntArray | None, classes: Classes, target: Path) -> tuple[int, ...]:
    """Samples of each class; empty when there are no classes."""
    if labels is None or not classes.ids:
        return ()
    if labels.min() < 0 or labels.max() >= len(classes.ids):
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise SettingError(f"{target}: a label would be {wrong}, but there are {len(classes.ids)} classes.")
    return tuple(np.bincount(labels, minlength=len(classes.ids)).tolist())


def _copy(
    betons: Sequence[BetonFile],
    rows: Sequence[IntArray],
    pointers: IntArray,
    sizes: IntArray,
    bounds: tuple[int, int],
    target: Path,
    name: str,
    num_threads: int,
    track: Track,
) -> Blocks:
    with ExitStack() as opened:
        try:
            files = [opened.enter_context(beton.path.open("rb")) for beton in betons]
        except OSError as error:  # of so many at once, perhaps
            raise ArtifactError(f"{error.filename}: cannot be read ({error.strerror}).") from error
        sources = [np.full(len(c) * sizes.shape[1], f.fileno()) for f, c in zip(files, rows, strict=True)]
        origins = [beton.pointers[chosen].ravel() for beton, chosen in zip(betons, rows, strict=True)]
        advance = opened.enter_context(track(f"Writing {name}", total=int(sizes.sum()), unit="bytes"))
        file = opened.enter_context(target.open("rb+", buffering=0))
        try:
            return _core.copy_payloads(
                target=file.fileno(),
                sources=np.concatenate(sources),
                origins=np.concatenate(origins),
                targets=np.ascontiguousarray(pointers.ravel()),
                sizes=np.ascontiguousarray(sizes.ravel()),
                start=bounds[0],
                end=bounds[1],
                num_threads=num_threads,
                advance=advance,
            )
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
            names = ", ".join(str(beton.path) for beton in betons)
            raise ArtifactError(f"{names}: became shorter while it was read. Do not change it meanwhile.") from error


def _describe(
    betons: Sequence[BetonFile],
    fields: tuple[Field, ...],
    records: Records,
    classes: Classes,
    counts: tuple[int, ...],
    size: int,
    digest: str,
) -> BetonInfo:
    images = [records[f"f{i}"] for i, field in enumerate(fields) if field.type_id == IMAGE_FIELD]
    first = info_beside(betons[0])
    return BetonInfo(
        origin=Origin({f"{i} {beton.path.name}": _identity(beton) for i, beton in enumerate(betons)}, {}),
        split=first.split if first else "train",
        num_images=len(records),
        class_ids=classes.ids,
        class_names=classes.names,
        original_labels=classes.original_labels,
        images_per_class=counts,
        stored={"copied": len(records)},
        skipped=(),
        max_width=max((int(image["width"].max()) for image in images), default=0),
        max_height=max((int(image["height"].max()) for image in images), default=0),
        bytes=size,
        digest=digest,
    )


def _identity(beton: BetonFile) -> str:
    """The digest in the JSON beside a beton; without one, of its tables: reading all of it would cost too much."""
    info = info_beside(beton)
    tables = xxhash.xxh3_128(beton.records.tobytes())
    tables.update(beton.sizes.tobytes())
    return info.digest if info else f"xxh3-128 of its records and sizes:{tables.hexdigest()}"
