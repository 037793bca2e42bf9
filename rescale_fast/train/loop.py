"""Benchmark training: a network learns the subset, and is tested on each validation image after each epoch.

Reads train.beton and val.beton; makes a TrainRun. After each epoch a line goes to log.jsonl. checkpoint.pt holds the
training's state after some step, from which it goes on after an interruption as if there had been none.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rescale_fast.artifact import Origin, write_whole
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import ArtifactError, SettingError, TrainingError
from rescale_fast.loaders.base import BetonLoader
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.saving import save_state
from rescale_fast.train.batches import open_loaders, save_mean_image
from rescale_fast.train.checkpoint import Record
from rescale_fast.train.engine import Advice, Trainer, trainer_of
from rescale_fast.train.group import Group
from rescale_fast.train.keeper import Keeper
from rescale_fast.train.plan import Benchmark
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.types import RESULT, TrainRun
from rescale_fast.types import Advance, Track, silent

CHECKPOINT, LOG, WEIGHTS, MEAN_IMAGE = "checkpoint.pt", "log.jsonl", "weights.pt", "mean_image.npy"


def train_network(
    betons: dict[str, Path],
    infos: dict[str, BetonInfo],
    training: Benchmark,
    folder: Path,
    origin: Origin,
    *,
    machine: MachineSettings = MachineSettings(),
    group: Group = Group(),
    checkpoint_minutes: float = TrainSettings.checkpoint_minutes,
    tensorboard: bool = False,
    track: Track = silent,
) -> TrainRun:
    """Train on betons["train"], test on betons["val"]; log, checkpoint, and in the end weights.pt, in `folder`.

    Where the recipe takes off the mean image, mean_image.npy, too: (3, S, S) float32, of values from 0 to 1.

    Args:
        infos: the JSON beside each beton. checkpoint_minutes: between checkpoints within an epoch.
        tensorboard: write folder/tensorboard, too.
    Raises: SettingError for impossible settings; ArtifactError for betons that do not fit together, and a
        checkpoint of another training; TrainingError for a loss that is not a number, a dead loader, or too
        little GPU memory.
    """
    check_betons(infos)
    loaders = open_loaders(betons, infos, training, machine, group)
    device, num_classes = machine.torch_device(), len(infos["train"].class_ids)
    threads = machine.threads
    with trainer_of(training, num_classes, device, _advice(training), group, num_threads=threads) as trainer:
        keeper = Keeper(folder / CHECKPOINT, origin, trainer, checkpoint_minutes)
        _train_epochs(keeper, loaders, tensorboard, track)
    return TrainRun(
        origin=origin,
        network=training.tested_network,
        num_parameters=sum(parameter.numel() for parameter in trainer.network.parameters()),
        num_classes=num_classes,
        image_size=training.image_size,
        recipe=training.recipe_name,
        seed=training.seed,
        reported_epoch=training.recipe.reported_epoch,
        epochs=tuple(keeper.records),
    )


def keep_finished(made: TrainRun, folder: Path) -> None:
    """Save what `train_network` made in its folder, and delete the checkpoint, which it has no more use for."""
    made.save(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _advice(training: Benchmark) -> Advice:
    return Advice(
        not_a_number=f"Lower the --learning-rate (it is {training.recipe.learning_rate:g}).",
        too_little_memory="Lower --train-batch-size or --train-size, or train on more GPUs (torchrun).",
        size_option="--train-size",
    )


def _train_epochs(keeper: Keeper, loaders: dict[str, BetonLoader], tensorboard: bool, track: Track) -> None:
    """Train from the checkpoint, or from the start, to the end; the first rank writes what there is to write."""
    keeper.resume()
    trainer, folder, records = keeper.trainer, keeper.path.parent, keeper.records
    group, epochs = trainer.group, trainer.recipe.epochs
    group.wait()  # until all have read the checkpoint
    total = (epochs - len(records)) * sum(len(loader.dataset) for loader in loaders.values())
    total -= keeper.steps_done * loaders["train"].batch_size * group.count
    with (
        track(f"Training {trainer.training.network}", total=total) as advance,
        _journal(folder, records, tensorboard, group) as write,
        keeper.signals.held(),
    ):
        for epoch in range(len(records), epochs):
            record = _epoch(epoch, keeper, loaders, advance)
            if group.is_first:
                write(record)
            keeper.end_epoch(record)
    _check_weights(trainer)
    if group.is_first:
        (folder / RESULT).unlink(missing_ok=True)  # of an earlier training, it would describe other weights
        save_state(folder / WEIGHTS, trainer.tested.state_dict())
        save_mean_image(folder / MEAN_IMAGE, loaders["val"])


def _check_weights(trainer: Trainer) -> None:
    """Raise TrainingError for weights that are no numbers, which the loss of the last step cannot tell."""
    for name, value in trainer.tested.state_dict().items():
        if value.isnan().any():
            raise TrainingError(
                f"{trainer.training.network}: trained to the end, but its weights are no numbers ({name}). "
                f"{trainer.advice.not_a_number}"
            )


def check_betons(infos: dict[str, BetonInfo]) -> None:
    """Raise ArtifactError unless both betons have the same classes."""
    train, val = infos["train"].class_ids, infos["val"].class_ids
    if train != val:
        raise ArtifactError(
            f"train.beton has {len(train)} classes from {train[0]!r} to {train[-1]!r}, val.beton {len(val)} from "
            f"{val[0]!r} to {val[-1]!r}. Export both from one subset."
        )


def _epoch(epoch: int, keeper: Keeper, loaders: dict[str, BetonLoader], advance: Advance) -> Record:
    """Train on what is left of an epoch, and test. `seconds` are of all parts, without what was lost and done again."""
    train, val, trainer = loaders["train"], loaders["val"], keeper.trainer
    group, start = trainer.group, time.perf_counter() - keeper.seconds

    def step_done(count: int) -> None:
        advance(count, keeper.note)
        keeper.seconds = time.perf_counter() - start
        keeper.look()

    def batch_tested(count: int) -> None:
        advance(count, keeper.note)
        if group.count == 1:  # the shares of ranks may differ by a batch
            keeper.look()

    loss = trainer.train_epoch(train, epoch, step_done)
    seconds = keeper.seconds = time.perf_counter() - start
    num_trained = train.images_an_epoch * group.count
    advance(len(train.dataset) - num_trained)  # left out of this epoch: less than a batch on each rank
    accuracies = trainer.test(val, batch_tested)
    return {
        "epoch": epoch + 1,
        "train_loss": loss,
        **accuracies,
        "train_size": train.image_size,
        "val_size": val.image_size,
        "seconds": seconds,
        "images_per_second": num_trained / seconds,
        "ranks": group.count,
    }


@contextmanager
def _journal(folder: Path, records: list[Record], tensorboard: bool, group: Group) -> "Iterator[Any]":
    """A function that notes an epoch in log.jsonl, which begins with `records`, and for TensorBoard if asked for."""
    if not group.is_first:
        yield None
        return
    board = _board(folder / "tensorboard", len(records)) if tensorboard else None
    _write_log(folder, records)
    is_whole = True

    def write(record: Record) -> None:
        nonlocal is_whole
        try:
            with (folder / LOG).open("a", encoding="utf-8") as log:
                log.write(json.dumps(record) + "\n")
        except OSError:  # a full disk, which may have room again in the end
            is_whole = False
        if board is not None:
            for key in ("train_loss", "val_top1", "val_top5", "images_per_second"):
                board.add_scalar(key, record[key], record["epoch"])
            board.flush()

    with closing(board) if board is not None else nullcontext():
        yield write
    if not is_whole:
        _write_log(folder, records)


def _write_log(folder: Path, records: list[Record]) -> None:
    with write_whole(folder / LOG) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def _board(folder: Path, num_epochs: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SettingError("--tensorboard: it is not installed. `pip install tensorboard` does that.") from error
    return SummaryWriter(str(folder), purge_step=num_epochs + 1)
