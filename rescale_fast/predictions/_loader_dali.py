"""The DALI loader: files' bytes -> header -> DALI decodes, resizes and normalises, as torchvision on PIL images.

What a file's header says decides which reader it gets: DALI reads complete 8-bit JPEGs and PNGs, of which all decoders
make the same pixels; everything else (CMYK, arithmetic coding, 16 bits, animations, other formats, cut files, images
above LARGEST_IMAGE) goes to PIL at once, and so do the few files that DALI refuses (`_dali_pipeline.py`). An image's
pixels therefore do not depend on its neighbours.

DALI's own defaults are a pixel off (crop rounding), rotate by EXIF, and round sizes differently; here sizes and regions
come from `placement.py`, and the triangular filter is PIL's antialiased bilinear one. Only what the crop shows is
resized: the region of the source that it comes from, which saves two fifths of the resizing of a 500 x 375 image. Where
the crop reaches the image's edge (nothing is cut off), the outermost pixels differ by a few levels: DALI repeats the
edge, PIL leaves what is beyond it out.

On the CPU, a file that DALI refuses in a run of 32 images or more ends the whole process with a segmentation fault
(DALI 2.4; never seen in runs of 28 or fewer, with 1 to 8 threads), so runs there are short, and joined into batches.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch

from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions._dali_pipeline import DaliReader
from rescale_fast.predictions._loader_torchvision import LoadedBatch, decode_each
from rescale_fast.predictions.encoded import EncodedImage, read_at_once, read_refused

LARGEST_CPU_RUN = 16  # images; see above
LARGEST_IMAGE = 2**25  # pixels; larger ones are decoded a few at a time, by PIL
BATCHES_AHEAD = 2  # that DALI is given beside the one that is waited for
FILES_AT_ONCE = 16  # that a thread reads

_Part = tuple[Sequence[str], Future[list[EncodedImage | OSError]]]  # paths, and what is found there


def dali_batches(
    paths: Sequence[str],
    transform: EvalTransform,
    batch_size: int,
    num_threads: int,
    device: torch.device,
    *,
    hardware_share: float = 0.65,
) -> Iterator[LoadedBatch]:
    """Read all paths in order, each exactly once.

    Args:
        hardware_share: on a GPU, the share of the JPEGs that its hardware decoder is given, where it has one.
    Raises: RescaleError when DALI fails with a JPEG that is known to be good; DatasetError for a file that the
        operating system does not give.
    """
    run_size = batch_size if device.type == "cuda" else min(batch_size, LARGEST_CPU_RUN)
    reader = DaliReader(transform, run_size, 2 * batch_size // run_size, num_threads, device, hardware_share)
    given: deque[_Batch] = deque()
    for positions, images in _read_ahead(paths, batch_size, num_threads):
        batch = _Batch(positions, images, run_size)
        for run in batch.runs:
            reader.give([images[place] for place in run])
        given.append(batch)
        if len(given) > BATCHES_AHEAD:
            yield given.popleft().load(reader, transform, num_threads, device)
    while given:
        yield given.popleft().load(reader, transform, num_threads, device)


def _read_ahead(paths: Sequence[str], batch_size: int, num_threads: int) -> Iterator[tuple[range, list[EncodedImage]]]:
    """The files' bytes, batch after batch, read by threads."""
    with ThreadPoolExecutor(max(2, num_threads)) as pool:  # two at least: they wait more than they work

        def begin(batch: range) -> list[_Part]:
            parts = [paths[at : min(at + FILES_AT_ONCE, batch.stop)] for at in batch[::FILES_AT_ONCE]]
            return [(part, pool.submit(read_at_once, part)) for part in parts]

        begun = deque[tuple[range, list[_Part]]]()
        try:
            for start in range(0, len(paths), batch_size):
                batch = range(start, min(start + batch_size, len(paths)))
                begun.append((batch, begin(batch)))
                if len(begun) > BATCHES_AHEAD:
                    yield _joined(*begun.popleft())
            while begun:
                yield _joined(*begun.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _joined(batch: range, parts: list[_Part]) -> tuple[range, list[EncodedImage]]:
    """Waiting for what was refused is done here, on the main thread, where Ctrl-C ends it."""
    return batch, [image for paths, found in parts for image in read_refused(paths, found.result())]


@dataclass(frozen=True)
class _Batch:
    """Consecutive files, and which of them DALI reads together."""

    positions: range
    images: list[EncodedImage]
    run_size: int

    @property
    def runs(self) -> list[list[int]]:
        """Places in the batch."""
        ours = [place for place, image in enumerate(self.images) if _is_for_dali(image)]
        return [ours[at : at + self.run_size] for at in range(0, len(ours), self.run_size)]

    def load(self, reader: DaliReader, transform: EvalTransform, num_threads: int, device: torch.device) -> LoadedBatch:
        """Take the batch's runs from the reader, and decode the rest one by one."""
        pixels = torch.empty(len(self.images), transform.crop, transform.crop, 3, device=device)
        rest = [place for place, image in enumerate(self.images) if not _is_for_dali(image)]
        num_left = len(rest)
        for run in self.runs:
            rest += [run[place] for place in _take(reader, run, pixels)]
        rest.sort()
        images = [self.images[place] for place in rest]
        read = decode_each(images, [self.positions[place] for place in rest], transform, num_threads)
        if read.positions:
            pixels[self._places(read.positions)] = read.images.permute(0, 2, 3, 1).to(device)
        bad = {position for position, _ in read.unreadable}
        positions = tuple(position for position in self.positions if position not in bad)
        if bad:
            pixels = pixels[self._places(positions)]
        num_refused = len(rest) - num_left
        return LoadedBatch(positions, pixels.permute(0, 3, 1, 2), read.unreadable, num_left, num_refused)

    def _places(self, positions: Sequence[int]) -> list[int]:
        return [position - self.positions.start for position in positions]


def _take(reader: DaliReader, run: list[int], pixels: torch.Tensor) -> list[int]:
    """Read a run into its rows of pixels; return the places in it that are refused."""
    if run[-1] - run[0] == len(run) - 1:
        return reader.take(pixels[run[0] : run[-1] + 1])
    rows = pixels.new_empty(len(run), *pixels.shape[1:])
    refused = reader.take(rows)
    pixels[run] = rows
    return refused


def _is_for_dali(image: EncodedImage) -> bool:
    return image.is_plain and image.width * image.height <= LARGEST_IMAGE
