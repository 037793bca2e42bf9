"""Training on betons."""

from contextlib import suppress
from pathlib import Path
from typing import Literal

from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import ArtifactError
from rescale_fast.loaders.augment import Augment
from rescale_fast.loaders.settings import LoaderKind
from rescale_fast.lock import lock
from rescale_fast.machine import MachineSettings
from rescale_fast.run.folder import RunFolder
from rescale_fast.terminal import track
from rescale_fast.train.plan import check_training, plan_training, training_origin
from rescale_fast.train.recipe import RecipeName
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.types import TrainRun
from rescale_fast.types import silent


def train(
    folder: "str | Path",
    network: str | None = None,
    *,
    recipe: RecipeName = "fast",
    epochs: int | None = None,
    train_batch_size: int | None = None,
    learning_rate: float | None = None,
    train_size: int | None = None,
    augment: Augment | Literal["auto"] = "auto",
    seed: int = 0,
    train_compile: bool = False,
    deterministic: bool = False,
    loader: LoaderKind = "ffcv",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    num_threads: int = 0,
    progress: bool = False,
) -> TrainRun:
    """Train a network on folder/train.beton, and test it on folder/val.beton after each epoch.

    Makes folder/runs/<network>-<recipe>-seed<seed>/ with weights.pt, log.jsonl and result.json; if that is there, of
    the same betons and settings, it is read instead, and a training that was interrupted goes on.

    Args:
        network: one of the published table (ResNet18, MAFNet ...), WRN-N-k, `small`, timm:NAME, one of torchvision's,
            or your own code, which is run: package.module:callable or file.py:callable. By default `small` up to
            64 px, else ResNet18.
        recipe: "fast", "rein" or "chrabaszcz". epochs, train_batch_size, learning_rate, augment: instead of its own.
        train_size: side of the images, pixels. By default that of the betons' images, at most 224.
        seed: of weights, order and augmentation. train_compile: torch.compile. deterministic: on a GPU, too.
        loader: what reads the betons. device: "auto" takes a GPU if there is one. num_threads: 0 = all cores.
    Returns: TrainRun: last_top1 and best_top1, 0..1, and of each epoch a mapping with its loss, accuracy and seconds.
    Raises: SettingError for a value that is none of these; NetworkError for a network that does not fit; ArtifactError
        for betons that are not there, or do not fit together; TrainingError for a loss that is not a number.
    """
    from rescale_fast.train.loop import keep_finished, train_network

    settings = TrainSettings(
        network, recipe, epochs, train_batch_size, learning_rate, train_size, augment, seed, train_compile,
        deterministic,
    )  # fmt: skip
    place, machine = RunFolder(Path(folder)), MachineSettings(device, num_threads)
    betons = {split: place.beton(split) for split in ("train", "val")}
    infos = {split: BetonInfo.load(path.with_suffix(".json")) for split, path in betons.items()}
    check_training(settings, infos["train"].num_images, len(infos["train"].class_ids))
    training = plan_training(settings, infos["train"], place.dataset_kind(), loader=loader)
    origin, target = training_origin(training, infos), place.training(training.folder_name)
    with lock(target.with_name(f"{target.name}.lock"), str(target), "train"):
        with suppress(ArtifactError):  # absent, damaged, or of another version
            found = TrainRun.load(target)
            if found.origin.same_as(origin):
                return found
        shown = track if progress else silent
        made = train_network(betons, infos, training, target, origin, machine=machine, track=shown)
        keep_finished(made, target)
        return made
