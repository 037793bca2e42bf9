"""Exports an ImageSubset as .beton files that FFCV reads, each with a JSON beside it.

FFCV's own DatasetWriter does the writing. It waits for ever when one of its workers fails, and importing it
changes torch's threads, so it runs in a child process that is watched: a writer that stops advancing is ended
with an error. What was written is read back and compared before it appears under its final name.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import numpy as np

from rescale_fast.artifact import Origin, file_sha256, write_whole
from rescale_fast.errors import DatasetError, OutputError, SettingError
from rescale_fast.export.settings import ExportSettings
from rescale_fast.export.types import BetonInfo
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from rescale_fast.types import Advance, Track, silent

SECONDS_WITHOUT_PROGRESS = 120.0
SECONDS_TO_END = 10.0


@dataclass(frozen=True)
class WriteJob:
    """What the child process needs to know. Rows are positions within the split of the ImageSubset."""

    paths: tuple[str, ...]  # absolute
    labels: tuple[int, ...]
    rows: tuple[int, ...]
    target: str
    settings: ExportSettings
    num_workers: int


@dataclass(frozen=True)
class WriteResult:
    """What the child process reports."""

    problem: str | None  # why the file is not good; None if it is
    unreadable: tuple[tuple[int, str], ...]  # (row, reason); the file holds placeholders for them
    max_width: int = 0
    max_height: int = 0


class BetonWriter:
    """FFCV's writer in a child process that is watched. A context manager: the child lives until its end."""

    def __init__(self, *, track: Track = silent) -> None:
        self._track = track
        self._context = get_context("spawn")
        self._done = self._context.Value("Q", 0)  # samples that the child has read
        self._child: Any = None
        self._pipe: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        """End the child and FFCV's workers, which share its process group."""
        if self._child is None:
            return
        self._pipe.close()  # idle, it ends by itself; at work or stuck, it has to be ended
        self._child.join(SECONDS_TO_END if failure is None else 0)
        with suppress(ProcessLookupError):  # already gone, or not yet the leader of its own group
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.kill()
        self._child.join()

    def write(self, job: WriteJob, target: Path) -> WriteResult:
        """Have a file written and read back. Raises: OutputError when the child dies or stops advancing."""
        if self._child is None:
            self._start()
        self._done.value = 0
        with self._track(f"Writing {target.name}", total=len(job.paths)) as advance:
            self._pipe.send(job)
            return self._watch(advance, target)

    def _start(self) -> None:
        from rescale_fast.export import _ffcv_writer

        self._pipe, theirs = self._context.Pipe()
        self._child = self._context.Process(target=_ffcv_writer.serve, args=(theirs, self._done))
        # Ctrl-C reaches the whole group of processes; it is ours to handle, so the child inherits deafness to it.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._child.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()

    def _watch(self, advance: Advance, target: Path) -> WriteResult:
        seen, last = 0, time.monotonic()
        while True:
            if self._pipe.poll(0.05):
                try:
                    result: WriteResult = self._pipe.recv()
                except (EOFError, ConnectionResetError):
                    self._child.join()
                    raise OutputError(
                        f"{target}: the writing process ended early (exit code {self._child.exitcode}). Is the machine "
                        "short of memory, or the disk full?"
                    ) from None
                advance(max(0, self._done.value - seen))
                return result
            if self._done.value > seen:
                advance(self._done.value - seen)
                seen, last = self._done.value, time.monotonic()
            if time.monotonic() - last > SECONDS_WITHOUT_PROGRESS:
                free = os.statvfs(target.parent)
                raise OutputError(
                    f"{target}: FFCV's writer has not advanced for {SECONDS_WITHOUT_PROGRESS:.0f} s; it was ended. "
                    f"{free.f_bavail * free.f_frsize / 1e9:.1f} GB are free there: is the disk full?"
                )


def export_beton(
    writer: BetonWriter,
    root: Path,
    subset: ImageSubset,
    split: str,
    target: Path,
    settings: ExportSettings,
    origin: Origin,
    *,
    num_workers: int = 1,
) -> BetonInfo:
    """Write one split of a subset to `target` and its JSON beside it; files that cannot be read are listed there.

    Raises: SettingError for impossible settings; DatasetError when no image of a class can be read;
        OutputError when the file cannot be written or does not read back as what was written.
    """
    _check(settings)
    images = subset.split(split)
    skipped: dict[int, str] = {}
    with write_whole(target) as temporary:
        while True:
            rows = tuple(row for row in range(len(images)) if row not in skipped)
            _check_classes_left(subset, images, rows, skipped)
            job = WriteJob(
                paths=tuple(str(root / images.paths[row]) for row in rows),
                labels=tuple(int(images.new_labels[row]) for row in rows),
                rows=rows,
                target=str(temporary),
                settings=settings,
                num_workers=num_workers,
            )
            result = writer.write(job, target)
            if not result.unreadable:
                break
            skipped.update(result.unreadable)  # written again without them: a beton cannot skip a sample
        if result.problem is not None:
            raise OutputError(f"{target}: what was written does not read back: {result.problem}.")
        info = _describe(subset, split, rows, skipped, result, temporary, origin)
    info.save(target.with_suffix(".json"))
    return info


def _check(settings: ExportSettings) -> None:
    if not 1 <= settings.quality <= 100:
        raise SettingError(f"--quality {settings.quality}: expected 1 to 100.")
    if settings.max_side < 0 or settings.max_side > 65535:
        raise SettingError(f"--max-side {settings.max_side}: expected 0 (no limit) to 65,535 pixels.")


def _check_classes_left(
    subset: ImageSubset, images: SubsetImages, rows: Sequence[int], skipped: Mapping[int, str]
) -> None:
    counts = np.bincount(images.new_labels[list(rows)], minlength=len(subset.class_ids))
    if counts.min() == 0:
        empty = int(counts.argmin())
        reasons = [f"{images.paths[row]}: {why}" for row, why in skipped.items() if images.new_labels[row] == empty]
        detail = f" First: {reasons[0]}" if reasons else ""
        raise DatasetError(f"class {subset.class_ids[empty]!r} has no readable image.{detail}")


def _describe(
    subset: ImageSubset,
    split: str,
    rows: Sequence[int],
    skipped: Mapping[int, str],
    result: WriteResult,
    written: Path,
    origin: Origin,
) -> BetonInfo:
    images = subset.split(split)
    original = dict(zip(images.new_labels.tolist(), images.labels.tolist(), strict=True))
    counts = np.bincount(images.new_labels[list(rows)], minlength=len(subset.class_ids))
    return BetonInfo(
        origin=origin,
        split=split,
        num_images=len(rows),
        class_ids=subset.class_ids,
        class_names=subset.class_names,
        original_labels=tuple(original[label] for label in range(len(subset.class_ids))),
        images_per_class=tuple(int(count) for count in counts),
        stored={"re-encoded": len(rows)},
        skipped=tuple({"path": images.paths[row], "reason": skipped[row]} for row in sorted(skipped)),
        max_width=result.max_width,
        max_height=result.max_height,
        bytes=written.stat().st_size,
        digest=f"sha256:{file_sha256(written)}",
    )
