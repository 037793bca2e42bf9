"""Down-sampling, exact and fast, beside a process pool of Pillow, in one run.

    python -m benchmarks.bench_downsample [--quick]

Images are 500 x 375 photograph-like JPEGs of quality 90 (about 66 KB), made here, in the page cache when they are read.
The pool has two processes, each of which opens, converts and resizes with Pillow; ours has two threads, and its times
contain writing the parts. Ways take turns; medians are kept. Every pixel of the exact mode is compared with Pillow's,
and the fast mode's difference is reported. Writes benchmarks/results/downsample.csv, or, with --quick, only prints.
"""

import argparse
import os
import platform
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.bench_export import make_images
from benchmarks.table import write_table
from rescale_fast.small.downsample import Work, make_parts
from rescale_fast.small.settings import DownsampleSettings, Filter

WORKERS = 2
CASES: tuple[tuple[int, Filter], ...] = ((32, "box"), (32, "lanczos"), (64, "box"))
Pixels = NDArray[np.uint8]


def resize_one(side: int, filter_name: str, path: Path) -> Pixels:
    """What a worker of the pool does: (3 * side * side,) as batch files have it."""
    image = Image.open(path).convert("RGB").resize((side, side), Image.Resampling[filter_name.upper()])
    return np.asarray(image).transpose(2, 0, 1).ravel()


def pillow_pool(paths: list[Path], side: int, filter_name: Filter) -> Pixels:
    with get_context("fork").Pool(WORKERS) as pool:
        found = np.stack(pool.map(partial(resize_one, side, filter_name), paths, chunksize=64))
        pool.close()
        pool.join()  # so that the workers' CPU-seconds are counted
    return found


def ours(paths: list[Path], side: int, filter_name: Filter, decode: Literal["exact", "fast"], folder: Path) -> Pixels:
    shutil.rmtree(folder, ignore_errors=True)
    settings = DownsampleSettings(side=side, filter=filter_name, decode=decode)
    work = Work(paths[0].parent, "train", [path.name for path in paths], settings, folder, "benchmark")
    return np.concatenate([part.pixels() for part in make_parts(work, num_threads=WORKERS)])


def cpu_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def run_case(paths: list[Path], side: int, filter_name: Filter, folder: Path, rounds: int) -> list[dict[str, object]]:
    ways: dict[str, Callable[[], Pixels]] = {
        "Pillow, process pool": partial(pillow_pool, paths, side, filter_name),
        "exact": partial(ours, paths, side, filter_name, "exact", folder),
        "fast": partial(ours, paths, side, filter_name, "fast", folder),
    }
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    pixels: dict[str, Pixels] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            cpu, wall = cpu_seconds(), time.perf_counter()
            pixels[name] = way()
            costs[name].append((cpu_seconds() - cpu, time.perf_counter() - wall))
    np.testing.assert_array_equal(pixels["exact"], pixels["Pillow, process pool"])
    rows: list[dict[str, object]] = []
    middle = {name: [statistics.median(column) for column in zip(*pairs, strict=True)] for name, pairs in costs.items()}
    peer = middle["Pillow, process pool"]
    for name, (cpu, wall) in middle.items():
        difference = np.abs(pixels[name].astype(np.int64) - pixels["exact"])
        rows.append({
            "side": side, "filter": filter_name, "way": name, "images": len(paths), "runs": rounds,
            "cpu_seconds": round(cpu, 3), "wall_seconds": round(wall, 3), "per_cpu_second": round(len(paths) / cpu),
            "times_peer_per_cpu_second": round(peer[0] / cpu, 2), "times_peer_per_second": round(peer[1] / wall, 2),
            "mean_difference": round(float(difference.mean()), 2), "max_difference": int(difference.max()),
        })  # fmt: skip
        print("  ".join(f"{key} {cell}" for key, cell in rows[-1].items()), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few images, one round; nothing is written")
    arguments = parser.parse_args()
    count, rounds = (300, 1) if arguments.quick else (2000, 5)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        make_images(images, count)
        paths = [images / f"{i}.jpg" for i in range(count)]
        for side, filter_name in CASES[: 1 if arguments.quick else None]:
            rows += run_case(paths, side, filter_name, Path(folder) / "parts", rounds)
    if not arguments.quick:
        machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores"
        write_table("downsample", [{"machine": machine} | row for row in rows])


if __name__ == "__main__":
    main()
