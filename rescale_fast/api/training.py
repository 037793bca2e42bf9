"""Training on betons."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rescale_fast.api.origins import expect
from rescale_fast.errors import SettingError
from rescale_fast.extras import need_to_load
from rescale_fast.loaders.augment import Augment
from rescale_fast.loaders.settings import LoaderKind
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.given import check_callable, named_network
from rescale_fast.run.folder import RunFolder
from rescale_fast.terminal import track
from rescale_fast.train.plan import check_training
from rescale_fast.train.recipe import RecipeName
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.types import TrainRun
from rescale_fast.train.work import load_infos, plan_work
from rescale_fast.types import silent

if TYPE_CHECKING:
    from torch import nn


def train(
    betons: "str | Path | Mapping[str, str | Path]",
    network: "str | Callable[..., nn.Module] | None" = None,
    *,
    folder: "str | Path | None" = None,
    recipe: RecipeName = "fast",
    epochs: int | None = None,
    train_batch_size: int | None = None,
    learning_rate: float | None = None,
    train_size: int | None = None,
    augment: Augment | Literal["auto"] = "auto",
    seed: int = 0,
    train_compile: bool = False,
    flip_test: bool = False,
    deterministic: bool = False,
    checkpoint_minutes: float = 10.0,
    loader: LoaderKind = "ffcv",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    num_threads: int = 0,
    progress: bool = False,
) -> TrainRun:
    """Train a network on a train.beton, and test it on a val.beton after each epoch.

    Makes folder/runs/<network>-<recipe>-seed<seed>/ with weights.pt, log.jsonl and result.json; if that is there, of
    the same betons and settings, it is read instead, and a training that was interrupted goes on.

    Args:
        betons: the folder that holds both, as `export_beton` or `rescale-fast run` makes it; or
            {"train": path, "val": path}. Each has its JSON beside it.
        network: one of the published table (ResNet18, MAFNet ...), WRN-N-k, `small`, timm:NAME, one of torchvision's;
            your own code, which is run: package.module:callable or file.py:callable; or the class or function itself
            that makes a torch.nn.Module, called with num_classes=K if it takes that, which gives (B, K) logits for
            (B, 3, S, S) float32 images. By default `small` up to 64 px, else ResNet18.
        folder: where runs/ is made; by default where train.beton is.
        recipe: "fast", "rein" or "chrabaszcz". epochs, train_batch_size, learning_rate, augment: instead of its own.
        train_size: side of the images, pixels. By default that of the betons' images, at most 224.
        seed: of weights, order and augmentation. train_compile: torch.compile.
        flip_test: test on each image and its mirror image together, too. deterministic: on a GPU, too.
        checkpoint_minutes: between checkpoints within an epoch. A signal that would end the program, or Ctrl-C, does so
            after the step in which it comes, when that is saved.
        loader: what reads the betons. device: "auto" takes a GPU if there is one.
        num_threads: 0 = all cores; on the CPU the weights' last digits depend on it. progress: show a bar.
    Returns: TrainRun: last_top1 and best_top1, 0..1, and of each epoch a mapping with its loss, accuracy and seconds.
    Raises: SettingError for a value that is none of these; NetworkError for a network that does not fit; ArtifactError
        for betons that are not there, or do not fit together; TrainingError for a loss that is not a number.
    """
    check_callable(network)
    settings = TrainSettings(
        network if isinstance(network, str) else None, recipe, epochs, train_batch_size, learning_rate, train_size,
        augment, seed, train_compile, flip_test, deterministic, checkpoint_minutes,
    )  # fmt: skip
    need_to_load("training", loader)
    machine, files = MachineSettings(device, num_threads), _files(betons)
    info, place = load_infos(files)["train"], RunFolder(files["train"].parent)
    runs = RunFolder(Path(folder)).runs if folder is not None else place.runs
    with named_network(network, len(info.class_ids)) as name:
        settings = replace(settings, train_network=name)
        check_training(settings, info.num_images, len(info.class_ids))
        work = plan_work(files, runs, settings, place.dataset_kind(), loader)
        with work.held():
            return work.find_or_do(machine=machine, track=track if progress else silent)


def _files(betons: "str | Path | Mapping[str, str | Path]") -> dict[str, Path]:
    expect("betons", betons, str, PathLike, Mapping)
    if not isinstance(betons, Mapping):
        place = RunFolder(Path(betons))
        return {split: place.beton(split) for split in ("train", "val")}
    if betons.keys() != {"train", "val"}:
        raise SettingError(f"betons: has {', '.join(map(repr, betons)) or 'nothing'}, expected 'train' and 'val'.")
    return {split: Path(path) for split, path in betons.items()}
