"""Reading betons to train on them: what our loader costs beside FFCV's own, and how to store for how many epochs.

    python -m benchmarks.bench_reading [--parts overhead store] [--quick] [--folder DIR]

overhead  CPU-seconds of an epoch, decoding and random crops included, through our loader and, the peer, through
          ffcv.Loader with FFCV's own decoders, on the same betons: 50,000 images of 32 px, 2,000 of 500 x 375; and
          those of them that the thread which asks for batches spends on placing, tables, waiting and copying
store     CPU-seconds to write images in each way of storing, with one thread, and to read them as random crops of each
          size, and the bytes that they take

One thread decodes. First epochs, which compile, are not counted; ways take turns, and medians are kept.
Writes benchmarks/results/reading_<part>.csv, or, with --quick, only prints.
"""

import argparse
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench_export import make_images, subset
from benchmarks.table import write_table
from rescale_fast.artifact import Origin
from rescale_fast.export.settings import ExportSettings

SIZES = (32, 64, 128, 224)  # of training, pixels
NOWHERE = Origin({}, {})
Row = dict[str, object]
Epoch = Callable[[], object]


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def write(images: Path, count: int, target: Path, **settings: Any) -> Path:
    from rescale_fast.export.beton import export_beton

    export_beton(images, subset(images, count), "train", target, ExportSettings(**settings), NOWHERE, num_threads=1)
    return target


def all_of(loader: Any) -> Epoch:
    """Reads an epoch; the first is read here."""

    def epoch() -> None:
        for _ in loader:
            pass

    epoch()
    return epoch


def ours(beton: Path, size: int, batch_size: int, *, reuse_buffers: bool) -> Any:
    from rescale_fast.loaders import beton_loader

    return beton_loader(
        beton, split="train", batch_size=batch_size, image_size=size, num_workers=1, reuse_buffers=reuse_buffers
    )


def ffcvs(beton: Path, size: int, batch_size: int) -> Any:
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import RandomHorizontalFlip, ToTensor, ToTorchImage

    crops = RandomResizedCropRGBImageDecoder((size, size))
    image = [crops, RandomHorizontalFlip(), ToTensor(), ToTorchImage(convert_back_int16=False)]
    pipelines = {"image": image, "label": [IntDecoder(), ToTensor()], "index": [IntDecoder(), ToTensor()]}
    shape: Any = {"batch_size": batch_size, "num_workers": 1, "os_cache": True, "drop_last": True}
    return Loader(str(beton), order=OrderOption.RANDOM, seed=1, pipelines=pipelines, **shape)


def costs(epochs: dict[str, Epoch], rounds: int) -> dict[str, tuple[float, float]]:
    """Medians of the CPU-seconds of all threads, and of this one alone, for each way, in turn."""
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in epochs}
    for _ in range(rounds):
        for way, epoch in epochs.items():
            everywhere, here = cpu_seconds(), time.thread_time()
            epoch()
            found[way].append((cpu_seconds() - everywhere, time.thread_time() - here))
    return {
        way: (statistics.median(one for one, _ in pairs), statistics.median(one for _, one in pairs))
        for way, pairs in found.items()
    }


