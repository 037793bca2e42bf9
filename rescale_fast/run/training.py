"""The train stage: one network on one subset, or a grid of networks, subsets and seeds with its table."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.published import PUBLISHED
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.errors import ArtifactError, MissingInputError, SettingError, TrainingError
from rescale_fast.export.scaling import needed_side
from rescale_fast.extras import need, need_to_load
from rescale_fast.loaders.settings import LoaderKind
from rescale_fast.lock import lock_beside
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.registry import check_network, network_names
from rescale_fast.ranks import this_rank
from rescale_fast.run.folder import RunFolder
from rescale_fast.run.settings import TrainCommand, names_in
from rescale_fast.terminal import say, show, track
from rescale_fast.train.group import Group, joined
from rescale_fast.train.plan import check_training
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.types import TrainRun
from rescale_fast.train.work import Work, plan_work

if TYPE_CHECKING:
    from rescale_fast.train.table import Cell

# Of each class, of ImageNet-1k and Places365-Standard: training images at least, and validation images.
IMAGES = {"imagenet": (732, 50), "places365": (3068, 100)}


@dataclass(frozen=True)
class How:
    """What a training does not depend on."""

    machine: MachineSettings
    group: Group = field(default_factory=Group)
    tensorboard: bool = False


def train(command: TrainCommand) -> None:
    """Train what is asked for, on all ranks; with more than one network, subset or seed, make the table."""
    _check(command)
    if command.train.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it, before it is loaded
    with _held(command), joined(this_rank(), command.machine.torch_device()) as group:
        how = How(command.machine, group, command.tensorboard)
        if command.is_table:
            _train_grid(command, how)
        else:
            train_one(RunFolder(command.out), command.train, how, loader=command.loader)


@contextmanager
def _held(command: TrainCommand) -> Iterator[None]:
    """Have the first rank keep others from changing the betons, and from writing the same table."""
    with ExitStack() as held:
        if this_rank().is_first:
            for folder in _subset_folders(command).values():
                held.enter_context(folder.shared("train"))
            if command.is_table:
                held.enter_context(lock_beside(_table(command), "train"))
        yield


def _table(command: TrainCommand) -> Path:
    """Of a grid: what its files are called, without their endings."""
    return command.out / f"table-{command.train.recipe}"


def _check(command: TrainCommand) -> None:
    """Look at every training that is asked for before the first begins. Raises: SettingError, MissingInputError."""
    if command.tensorboard:
        need("--tensorboard", "tensorboard")
    need_to_load("training", command.loader)
    for network in _networks(command):
        if network is not None:
            check_network(network)
    for folder in _subset_folders(command).values():
        info = BetonInfo.load(folder.beton("train").with_suffix(".json"))
        for network in _networks(command):
            settings = replace(command.train, train_network=network)
            check_training(settings, info.num_images, len(info.class_ids), num_ranks=this_rank().count)


def _networks(command: TrainCommand) -> tuple[str | None, ...]:
    return (command.train.train_network,) if command.networks is None else network_names(command.networks)


def train_one(folder: RunFolder, settings: TrainSettings, how: How, *, loader: LoaderKind = "ffcv") -> TrainRun:
    """Train one network with one seed on the folder's betons; make runs/<network>-<recipe>-seed<seed>/."""
    betons = {split: folder.require(folder.beton(split), "export") for split in ("train", "val")}
    work = plan_work(betons, folder.runs, settings, folder.dataset_kind(), loader)
    if how.group.is_first and (note := _more_than_stored(work)):
        say(f"{'train':>9}  {note}")
    if not how.group.is_first:  # neither writes nor speaks
        return work.find_or_do(machine=how.machine, group=how.group)
    with work.held():
        return folder.reuse_or_make(
            "train",
            work.folder,
            work.origin,
            lambda _: work.finished(),
            partial(work.do, machine=how.machine, group=how.group, tensorboard=how.tensorboard, track=track),
            describe=_describe,
            work=lambda made: (len(made.epochs) * work.infos["train"].num_images, "images"),
        )


def _more_than_stored(work: Work) -> str | None:
    """What there is to say of images that `--store auto` has decoded smaller than this training needs."""
    info, size = work.infos["train"], work.training.image_size
    stored_for = info.origin.config.get("least_side")
    if not info.read_smaller or not isinstance(stored_for, int) or stored_for >= needed_side(size):
        return None
    return (
        f"{info.read_smaller:,} images are decoded at a part of their size which leaves {stored_for} px of the shorter "
        f"side; at {size} px a training gains from {needed_side(size)}. `rescale-fast export` stores them whole."
    )


