"""Runs in a child process of its own: FFCV's DatasetWriter, and the reading back of what it wrote."""

import io
import itertools
import json
import os
import tempfile
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rescale_fast.export.beton import WriteJob, WriteResult

COMPARED_PIXELWISE = 64  # images, evenly spaced
MAX_MEAN_DIFFERENCE = 12.0  # grey levels between an image and its JPEG copy; a wrong image differs by far more


def serve(pipe: Connection, done: Any) -> None:
    """Take WriteJobs from the pipe and answer each with a WriteResult, until the other end closes."""
    os.setsid()  # a group of our own, so that the parent can end FFCV's workers with us
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # FFCV prints a progress bar of its own
    os.dup2(silence, 2)
    with suppress(EOFError), tempfile.TemporaryDirectory(prefix="rescale_fast-") as scratch:
        for number in itertools.count():
            pipe.send(_write_and_check(pipe.recv(), done, Path(scratch) / f"{number}.jsonl"))


def _write_and_check(job: WriteJob, done: Any, log: Path) -> WriteResult:
    _write(job, done, log)
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    unreadable = tuple(sorted({(row, reason) for row, reason in map(json.loads, lines)}))
    return WriteResult(None, unreadable) if unreadable else _read_back(job)


def load_image(path: str) -> Image.Image:
    """Open an image as RGB, as ImageFolder does. Raises: OSError or ValueError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            return image.convert("RGB")


class _Samples:
    """The samples as FFCV's writer wants them. Never raises: that would make the writer wait for ever."""

    def __init__(self, job: WriteJob, done: Any, log: Path) -> None:
        self.job = job
        self.done = done
        self.log = log

    def __len__(self) -> int:
        return len(self.job.paths)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int, int]:
        try:
            pixels = np.array(load_image(self.job.paths[i]))
        except Exception as error:  # whatever it is, it is reported, with its file
            reason = f"{type(error).__name__}: {error}".replace(self.job.paths[i], Path(self.job.paths[i]).name)
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps([self.job.rows[i], reason]) + "\n")
            pixels = np.zeros((1, 1, 3), np.uint8)
        with self.done.get_lock():
            self.done.value += 1
        return pixels, self.job.labels[i], self.job.rows[i]


def _write(job: WriteJob, done: Any, log: Path) -> None:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter

    image = RGBImageField(
        write_mode="jpg", max_resolution=job.settings.max_side or None, jpeg_quality=job.settings.quality
    )
    writer = DatasetWriter(
        job.target,
        {"image": image, "label": IntField(), "index": IntField()},
        num_workers=max(1, min(job.num_workers, len(job.paths) // 100)),
    )
    writer.from_indexed_dataset(_Samples(job, done, log))


def _read_back(job: WriteJob) -> WriteResult:
    """Compare labels and rows of every sample, and the pixels of some, with what was asked for."""
    from ffcv.reader import Reader

    reader = Reader(job.target)
    meta = reader.metadata
    names = meta.dtype.names  # f0 image, f1 label, f2 index

    def bad(what: str) -> WriteResult:
        return WriteResult(what, ())

    if len(meta) != len(job.paths):
        return bad(f"it holds {len(meta)} samples instead of {len(job.paths)}")
    if meta[names[1]].ravel().tolist() != list(job.labels) or meta[names[2]].ravel().tolist() != list(job.rows):
        return bad("labels or row numbers differ")
    sizes = {int(pointer): int(size) for _, pointer, size in reader.alloc_table}
    image = meta[names[0]]
    with Path(job.target).open("rb") as file:
        for i in np.unique(np.linspace(0, len(meta) - 1, COMPARED_PIXELWISE).astype(int)):
            pointer = int(image["data_ptr"][i])
            file.seek(pointer)
            stored = Image.open(io.BytesIO(file.read(sizes.get(pointer, 0)))).convert("RGB")
            if stored.size != (int(image["width"][i]), int(image["height"][i])):
                return bad(f"sample {i} is {stored.size} pixels, its record says otherwise")
            source = load_image(job.paths[i]).resize(stored.size, Image.Resampling.BOX)
            difference = np.abs(np.asarray(source, np.float32) - np.asarray(stored, np.float32)).mean()
            if difference > MAX_MEAN_DIFFERENCE:
                return bad(f"sample {i} differs from {job.paths[i]} by {difference:.1f} grey levels on average")
    return WriteResult(None, (), int(image["width"].max()), int(image["height"].max()))