def overhead_part(folder: Path, quick: bool) -> list[Row]:
    rows = []
    for shape, size, count in (((32, 32), 32, 50_000), ((500, 375), 224, 2000)):
        images, num = folder / f"images{size}", count // (10 if quick else 1)
        make_images(images, num // 10, shape)
        beton, batch_size = write(images, num, folder / f"{size}.beton"), 256 if not quick else 64
        epochs = {
            "ffcv.Loader": all_of(ffcvs(beton, size, batch_size)),
            "ours": all_of(ours(beton, size, batch_size, reuse_buffers=False)),
            "ours, reuse_buffers": all_of(ours(beton, size, batch_size, reuse_buffers=True)),
        }
        read = num // batch_size * batch_size
        measured = costs(epochs, 1 if quick else 5)
        for way, (everywhere, here) in measured.items():
            rows.append(
                {
                    "images": f"{shape[0]} x {shape[1]}", "train_size": size, "way": way, "num_images": read,
                    "runs": 1 if quick else 5,
                    "cpu_seconds_per_1000": round(1000 * everywhere / read, 5),
                    "of_these_in_the_asking_thread": round(1000 * here / read, 5),
                    "times_peer": round(everywhere / measured["ffcv.Loader"][0], 3),
                }
            )  # fmt: skip
            show(rows[-1])
    return rows


def ways_of(shape: tuple[int, int], sizes: tuple[int, ...]) -> dict[str, tuple[dict[str, Any], tuple[int, ...]]]:
    """How images of that width and height are stored, and on images of which sizes such a beton is trained."""
    longer = max(shape) / min(shape)
    ways: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {"passthrough": ({}, sizes)}
    if min(shape) > 256:
        ways["passthrough, 4/8"] = {"scale": "4/8"}, sizes
        ways["passthrough, 2/8"] = {"scale": "2/8"}, sizes
        ways["resize, shorter side 256"] = {"store": "resize"}, sizes
        ways["raw, shorter side 256"] = {"store": "raw", "max_side": round(256 * longer)}, sizes
    ways["raw"] = {"store": "raw"}, sizes
    for size in sizes:
        if size < min(shape):
            ways[f"resize, shorter side {size}"] = {"store": "resize", "resize_side": size}, (size,)
    return ways


def store_part(folder: Path, quick: bool) -> list[Row]:
    rows = []
    for shape, sizes, count in (((500, 375), SIZES, 512), ((64, 64), SIZES[:2], 4096)):
        images, num, rounds = folder / f"stored{shape[0]}", count // (8 if quick else 1), 1 if quick else 5
        make_images(images, num, shape)
        for way, (settings, trained) in ways_of(shape, sizes).items():
            target = folder / "stored.beton"
            written = costs({"write": partial(write, images, num, target, **settings)}, rounds)["write"][0]
            loader = ours(target, sizes[0], 64, reuse_buffers=True)
            all_of(loader)
            for size in trained:
                loader.image_size = size
                read = costs({"read": all_of(loader)}, rounds)["read"][0]
                rows.append(
                    {
                        "images": f"{shape[0]} x {shape[1]}", "stored": way, "train_size": size, "num_images": num,
                        "runs": rounds, "bytes_per_image": payload_bytes(target) // num,
                        "write_cpu_seconds_per_1000": round(1000 * written / num, 4),
                        "read_cpu_seconds_per_1000": round(1000 * read / (num // 64 * 64), 4),
                    }
                )  # fmt: skip
                show(rows[-1])
    return rows


def epochs_table(rows: Sequence[Mapping[str, Any]], images: str = "500 x 375") -> list[str]:
    """The lines of docs/export.md on after how many epochs a way of storing has paid for itself, from the part store.

    Ways that keep at least the pixels of Resize(256) are compared with what `--store auto` takes, writing included.
    """
    auto = {32: "passthrough, 2/8", 64: "passthrough, 2/8", 128: "passthrough, 4/8", 224: "passthrough"}
    lines = []
    for size, way in auto.items():
        cost = {
            str(row["stored"]): tuple(float(row[f"{what}_cpu_seconds_per_1000"]) for what in ("write", "read"))
            for row in rows
            if row["images"] == images and int(row["train_size"]) == size
        }
        write, read = cost[way]

        def from_epoch(other: str, cost: dict[str, Any] = cost, write: float = write, read: float = read) -> str:
            saved = read - cost[other][1]
            return f"{max(0.0, (cost[other][0] - write) / saved):.1f}" if saved > 0 else "never"

        others = ("resize, shorter side 256", "raw, shorter side 256", "raw", f"resize, shorter side {size}")
        cells = [f"{size} px", way, f"{cost['passthrough'][1]:.2f}", f"{read:.2f}", *map(from_epoch, others)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def payload_bytes(beton: Path) -> int:
    from rescale_fast.beton.file import read_beton

    return int(read_beton(beton).sizes.sum())


def show(row: Row) -> None:
    print("  ".join(f"{key} {cell}" for key, cell in row.items()), flush=True)


PARTS = {"overhead": overhead_part, "store": store_part}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="few images, one round; nothing is written")
    parser.add_argument("--folder", type=Path, help="where to work; on the disk to be measured")
    arguments = parser.parse_args()
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, no GPU used"
    for part in arguments.parts:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            rows = PARTS[part](Path(folder), arguments.quick)
        if not arguments.quick:
            write_table(f"reading_{part}", [{"machine": machine} | row for row in rows])


if __name__ == "__main__":
    main()
