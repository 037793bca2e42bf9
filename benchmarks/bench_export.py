"""Betons: writing, cutting and reading, beside FFCV's own DatasetWriter and cp, in one run.

    python -m benchmarks.bench_export [--quick] [--folder DIR]

Images are 500 x 375 photograph-like JPEGs of quality 90 (about 66 KB), made here, in the page cache when they are read.
Each measurement runs in a process of its own, in turn with its peer; medians are kept. FFCV's writer gets a data set
like ImageFolder, two workers and the same settings; ours has two threads, and its times contain the fsync. Reading is
stock ffcv.Loader with RandomResizedCrop(224) and one worker, the second epoch. The memory is that of a beton of as
many (tiny) images as ImageNet has. Writes benchmarks/results/export.csv, or, with --quick, only prints.
"""

import argparse
import io
import json
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import write_table
from rescale_fast.artifact import Origin
from rescale_fast.export.settings import ExportSettings
from rescale_fast.image_subset.types import ImageSubset, SubsetImages

THREADS = 2
IMAGENET = 1_281_167  # images
SETTINGS: dict[str, dict[str, Any]] = {
    "passthrough": {},
    "passthrough 4/8": {"scale": "4/8"},
    "resize, longer side 256": {"store": "resize", "resize_by": "cap", "resize_side": 256},
    "raw, longer side 256": {"store": "raw", "max_side": 256},
}
FFCV_SETTINGS: dict[str, dict[str, Any]] = {
    "FFCV's writer": {"write_mode": "jpg", "jpeg_quality": 90},
    "FFCV's writer, longer side 256": {"write_mode": "jpg", "jpeg_quality": 90, "max_resolution": 256},
}