def _describe(made: TrainRun) -> str:
    return (
        f"{made.network} ({made.recipe}, seed {made.seed}): top-1 {100 * made.last_top1:.1f} % after "
        f"{len(made.epochs)} epochs, {100 * made.best_top1:.1f} % in the best, {made.best_epoch} "
        f"(chance {100 / made.num_classes:.1f} %)"
    )


def _train_grid(command: TrainCommand, how: How) -> None:
    """Train every cell that is not finished, and write the table. A cell that fails leaves its reason there."""
    from rescale_fast.train.table import write_table

    folders = _subset_folders(command)
    cells = []
    for title, folder in folders.items():
        say(f"{'subset':>9}  {title}: {folder.path}")
        for network in _networks(command):
            cells.append(_train_cell(command, how, title, folder, network))
            if how.group.is_first:  # after each cell, so that there is a table of what is done at any time
                text = write_table(cells, _title(command), _table(command))
    if how.group.is_first:
        show(text)
        say(f"Table: {_table(command)}.md, .csv and .png")
    failed = [cell for cell in cells if cell.failure]
    if failed:
        raise TrainingError(
            f"{len(failed)} of {len(cells)} cells of the table could not be trained; first {failed[0].network} on "
            f"{failed[0].subset}: {failed[0].failure} The same command goes on from there."
        )


def _train_cell(command: TrainCommand, how: How, title: str, folder: RunFolder, network: str | None) -> "Cell":
    from rescale_fast.train.published import published_beside
    from rescale_fast.train.table import Cell

    runs: list[TrainRun] = []
    failure = ""
    for seed in range(command.train.seed, command.train.seed + command.seeds):
        settings = replace(command.train, train_network=network, seed=seed)
        try:
            runs.append(train_one(folder, settings, how, loader=command.loader))
        except TrainingError as error:
            if how.group.count > 1:
                raise  # the other ranks may wait for this one
            say(f"{'train':>9}  {error}")
            failure = str(error)
            break
    name = runs[0].network if runs else network or "the default network"
    published = published_beside(runs[0], whole_list(folder) or "") if runs else None
    return Cell(name, title, tuple(runs), failure, published)


def _title(command: TrainCommand) -> str:
    loader = "" if command.loader == "ffcv" else f", loader {command.loader}"
    return f"Networks trained on subsets (recipe {command.train.recipe}{loader})"


def _subset_folders(command: TrainCommand) -> dict[str, RunFolder]:
    """{what the table calls it: run folder}, checked before anything is trained."""
    if command.subsets is None:
        folder = RunFolder(command.out)
        for split in ("train", "val"):
            folder.require(folder.beton(split), "export")
        return {subset_title(folder): folder}
    names = names_in(command.subsets)
    folders = [RunFolder(inside if (inside := command.out / name).is_dir() else Path(name)) for name in names]
    found: dict[str, RunFolder] = {}
    for folder in folders:
        for split in ("train", "val"):
            if not folder.beton(split).exists():
                raise MissingInputError(
                    f"{folder.beton(split)}: not there yet. `rescale-fast run --out {folder.path}` makes it, with "
                    "--published NAME for a published list of classes."
                )
        found[subset_title(folder)] = folder
    if len(found) < len(folders):
        raise SettingError("--subsets: two of these folders hold the same published subset, or have the same name.")
    return found


def subset_title(folder: RunFolder) -> str:
    """The name of the published list that the classes are, or of the full set; else the folder's."""
    with suppress(ArtifactError):
        chosen = ClassSubset.load(folder.class_subset)
        if published := chosen.origin.config.get("published"):
            return str(published)
        full = {"imagenet": "ImageNet", "places365": "Places365"}.get(folder.dataset_kind() or "")
        if full and len(chosen.classes) == chosen.num_classes:
            return full
    return folder.path.resolve().name


def whole_list(folder: RunFolder) -> str | None:
    """The published list whose images the folder's betons hold, but for those that could not be stored: all of them."""
    train, val = (BetonInfo.load(folder.beton(split).with_suffix(".json")) for split in ("train", "val"))
    for one in PUBLISHED.values():
        least, validating = IMAGES[one.data_set]
        if set(one.class_ids) == set(train.class_ids):
            whole = val.num_images + len(val.skipped) == validating * len(one.class_ids)
            return one.name if whole and min(train.images_per_class) + len(train.skipped) >= least else None
    return None
