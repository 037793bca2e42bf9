"""Down-samples image files, part by part.

Decoding and resizing run in the core (csrc/image/downsample.cpp) in threads without the GIL; a part is saved while the
next is made. Finished parts stay: after an interruption only the others are made, and several processes may share them.
Measured: benchmarks/results/downsample.csv.
"""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from rescale_fast import _core
from rescale_fast.errors import ArtifactError
from rescale_fast.files import images as image_file
from rescale_fast.files.images import MAX_PIXELS, naming_refused
from rescale_fast.small.parts import Part, load_part, save_part
from rescale_fast.small.settings import DownsampleSettings, Filter, Fit
from rescale_fast.types import Advance, Track, silent

PART_IMAGES = 4096
PART_BYTES = 1 << 26
FITS, FILTERS = get_args(Fit), get_args(Filter)


@dataclass(frozen=True)
class Work:
    """A split to down-sample: files below `root`, in the order in which their pixels will lie."""

    root: Path
    split: str
    paths: Sequence[str]  # (N,)
    settings: DownsampleSettings
    folder: Path  # of the parts
    made_from: str  # digest of all that decides the pixels and their order

    @property
    def part_size(self) -> int:
        """Images of a part."""
        return max(1, min(PART_IMAGES, PART_BYTES // self.settings.values))

    @property
    def num_parts(self) -> int:
        return -(-len(self.paths) // self.part_size)

    def rows(self, number: int) -> range:
        return range(number * self.part_size, min((number + 1) * self.part_size, len(self.paths)))

    def path(self, number: int) -> Path:
        return self.folder / f"{self.split}-{number:06d}.npz"

    def load(self, number: int) -> Part:
        """Raises: ArtifactError unless the part is finished."""
        return load_part(self.path(number), self.made_from)


def make_parts(
    work: Work, *, share: int = 0, num_shares: int = 1, num_threads: int = 0, track: Track = silent
) -> list[Part]:
    """Make those parts of a share of the work that are not finished; return all of that share.

    Args: share: 0..num_shares-1; parts are dealt out in turn.
    Raises: SettingError for impossible settings; DatasetError for a file that the operating system does not give;
        OutputError when a part cannot be written.
    """
    mine = range(share, work.num_parts, num_shares)
    found: dict[int, Part] = {}
    for number in mine:
        with suppress(ArtifactError):  # to be made
            found[number] = work.load(number)
    with (
        track(f"Down-sampling {work.split}", total=sum(len(work.rows(number)) for number in mine)) as advance,
        ThreadPoolExecutor(1) as saver,
        warnings.catch_warnings(),
        naming_refused(),
    ):
        warnings.simplefilter("ignore")  # Pillow's, of which a file in a data set has no use
        advance(sum(len(work.rows(number)) for number in found))
        saved: Future[None] | None = None
        for number in mine:
            if number not in found:
                made = _downsample(work, work.rows(number), num_threads, advance)
                if saved is not None:
                    saved.result()
                saved = saver.submit(_save, work, number, *made)
        if saved is not None:
            saved.result()
    return [found.get(number) or work.load(number) for number in mine]


def _downsample(
    work: Work, rows: range, num_threads: int, advance: Advance
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    paths, settings = work.paths[rows.start : rows.stop], work.settings
    return _core.downsample_images(
        root=os.fsencode(work.root) + b"/",
        names=b"\0".join(os.fsencode(path) for path in paths),
        count=len(paths),
        side=settings.side,
        fit=settings.fit,
        filter=settings.filter,
        grey=settings.colours == "grey",
        fast=settings.decode == "fast",
        max_pixels=MAX_PIXELS,
        num_threads=num_threads,
        waits=image_file.WAITS,
        load=lambda i, content: _load_pixels(work.root / paths[i], content),
        advance=advance,
    )


def _load_pixels(path: Path, content: bytes) -> NDArray[np.uint8] | str:
    from rescale_fast.files.images import load_pixels

    return load_pixels(path, content, MAX_PIXELS, apply_exif=False)


def _save(work: Work, number: int, pixels: NDArray[np.uint8], reasons: dict[int, str]) -> None:
    rows = work.rows(number)
    bad = sorted(reasons)
    kept = np.delete(np.arange(len(rows)), bad)
    flat = pixels.reshape(len(rows), work.settings.values)
    save_part(
        work.path(number),
        work.made_from,
        flat if not bad else flat[kept],
        kept + rows.start,
        {i + rows.start: reasons[i] for i in bad},
    )