def make_images(folder: Path, count: int, size: tuple[int, int] = (500, 375)) -> None:
    """Smooth shapes under noise, whose JPEGs are as large as photographs'."""
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        small = rng.integers(0, 256, (max(2, size[1] // 16), max(2, size[0] // 16), 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)).astype(np.int64)
        pixels = (smooth + rng.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.jpg", quality=90)


def num_files(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def subset(folder: Path, count: int) -> ImageSubset:
    """`count` images: the folder's, over and over."""
    have = num_files(folder)
    names, labels = tuple(f"{i % have}.jpg" for i in range(count)), np.arange(count) % 2
    images = SubsetImages(("train",) * count, np.arange(count), names, labels, labels)
    return ImageSubset(Origin({}, {}), ("a", "b"), ("a", "b"), images, images)


def write_ours(folder: Path, count: int, target: Path, way: str) -> Callable[[], object]:
    from rescale_fast.export.beton import export_beton

    images, settings = subset(folder, count), ExportSettings(**SETTINGS[way])
    return lambda: export_beton(folder, images, "train", target, settings, Origin({}, {}), num_threads=THREADS)


def write_theirs(folder: Path, count: int, target: Path, way: str) -> Callable[[], object]:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter
    from PIL import Image

    have = num_files(folder)

    class Samples:
        def __len__(self) -> int:
            return count

        def __getitem__(self, i: int) -> tuple[Any, int, int]:
            return Image.open(folder / f"{i % have}.jpg").convert("RGB"), i % 2, i

    fields = {"image": RGBImageField(**FFCV_SETTINGS[way]), "label": IntField(), "index": IntField()}
    writer = DatasetWriter(str(target), fields, num_workers=THREADS)

    def write() -> None:
        writer.from_indexed_dataset(Samples())
        for worker in multiprocessing.active_children():
            worker.join()  # so that their CPU-seconds are counted

    return write


def copy_files(folder: Path, count: int, target: Path, way: str) -> Callable[[], object]:
    del way
    rounds = count // num_files(folder)
    target.mkdir()
    return lambda: [subprocess.run(["cp", "-r", folder, target / str(i)], check=True) for i in range(rounds)]


def cut(source: Path, count: int, target: Path, way: str) -> Callable[[], object]:
    """Every other sample of `source`, or a copy of the file that holds them."""
    from rescale_fast.beton.edit import cut_beton

    rows = np.arange(0, count * 2, 2)
    if way == "cut":
        return lambda: cut_beton(source, target, rows, num_threads=THREADS)
    half = target.with_name("half.beton")
    cut_beton(source, half, rows)

    def copy() -> None:
        subprocess.run(["cp", half, target], check=True)
        if way == "cp, fsync":
            subprocess.run(["sync", target], check=True)

    return copy


def read(source: Path, count: int, target: Path, way: str) -> Callable[[], object]:
    del count, target, way
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import RandomHorizontalFlip, ToTensor, ToTorchImage

    image = [RandomResizedCropRGBImageDecoder((224, 224)), RandomHorizontalFlip(), ToTensor(), ToTorchImage()]
    pipelines = {"image": image, "label": [IntDecoder(), ToTensor()], "index": None}
    loader = Loader(
        str(source), 64, num_workers=1, order=OrderOption.RANDOM, drop_last=False, seed=1, pipelines=pipelines
    )

    def epoch() -> None:
        for _ in loader:
            pass

    epoch()  # compiles
    return epoch


WORKS = {"write": write_ours, "write FFCV": write_theirs, "copy": copy_files, "cut": cut, "read": read}


def measure_here(kind: str, way: str, source: Path, count: int, target: Path) -> None:
    """In the child process: prints what the work cost, as JSON."""
    work = WORKS[kind](source, count, target, way)
    before, start = _cpu_seconds(), time.perf_counter()
    work()
    wall, cpu = time.perf_counter() - start, _cpu_seconds() - before
    status = Path("/proc/self/status").read_text(encoding="ascii")  # getrusage would count the parent's memory
    peak = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    print(json.dumps({"wall_seconds": wall, "cpu_seconds": cpu, "peak_mib": peak}))


def _cpu_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def measure(kind: str, way: str, source: Path, count: int, target: Path) -> dict[str, float]:
    """Run it in a child process, on a target that is not there."""
    shutil.rmtree(target, ignore_errors=True)
    target.unlink(missing_ok=True)
    program = [sys.executable, "-W", "ignore", "-m", "benchmarks.bench_export", "--one"]
    arguments = [kind, way, str(source), str(count), str(target)]
    done = subprocess.run([*program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def psnr(first: Path, second: Path) -> float:
    """Decibels between the images of two betons of the same images and sizes."""
    from PIL import Image

    from rescale_fast.beton.file import read_beton

    def pixels(path: Path) -> list[NDArray[np.float64]]:
        beton, content = read_beton(path), path.read_bytes()
        places = zip(beton.pointers[:100, 0], beton.sizes[:100, 0], strict=True)
        return [np.asarray(Image.open(io.BytesIO(content[at : at + size])), np.float64) for at, size in places]

    errors = [((a - b) ** 2).mean() for a, b in zip(pixels(first), pixels(second), strict=True)]
    return float(10 * np.log10(255**2 / np.mean(errors)))


class Bench:
    """Measures groups of ways to do one thing; the first way of a group is the peer of the others."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder = folder
        self.rounds = rounds
        self.rows: list[dict[str, object]] = []

    def group(self, what: str, ways: list[tuple[str, str, Path, int, Path]], rounds: int | None = None) -> None:
        """ways: (kind, way, source, images, target)."""
        results: list[list[dict[str, float]]] = [[] for _ in ways]
        for _ in range(rounds or self.rounds):
            for found, way in zip(results, ways, strict=True):
                found.append(measure(*way))
        peer: dict[str, float] = {}
        for found, (_, name, _, count, _) in zip(results, ways, strict=True):
            middle = {key: statistics.median(one[key] for one in found) for key in found[0]}
            rates = {"per_cpu_second": count / middle["cpu_seconds"], "per_second": count / middle["wall_seconds"]}
            peer = peer or rates
            ratios = {f"times_peer_{key}": round(rates[key] / peer[key], 2) for key in rates}
            numbers = {key: round(value, 3 if "seconds" in key else 0) for key, value in middle.items()}
            row = {"what": what, "way": name, "images": count, "runs": len(found), "psnr_db": "", **numbers}
            self.rows.append(row | {key: round(value) for key, value in rates.items()} | ratios)
            print("  ".join(f"{key} {cell}" for key, cell in self.rows[-1].items()), flush=True)

    def costs(self, what: str) -> dict[str, float]:
        """CPU-milliseconds an image of each way."""
        return {str(row["way"]): 1000 / float(str(row["per_cpu_second"])) for row in self.rows if row["what"] == what}


def run(bench: Bench, num_encoded: int, num_copied: int, num_tiny: int, *, read_all: bool) -> None:
    images, betons = bench.folder / "images", bench.folder
    make_images(images, num_encoded)
    ours = {way: betons / f"{i}.beton" for i, way in enumerate(SETTINGS)}
    theirs = {way: betons / f"ffcv{i}.beton" for i, way in enumerate(FFCV_SETTINGS)}
    whole, small = FFCV_SETTINGS
    resized, raw = "resize, longer side 256", "raw, longer side 256"
    bench.group(
        "write, longer side 256",
        [
            ("write FFCV", small, images, num_encoded, theirs[small]),
            ("write", resized, images, num_encoded, ours[resized]),
            ("write", raw, images, num_encoded, ours[raw]),
        ],
    )
    bench.rows[1]["psnr_db"] = round(psnr(ours[resized], theirs[small]), 1)
    bench.group(
        "write, full size",
        [
            ("write FFCV", whole, images, num_encoded, theirs[whole]),
            ("write", "passthrough", images, num_copied, ours["passthrough"]),
            ("copy", "cp -r", images, num_copied, betons / "copies"),
        ],
    )
    shutil.rmtree(betons / "copies")
    half = num_copied // 2
    cuts = [("cut", way, ours["passthrough"], half, betons / "cut.beton") for way in ("cp, fsync", "cp", "cut")]
    bench.group("cut half of a beton", cuts)
    for way in ("passthrough", "passthrough 4/8"):
        measure("write", way, images, num_encoded, ours[way])
    sources = {**theirs, **ours}
    order = [whole, "passthrough", "passthrough 4/8", small, resized, raw] if read_all else [whole, "passthrough"]
    bench.group("read", [("read", way, sources[way], num_encoded, betons / "none") for way in order])
    tiny = betons / "tiny"
    make_images(tiny, 100, (24, 24))
    bench.group("peak memory", [("write", "passthrough", tiny, num_tiny, betons / "tiny.beton")], 1)


def break_even(bench: Bench) -> list[str]:
    """After how many epochs a way whose writing costs more has paid for itself by cheaper reading."""
    write = bench.costs("write, longer side 256") | bench.costs("write, full size")
    write["passthrough 4/8"] = write["passthrough"]
    reading = bench.costs("read")
    lines = []
    for way in ("resize, longer side 256", "raw, longer side 256", "FFCV's writer, longer side 256"):
        for other in ("passthrough", "passthrough 4/8"):
            saved = reading[other] - reading[way]
            epochs = (write[way] - write[other]) / saved if saved > 0 else float("inf")
            lines.append(f"{way} pays against {other} after {epochs:.1f} epochs (in CPU-seconds)")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few images, one round; nothing is written")
    parser.add_argument("--folder", type=Path, help="where to work; on the disk to be measured")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, way, source, count, target = arguments.one
        measure_here(kind, way, Path(source), int(count), Path(target))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        bench = Bench(Path(folder), 1 if arguments.quick else 3)
        if arguments.quick:
            run(bench, 400, 4000, 100_000, read_all=False)
        else:
            run(bench, 2000, 10_000, IMAGENET, read_all=True)
    if not arguments.quick:
        print("\n".join(break_even(bench)))
        machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores"
        write_table("export", [{"machine": machine} | row for row in bench.rows])


if __name__ == "__main__":
    main()
