"""Makes betons from betons: cut, merge, append, reorder, relabel. Payloads are copied; no image is decoded.

Any beton will do, those that FFCV's writer made included, with any of FFCV's own field types. Copying runs in the core
(csrc/beton_copy.cpp) in threads without the GIL, in blocks of 1 MiB where payloads lie next to one another.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from rescale_fast import _core
from rescale_fast.artifact import Origin, write_whole
from rescale_fast.beton_file import (
    IMAGE_FIELD,
    INT_FIELD,
    BetonFile,
    Field,
    Records,
    pages_start,
    read_beton,
    set_pointers,
    write_tables,
)
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.export.digest import file_digest
from rescale_fast.export.types import BetonInfo
from rescale_fast.types import IntArray, Track, silent


@dataclass(frozen=True)
class Part:
    """Samples of one beton."""

    path: Path
    rows: IntArray | None = None  # (m,) which samples, in the order wanted; None = all
    labels: IntArray | None = None  # (m,) their new labels; None = those they have


def cut_beton(source: Path, target: Path, rows: IntArray, *, num_threads: int = 0, track: Track = silent) -> BetonInfo:
    """Write the samples `rows` of `source`, in that order, to `target`. Also the way to reorder."""
    return compose_beton([Part(source, rows)], target, num_threads=num_threads, track=track)


def merge_betons(sources: Sequence[Path], target: Path, *, num_threads: int = 0, track: Track = silent) -> BetonInfo:
    """Write the samples of all sources, one source after another, to `target`."""
    return compose_beton([Part(path) for path in sources], target, num_threads=num_threads, track=track)


def append_beton(base: Path, extra: Path, *, num_threads: int = 0, track: Track = silent) -> BetonInfo:
    """Append the samples of `extra` to `base`, which is replaced only when the new file is complete."""
    return merge_betons([base, extra], base, num_threads=num_threads, track=track)


def relabel_beton(
    source: Path,
    target: Path,
    labels: IntArray,
    class_ids: Sequence[str] | None = None,
    *,
    num_threads: int = 0,
    track: Track = silent,
) -> BetonInfo:
    """Write `source` with these labels, (n,), to `target`; class_ids: (k,) by new label."""
    part = Part(source, None, labels)
    return compose_beton([part], target, class_ids=class_ids, num_threads=num_threads, track=track)


def compose_beton(
    parts: Sequence[Part],
    target: Path,
    *,
    class_ids: Sequence[str] | None = None,
    num_threads: int = 0,
    track: Track = silent,
) -> BetonInfo:
    """Write the samples of all parts, in order, to `target` (which may be one of them), and its JSON.

    Every value of a sample but its label stays what it was, `index` too. A sample may be taken more than once.
    Args: class_ids: (k,) by label; by default those that the JSON files beside all the parts agree on, else numbers.
    Raises: ArtifactError for a damaged source; SettingError when fields differ, a row or label is out of range, or
        nothing is left; OutputError when the file cannot be written.
    """
    betons = [read_beton(part.path) for part in parts]
    _check_alike(betons)
    fields, page_size = betons[0].fields, max(beton.page_size for beton in betons)
    rows = [_rows(part, beton) for part, beton in zip(parts, betons, strict=True)]
    records = np.concatenate([beton.records[chosen] for beton, chosen in zip(betons, rows, strict=True)])
    if not len(records):
        raise SettingError(f"{target}: no sample is left to write. Choose at least one row.")
    _relabel(records, fields, parts, rows)
    sizes = np.concatenate([beton.sizes[chosen] for beton, chosen in zip(betons, rows, strict=True)])
    start = pages_start(fields, len(records), page_size)
    pointers, _ = _core.place_payloads(np.ascontiguousarray(sizes), start=start, page_size=page_size)
    set_pointers(records, fields, pointers)
    with write_whole(target) as temporary:
        _copy(betons, rows, pointers, sizes, temporary, target.name, num_threads, track)
        write_tables(temporary, fields, records, pointers, sizes, page_size)
        info = _describe(betons, fields, records, class_ids, temporary)
        target.with_suffix(".json").unlink(missing_ok=True)  # it would describe another file
    info.save(target.with_suffix(".json"))
    return info


def _check_alike(betons: Sequence[BetonFile]) -> None:
    if not betons:
        raise SettingError("no beton was given to take samples from.")
    for beton in betons:
        if beton.fields != betons[0].fields:
            found, expected = ([(f.name, f.type_id) for f in one.fields] for one in (beton, betons[0]))
            raise SettingError(
                f"{beton.path}: its fields (name, type) are {found}, those of {betons[0].path} are {expected}. "
                "Only betons with the same fields go together."
            )
        if not beton.sizes.shape[1]:
            raise SettingError(f"{beton.path}: none of its fields has a payload; there is nothing to copy.")


def _rows(part: Part, beton: BetonFile) -> IntArray:
    if part.rows is None:
        return np.arange(len(beton))
    rows = np.asarray(part.rows)
    if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
        raise SettingError(f"{part.path}: rows are {rows.dtype} of shape {rows.shape}, expected a list of integers.")
    wrong = np.flatnonzero((rows < 0) | (rows >= len(beton)))
    if wrong.size:
        raise SettingError(f"{part.path}: row {rows[wrong[0]]} is asked for; it has rows 0 to {len(beton) - 1}.")
    return rows.astype(np.int64)


def _relabel(records: Records, fields: tuple[Field, ...], parts: Sequence[Part], rows: Sequence[IntArray]) -> None:
    column = next((f"f{i}" for i, one in enumerate(fields) if (one.name, one.type_id) == ("label", INT_FIELD)), None)
    at = 0
    for part, chosen in zip(parts, rows, strict=True):
        if part.labels is not None:
            labels = np.asarray(part.labels)
            if column is None:
                raise SettingError(f"{part.path}: has no integer field 'label' to change.")
            if labels.shape != chosen.shape or (labels.size and labels.min() < 0):
                raise SettingError(
                    f"{part.path}: labels have the shape {labels.shape}, expected {chosen.shape}, none below 0."
                )
            records[column][at : at + len(chosen)] = labels
        at += len(chosen)


def _copy(
    betons: Sequence[BetonFile],
    rows: Sequence[IntArray],
    pointers: IntArray,
    sizes: IntArray,
    target: Path,
    name: str,
    num_threads: int,
    track: Track,
) -> None:
    with ExitStack() as opened:
        files = [opened.enter_context(beton.path.open("rb")) for beton in betons]
        sources = [np.full(len(c) * sizes.shape[1], f.fileno()) for f, c in zip(files, rows, strict=True)]
        origins = [beton.pointers[chosen].ravel() for beton, chosen in zip(betons, rows, strict=True)]
        advance = opened.enter_context(track(f"Writing {name}", total=int(sizes.sum()), unit="bytes"))
        file = opened.enter_context(target.open("rb+", buffering=0))
        _core.copy_payloads(
            target=file.fileno(),
            sources=np.concatenate(sources),
            origins=np.concatenate(origins),
            targets=np.ascontiguousarray(pointers.ravel()),
            sizes=np.ascontiguousarray(sizes.ravel()),
            num_threads=num_threads,
            advance=advance,
        )


def _describe(
    betons: Sequence[BetonFile],
    fields: tuple[Field, ...],
    records: Records,
    class_ids: Sequence[str] | None,
    file: Path,
) -> BetonInfo:
    infos = [_info(beton) for beton in betons]
    first = infos[0]
    column = {(field.name, field.type_id): f"f{i}" for i, field in enumerate(fields)}
    labels = records[column["label", INT_FIELD]] if ("label", INT_FIELD) in column else np.zeros(0, np.int64)
    agree = first is not None and all(one is not None and one.class_ids == first.class_ids for one in infos)
    needed = int(labels.max()) + 1 if len(labels) and labels.min() >= 0 else 0
    keep = first if agree and class_ids is None and first is not None and len(first.class_ids) >= needed else None
    ids = keep.class_ids if keep else tuple(class_ids or map(str, range(needed)))
    if len(ids) < needed:
        raise SettingError(f"there are {len(ids)} class ids, but a label is {needed - 1}.")
    images = [records[name] for (_, type_id), name in column.items() if type_id == IMAGE_FIELD]
    return BetonInfo(
        origin=Origin({f"{i} {beton.path.name}": _identity(beton, infos[i]) for i, beton in enumerate(betons)}, {}),
        split=first.split if first else "train",
        num_images=len(records),
        class_ids=ids,
        class_names=keep.class_names if keep else ids,
        original_labels=keep.original_labels if keep else tuple(range(len(ids))),
        images_per_class=tuple(int(count) for count in np.bincount(labels, minlength=len(ids))) if needed else (),
        stored={"copied": len(records)},
        skipped=(),
        max_width=max((int(image["width"].max()) for image in images), default=0),
        max_height=max((int(image["height"].max()) for image in images), default=0),
        bytes=file.stat().st_size,
        digest=file_digest(file),
    )


def _info(beton: BetonFile) -> BetonInfo | None:
    try:
        return BetonInfo.load(beton.path.with_suffix(".json"))
    except ArtifactError:  # none, or not ours: the beton itself was checked
        return None


def _identity(beton: BetonFile, info: BetonInfo | None) -> str:
    # Reading a whole file in order to name it would cost more than cutting a little out of it.
    tables = xxhash.xxh3_128(beton.records.tobytes())
    tables.update(beton.sizes.tobytes())
    return info.digest if info else f"xxh3-128 of its records and sizes:{tables.hexdigest()}"
