"""Validation: loading beside torchvision's DataLoader, the whole stage beside the same network on ready tensors.

    python -m benchmarks.bench_predictions [--quick]

Images are photograph-like JPEGs of quality 90, mostly 500 x 375, made here, in the page cache when they are read. Each
measurement runs in a process of its own, in turn with its peer; medians are kept. Loading is timed from its seventh
batch to its seventh last, so that neither side's start counts; CPU-seconds are those of the process and its workers.
The whole stage (decoding, network, parquet parts) runs ResNet-18 on the CPU, ResNet-50 in bfloat16 on a GPU, with
random weights. The memory is that of a list of a million files. Writes benchmarks/results/predictions.csv, or, with
--quick, only prints.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import accumulate, islice
from pathlib import Path

import numpy as np
import psutil
import torch

from benchmarks.bench_export import make_images
from benchmarks.table import write_table
from rescale_fast.artifact import Origin
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.build import build_network
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions._loader_torchvision import LoadedBatch
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.predictions.validate import load_batches, predict, run_network

SIZES = {(500, 375): 6, (375, 500): 2, (500, 333): 1, (640, 480): 1}  # tenths of the images
TRANSFORM = EvalTransform(256, 224)
ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda:0" if ON_GPU else "cpu")
NETWORK = "resnet50" if ON_GPU else "resnet18"
BATCH = 256 if ON_GPU else 64
VALIDATION_SETS = {"Places365": 36_500, "ImageNet": 50_000}  # images
Measured = dict[str, float]


def listed(folder: Path, count: int) -> list[str]:
    """`count` files: the folder's, over and over."""
    files = sorted(str(path) for path in folder.rglob("*.jpg"))
    return [files[i % len(files)] for i in range(count)]


def cpu_seconds() -> float:
    """Of this process and its workers so far."""
    process = psutil.Process()
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(time.user + time.system for time in times))


def timed(batches: Iterator[int]) -> Measured:
    """Consume counts of images; measure in the middle, where as much is read ahead at the end as at the beginning."""
    seen = [(images, time.perf_counter(), cpu_seconds()) for images in accumulate(batches)]
    edge = min(6, len(seen) // 4)
    (images, wall, cpu), (images_then, wall_then, cpu_then) = seen[edge], seen[-1 - edge]
    return {"images": images_then - images, "wall_seconds": wall_then - wall, "cpu_seconds": cpu_then - cpu}


def load(way: str, folder: Path, count: int) -> Measured:
    loader, _, share = way.partition(" ")
    threads = MachineSettings().threads
    if loader == "torchvision":
        batches = load_batches(listed(folder, count), TRANSFORM, "torchvision", BATCH, threads, torch.device("cpu"))
    else:
        from rescale_fast.predictions._loader_dali import dali_batches

        hardware = 0.0 if share == "without" else 0.65
        batches = dali_batches(listed(folder, count), TRANSFORM, BATCH, threads, DEVICE, hardware_share=hardware)
    return timed(len(batch.positions) for batch in batches)


def network(way: str, folder: Path, count: int) -> Measured:
    """The network on tensors that are there already."""
    del way, folder
    torch.manual_seed(0)
    images = torch.randn(BATCH, 3, 224, 224, device=DEVICE).contiguous(memory_format=torch.channels_last)

    def ready() -> Iterator[LoadedBatch]:
        for first in range(0, count, BATCH):
            yield LoadedBatch(tuple(range(first, first + BATCH)), images, ())

    net = build_network(NETWORK, 1000).eval()
    with torch.inference_mode():
        outcomes = run_network(net, 1000, DEVICE, ready(), np.zeros(count + BATCH, np.int64))
        return timed(outcome.num_listed for outcome in outcomes)


def whole(way: str, folder: Path, count: int) -> Measured:
    """The whole stage, after one small round that starts everything up."""
    del way
    net = build_network(NETWORK, 1000).eval()

    def run(number: int) -> None:
        root = Path("/")
        paths = tuple(path.removeprefix("/") for path in listed(folder, number))
        images = ImageList(paths, np.arange(number) % 1000)
        classes = tuple(str(c) for c in range(1000))
        dataset = Dataset("bench", "folder", root, classes, classes, {"val": images})
        with tempfile.TemporaryDirectory(dir=folder.parent) as out:
            predict(dataset, net, TRANSFORM, ValidateSettings(), Path(out) / "p", Origin({}, {}))

    run(2 * BATCH)
    cpu, start = cpu_seconds(), time.perf_counter()
    run(count)
    return {"images": count, "wall_seconds": time.perf_counter() - start, "cpu_seconds": cpu_seconds() - cpu}


def memory(way: str, folder: Path, count: int) -> Measured:
    """A list of `count` files, of which the first chunks are predicted by a tiny network, and all parts read back."""
    del way
    from rescale_fast.predictions.chunks import num_chunks, part_path
    from rescale_fast.predictions.types import Predictions

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    classes = tuple(str(c) for c in range(1000))
    real = sorted(folder.rglob("*.jpg"))
    places = [f"{'./' * (i % 40)}{real[i % len(real)].relative_to(folder.parent)}" for i in range(count)]
    images = ImageList(tuple(places), np.arange(count) % 1000)
    dataset = Dataset("bench", "folder", folder.parent, classes, classes, {"val": images})
    read_some([str(dataset.root / path) for path in images.paths])
    with tempfile.TemporaryDirectory() as out:
        rng = np.random.default_rng(0)
        for chunk in range(num_chunks(count)):
            at = np.arange(chunk * 1024, min((chunk + 1) * 1024, count))
            top = rng.random((len(at), 5)).astype(np.float32)
            names = tuple(images.paths[i] for i in at)
            one = Predictions(
                Origin({}, {}),
                classes,
                classes,
                at,
                names,
                at % 1000,
                rng.integers(0, 1000, (len(at), 5)),
                top,
                top[:, 0],
                (),
            )
            one.save(part_path(Path(out), chunk))
        assert len(Predictions.load(Path(out)).indices) == count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "images": count,
        "wall_seconds": 0.0,
        "cpu_seconds": 0.0,
        "peak_mib": peak,
        "peak_mib_of_list": peak - before,
    }


