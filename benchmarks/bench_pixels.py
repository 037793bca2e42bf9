"""Pixels: how far the same images are apart through FFCV, DALI and torchvision, and what resizing costs.

    python -m benchmarks.bench_pixels [--images 200] [--quick]

pixels    random crops of drawn photographs, cut and mirrored alike, as levels from 0 to 255. torchvision decodes and
          resizes with PIL, as an ImageFolder does; `ffcv, INTER_AREA` is our loader with the resizing of FFCV's own
          decoders. Stored are JPEGs of 500 x 375 px, JPEGs of a short side of 256 px, and the pixels of these, whose
          differences are resizing alone
resizing  CPU-milliseconds to resize such a crop of a 500 x 375 image, by ours, by FFCV's and by PIL; medians of five

Writes benchmarks/results/loader_pixels.csv and loader_resizing.csv, or, with --quick, only prints.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.bench_export import make_images, subset
from benchmarks.table import write_table
from rescale_fast.artifact import Origin
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.loaders import beton_loader
from rescale_fast.loaders.augment import place_randomly

STORED = {
    "JPEG 500 x 375": ExportSettings(),
    "JPEG 341 x 256": ExportSettings(store="resize"),
    "pixels 341 x 256": ExportSettings(store="raw", max_side=341),
}
AREA = "ffcv, INTER_AREA"
KINDS = ("torchvision", "ffcv", "dali", AREA)
SIZES = (32, 64, 224)
Row = dict[str, object]


def resize_by_area() -> Any:
    import numba
    from ffcv.libffcv import ctypes_resize

    def resize(pixels: Any, width: int, top: int, left: int, rows: int, columns: int, target: Any) -> None:
        ctypes_resize(
            0, pixels.ctypes.data, top + rows, width, top, top + rows, left, left + columns,
            target.ctypes.data, target.shape[0], target.shape[1],
        )  # fmt: skip

    return numba.njit(nogil=True)(resize)


def read(beton: Path, kind: str, size: int) -> Any:
    """(N, 3, S, S) of the first epoch, in its order, which is that of all loaders."""
    import torch

    from rescale_fast.loaders import _ffcv, _triangle

    way: Any = "ffcv" if kind == AREA else kind
    with patch.object(_ffcv, "resize", resize_by_area() if kind == AREA else _triangle.resize):
        loader = beton_loader(beton, split="train", batch_size=50, image_size=size, loader=way, index=False)
        return torch.cat([images.short() for images, _ in loader])


def measure_pixels(beton: Path, stored: str, size: int) -> list[Row]:
    images = {kind: read(beton, kind, size) for kind in KINDS}
    rows: list[Row] = []
    for one, other in combinations(KINDS, 2):
        apart = (images[one] - images[other]).abs()
        mean, most = f"{float(apart.float().mean()):.2f}", int(apart.max())
        rows.append(
            {"stored": stored, "size_px": size, "one": one, "other": other, "mean_levels": mean, "max_levels": most}
        )
    return rows


def measure_resizing(size: int) -> list[Row]:
    from PIL import Image

    from rescale_fast.loaders._triangle import resize

    rng, rows = np.random.default_rng(0), np.arange(100)
    pixels = rng.integers(0, 256, (375, 500, 3), dtype=np.uint8)
    image, target, area = Image.fromarray(pixels), np.empty((size, size, 3), np.uint8), resize_by_area()
    boxes = place_randomly(rows, 0 * rows, np.tile((375, 500), (100, 1)), "crop-flip", size, 0, 0).boxes.tolist()

    def by_pil(pixels: Any, width: int, top: int, left: int, height: int, columns: int, target: Any) -> None:
        image.crop((left, top, left + columns, top + height)).resize((size, size), Image.Resampling.BILINEAR)

    ways: dict[str, Callable[..., None]] = {"ours": resize, "INTER_AREA": area, "PIL": by_pil}
    return [
        {"size_px": size, "by": name, "cpu_ms": f"{_milliseconds(way, pixels.ravel(), boxes, target):.3f}"}
        for name, way in ways.items()
    ]


def _milliseconds(way: Callable[..., None], pixels: Any, boxes: list[list[int]], target: Any) -> float:
    spent = []
    for _ in range(6):
        start = time.process_time()
        for box in boxes:
            way(pixels, 500, box[0], box[1], box[2], box[3], target)
        spent.append(1000 * (time.process_time() - start) / len(boxes))
    return statistics.median(spent[1:])  # the first compiles


def main() -> None:
    parser = argparse.ArgumentParser(description="Pixels through each loader.")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    tables: dict[str, list[Row]] = {"loader_resizing": [row for size in SIZES for row in measure_resizing(size)]}
    tables["loader_pixels"] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder / "images", options.images)
        for number, (stored, settings) in enumerate(STORED.items()):
            beton = folder / f"{number}.beton"
            images = subset(folder / "images", options.images)
            export_beton(folder / "images", images, "train", beton, settings, Origin({}, {}))
            for size in SIZES:
                tables["loader_pixels"] += measure_pixels(beton, stored, size)
    for title, table in tables.items():
        for row in table:
            print(*row.values(), sep=", ")
        if not options.quick:
            write_table(title, table)


if __name__ == "__main__":
    main()
