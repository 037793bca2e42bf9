"""Training: the loop through FFCV beside the same loop on ready tensors, and loaders beside one another, in one run.

    python -m benchmarks.bench_train [--parts loader loop accuracy epoch sanity] [--quick] [--folder DIR]

loop      images a second of the training loop; its peer takes its batches, made before, from memory
loader    images a CPU-second of each loader alone, 224 px random crops of 500 x 375 JPEGs; torchvision is the peer
accuracy  seconds until WRN-16-1 has 95 % top-1 on the ten digits of `glyphs`, 32 px, loading and testing included
sanity    steps until each network of the table has overfitted 64 images: the loss is a tenth of what it was; and its
          loss over the first and the last five of 20 steps of `rein` on 32 of them, at the recipe's learning rate
epoch     on a GPU: seconds for an epoch of 39,000 images, as many as ReIN30 has, with ResNet18 at 224 px

Each measurement runs in a process of its own, in turn with its peer; first epochs, which compile, are not counted;
medians are kept. On the CPU half of the cores are the network's, and half the loader's.
Writes benchmarks/results/train_<part>.csv, or, with --quick, only prints.
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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_export import make_images, subset
from benchmarks.table import write_table
from rescale_fast.artifact import Origin
from rescale_fast.beton.types import BetonInfo
from rescale_fast.datasets.glyphs import GlyphSettings, open_glyphs
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from rescale_fast.networks.registry import TABLE

REIN30 = 39_000  # images
TARGET = 0.95
Row = dict[str, object]
Call = tuple[object, ...]


def cpu_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def make_betons(folder: Path, num_photos: int, num_digits: int) -> None:
    """photos.beton, with its files in images/; train.beton and val.beton of digits."""
    nowhere = Origin({}, {})
    make_images(folder / "images", num_photos)
    photos = subset(folder / "images", num_photos)
    export_beton(folder / "images", photos, "train", folder / "photos.beton", ExportSettings(), nowhere)
    digits = open_glyphs(GlyphSettings(classes=10, size=32, train=num_digits // 10, val=100), folder / "digits")
    parts = {
        split: SubsetImages((split,) * len(one), np.arange(len(one)), one.paths, one.labels, one.labels)
        for split, one in digits.splits.items()
    }
    chosen = ImageSubset(nowhere, digits.class_ids, digits.class_names, parts["train"], parts["val"])
    for split in parts:
        export_beton(digits.root, chosen, split, folder / f"{split}.beton", ExportSettings(), nowhere)


class Ready:
    """A loader's batches, kept in memory, as often as wanted."""

    def __init__(self, loader: Any) -> None:
        self.batch_size, self.dataset, self.images_an_epoch = loader.batch_size, loader.dataset, loader.images_an_epoch
        self.batches = [tuple(part.clone() for part in batch) for batch in loader]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def half_the_cores() -> int:
    return max(1, len(os.sched_getaffinity(0)) // 2)


def device_here() -> Any:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def measure_loop(beton: Path, network: str, size: int, batch_size: int, ready: bool, epochs: int) -> Row:
    """Seconds of each epoch after the first."""
    import torch

    from rescale_fast.loaders import beton_loader
    from rescale_fast.train.engine import Advice, Training, trainer_of
    from rescale_fast.train.recipe import FAST

    recipe = replace(FAST.of_batch(batch_size), epochs=epochs + 1, first_size=1.0)
    training = Training(network=network, image_size=size, recipe=recipe, seed=0)
    device = device_here()
    shape: Any = {"batch_size": batch_size, "image_size": size, "num_workers": half_the_cores(), "device": device}
    shape["reuse_buffers"] = True  # as trainings do
    loader: Any = beton_loader(beton, split="train", **shape)
    if ready:
        loader = Ready(loader)
    spent = []
    with trainer_of(training, 10, device, Advice("", "", "--size")) as trainer:
        for epoch in range(epochs + 1):
            start, cpu = time.perf_counter(), cpu_seconds()
            trainer.train_epoch(loader, epoch, lambda _: None)
            if device.type == "cuda":
                torch.cuda.synchronize()
            spent.append((time.perf_counter() - start, cpu_seconds() - cpu))
    wall, cpu = (statistics.median(column) for column in zip(*spent[1:], strict=True))
    return {"images": len(loader) * batch_size, "wall_seconds": wall, "cpu_seconds": cpu}


def measure_loader(beton: Path, kind: Any, num_workers: int) -> Row:
    """Seconds of the second epoch."""
    from rescale_fast.loaders import beton_loader

    loader = beton_loader(
        beton, split="train", batch_size=64, num_workers=num_workers, loader=kind, device=device_here()
    )
    for _ in loader:
        pass
    start, cpu = time.perf_counter(), cpu_seconds() + workers_cpu()
    for _ in loader:
        pass
    wall, cpu = time.perf_counter() - start, cpu_seconds() + workers_cpu() - cpu
    return {"images": len(loader) * 64, "wall_seconds": wall, "cpu_seconds": cpu}


def workers_cpu() -> float:
    """CPU-seconds of processes that still live, such as the DataLoader's workers."""
    import psutil

    return sum(sum(one.cpu_times()[:2]) for one in psutil.Process().children(recursive=True))


def measure_accuracy(folder: Path, epochs: int) -> Row:
    """Trains on the digits; the time ends with the first epoch that has TARGET."""
    from rescale_fast.machine import MachineSettings
    from rescale_fast.train.loop import train_network
    from rescale_fast.train.plan import plan_training
    from rescale_fast.train.settings import TrainSettings

    betons = {split: folder / f"{split}.beton" for split in ("train", "val")}
    infos = {split: BetonInfo.load(path.with_suffix(".json")) for split, path in betons.items()}
    settings = TrainSettings(train_network="WRN-16-1", epochs=epochs)
    training = plan_training(settings, infos["train"], "glyphs")
    start, cpu = time.perf_counter(), cpu_seconds()
    machine = MachineSettings(num_threads=half_the_cores())
    made = train_network(betons, infos, training, folder / "run", Origin({}, {}), machine=machine)
    wall, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    reached = next((epoch["epoch"] for epoch in made.epochs if epoch["val_top1"] >= TARGET), None)
    share = (reached or epochs) / epochs
    return {
        "images": infos["train"].num_images, "wall_seconds": wall * share, "cpu_seconds": cpu * share,
        "epochs": reached or "not reached", "top1_last_epoch": made.last_top1,
    }  # fmt: skip


def measure_sanity(network: str, size: int) -> Row:
    import torch

    from rescale_fast.networks.registry import build_for_training

    device = device_here()
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.randn(64, 3, 5, 5), size=size, mode="bilinear")
    images, labels = smooth.to(device), torch.arange(64, device=device) % 8
    built = build_for_training(network, 8, size).to(device)
    adam = {"VGG16": 1e-4, "GoogLeNet": 3e-4, "InceptionV4": 3e-4}.get(network)  # which SGD trains slowly, if at all
    parameters = list(built.parameters())
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam(parameters, lr=adam) if adam else torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
    )
    losses: list[float] = []
    start, cpu = time.perf_counter(), cpu_seconds()
    while len(losses) < 100 and not (losses and losses[-1] < losses[0] / 10):
        loss = torch.nn.functional.cross_entropy(built(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    return {
        "network": network, "size": size, "optimizer": f"Adam {adam}" if adam else "SGD 0.05", "steps": len(losses),
        "first_loss": round(losses[0], 3), "last_loss": round(losses[-1], 4), "overfits": losses[-1] < losses[0] / 10,
        **rein_steps(network, images[:32], labels[:32]),
        "cpu_seconds": round(cpu_seconds() - cpu, 1), "wall_seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def rein_steps(network: str, images: Any, labels: Any) -> Row:
    import torch

    from rescale_fast.networks.registry import build_for_training
    from rescale_fast.train.recipe import find_recipe

    torch.manual_seed(0)
    recipe = find_recipe("rein", network)
    built = build_for_training(network, 8, images.shape[-1]).to(images.device)
    rate, decay = recipe.learning_rate, recipe.weight_decay
    optimizer = torch.optim.SGD(built.parameters(), lr=rate, momentum=0.9, weight_decay=decay)
    losses: list[float] = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(built(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    first, last = statistics.mean(losses[:5]), statistics.mean(losses[-5:])
    return {"rein_rate": rate, "rein_first_5": round(first, 3), "rein_last_5": round(last, 4), "falls": last < first}


WORKS: dict[str, Callable[..., Row]] = {
    "loop": measure_loop,
    "loader": measure_loader,
    "accuracy": measure_accuracy,
    "sanity": measure_sanity,
}


def in_child(kind: str, *arguments: object) -> Row:
    """Run a measurement in a process of its own."""
    program = [sys.executable, "-W", "ignore", "-m", "benchmarks.bench_train", "--one", kind]
    texts = [json.dumps(str(one) if isinstance(one, Path) else one) for one in arguments]
    done = subprocess.run([*program, *texts], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def here(kind: str, texts: list[str]) -> None:
    import torch

    torch.set_num_threads(half_the_cores())
    values = [json.loads(text) for text in texts]
    if kind != "sanity":
        values[0] = Path(values[0])
    print(json.dumps(WORKS[kind](*values)))


def group(what: str, ways: dict[str, Call], rounds: int) -> list[Row]:
    """Medians over rounds of each way, in turn; the first way is the peer."""
    found: dict[str, list[Row]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, call in ways.items():
            found[way].append(in_child(*call))  # type: ignore[arg-type]
    rows: list[Row] = []
    for way, measured in found.items():
        middle = {
            key: statistics.median(float(str(one[key])) for one in measured) for key in ("wall_seconds", "cpu_seconds")
        }
        images = int(str(measured[0]["images"]))
        rates = {"per_second": images / middle["wall_seconds"], "per_cpu_second": images / middle["cpu_seconds"]}
        peer = rates if not rows else {key: float(str(rows[0][key])) for key in rates}
        row: Row = {"what": what, "way": way, "images": images, "runs": rounds}
        row |= {key: round(value, 2) for key, value in middle.items()} | {key: round(v, 1) for key, v in rates.items()}
        row |= {f"times_peer_{key}": round(rates[key] / peer[key], 3) for key in rates}
        row |= {key: measured[0][key] for key in ("epochs", "top1_last_epoch") if key in measured[0]}
        rows.append(row)
        print("  ".join(f"{key} {cell}" for key, cell in row.items()), flush=True)
    return rows


def loader_part(folder: Path, quick: bool) -> list[Row]:
    kinds = ("torchvision", "dali", "ffcv")
    calls: dict[str, Call] = {kind: ("loader", folder / "photos.beton", kind, half_the_cores()) for kind in kinds}
    return group("loader", calls, 1 if quick else 3)


def loop(beton: Path, *shape: object) -> dict[str, Call]:
    return {name: ("loop", beton, *shape, name == "ready tensors", 1) for name in ("ready tensors", "ffcv")}


def loop_part(folder: Path, quick: bool) -> list[Row]:
    rows = group("loop, WRN-16-1, 32 px", loop(folder / "train.beton", "WRN-16-1", 32, 64), 1 if quick else 3)
    if not quick:
        rows += group("loop, ResNet18, 224 px", loop(folder / "photos.beton", "ResNet18", 224, 32), 1)
    return rows


def accuracy_part(folder: Path, quick: bool) -> list[Row]:
    return group("95 % on ten glyphs, WRN-16-1, 32 px", {"ffcv": ("accuracy", folder, 4 if quick else 8)}, 1)


def epoch_part(folder: Path, quick: bool) -> list[Row]:
    if device_here().type != "cuda":
        print("epoch: needs a GPU")
        return []
    images, nowhere = subset(folder / "images", REIN30), Origin({}, {})
    export_beton(folder / "images", images, "train", folder / "epoch.beton", ExportSettings(), nowhere)
    return group("epoch, ResNet18, 224 px", loop(folder / "epoch.beton", "ResNet18", 224, 256), 1 if quick else 3)


def sanity_part(folder: Path, quick: bool) -> list[Row]:
    del folder
    rows = []
    for network in list(TABLE)[: 2 if quick else None]:
        rows.append(in_child("sanity", network, 224 if device_here().type == "cuda" else 75))
        print("  ".join(f"{key} {cell}" for key, cell in rows[-1].items()), flush=True)
    return rows


PARTS = {
    "loader": loader_part,
    "loop": loop_part,
    "accuracy": accuracy_part,
    "epoch": epoch_part,
    "sanity": sanity_part,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="few images, one round; nothing is written")
    parser.add_argument("--folder", type=Path, help="where to work; on the disk to be measured")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        here(arguments.one[0], arguments.one[1:])
        return
    name = f", {gpu_name()}" if device_here().type == "cuda" else ", no GPU"
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores{name}"
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if set(arguments.parts) != {"sanity"}:
            make_betons(Path(folder), 256 if arguments.quick else 512, 600 if arguments.quick else 3000)
        for part in arguments.parts:
            rows = PARTS[part](Path(folder), arguments.quick)
            if rows and not arguments.quick:
                write_table(f"train_{part}", [{"machine": machine} | row for row in rows])


def gpu_name() -> str:
    import torch

    return str(torch.cuda.get_device_name())


if __name__ == "__main__":
    main()