def read_some(paths: list[str]) -> None:
    for _ in islice(load_batches(paths, TRANSFORM, "dali", BATCH, 2, torch.device("cpu")), 20):
        pass


WORKS: dict[str, Callable[[str, Path, int], Measured]] = {
    "load": load,
    "network": network,
    "whole": whole,
    "memory": memory,
}


def measure(kind: str, way: str, folder: Path, count: int) -> Measured:
    """Run it in a child process."""
    program = [sys.executable, "-W", "ignore", "-m", "benchmarks.bench_predictions", "--one", kind, way, str(folder)]
    done = subprocess.run([*program, str(count)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def group(what: str, ways: list[tuple[str, str]], folder: Path, count: int, runs: int) -> list[dict[str, object]]:
    """Measure ways (kind, way) to do one thing in turn; the first is the peer of the others."""
    found: dict[tuple[str, str], list[Measured]] = {way: [] for way in ways}
    for _ in range(runs):
        for kind, way in ways:
            found[kind, way].append(measure(kind, way, folder, count))
    rows: list[dict[str, object]] = []
    speeds = {}
    for key, measured in found.items():
        median = {name: statistics.median(m[name] for m in measured) for name in measured[0]}
        speed = (median["images"] / median["wall_seconds"], median["images"] / median["cpu_seconds"])
        speeds[key] = speed
        rows.append(
            {
                "machine": machine(),
                "what": what,
                "way": " ".join(key),
                "images": count,
                "runs": runs,
                "per_second": round(speed[0], 1),
                "per_cpu_second": round(speed[1], 1),
                "times_peer_per_second": round(speed[0] / speeds[ways[0]][0], 3),
                "times_peer_per_cpu_second": round(speed[1] / speeds[ways[0]][1], 3),
            }
        )
        print(rows[-1], flush=True)
    return rows


def machine() -> str:
    gpu = f", {torch.cuda.get_device_name(0)}" if ON_GPU else ""
    return f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores{gpu}"


def make_photographs(folder: Path, count: int) -> None:
    for (width, height), tenths in SIZES.items():
        make_images(folder / f"{width}x{height}", count * tenths // 10, (width, height))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="half a minute, one round, nothing kept")
    parser.add_argument("--one", nargs=4, metavar=("KIND", "WAY", "FOLDER", "COUNT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, way, folder, count = arguments.one
        print(json.dumps(WORKS[kind](way, Path(folder), int(count))))
        return
    runs = 1 if arguments.quick else 3
    scale = 16 if ON_GPU else 1
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "photographs"
        make_photographs(folder, 200 if arguments.quick else 1000)
        loaders = [("load", "torchvision"), ("load", "dali with hardware decoder" if ON_GPU else "dali")]
        if ON_GPU:
            loaders.append(("load", "dali without hardware decoder"))
        table = group("loading", loaders, folder, scale * (384 if arguments.quick else 2048), runs)
        stage = [("network", "on ready tensors"), ("whole", "stage")]
        table += group(NETWORK, stage, folder, scale * (192 if arguments.quick else 1024), runs)
        speed = float(str(table[-1]["per_second"]))
        for name, count in VALIDATION_SETS.items():
            row = {
                "machine": machine(),
                "what": f"{name}'s validation set, {NETWORK}",
                "way": "computed from the above",
            }
            table.append(row | {"images": count, "wall_seconds": round(count / speed, 1)})
        if not arguments.quick:
            got = measure("memory", "a million files", folder, 1_000_000)
            row = {"machine": machine(), "what": "peak memory", "way": "a list of a million files, its predictions"}
            table.append(row | {key: round(got[key]) for key in ("images", "peak_mib", "peak_mib_of_list")})
        print(*table[-3:], sep="\n")
    if not arguments.quick:
        write_table("predictions", table)


if __name__ == "__main__":
    main()
