"""The export stage: betons, or files that are kept as they are."""

import os
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rescale_fast.artifact import Origin
from rescale_fast.beton.agreement import agreed_info
from rescale_fast.beton.file import read_beton
from rescale_fast.beton.types import BetonInfo
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError
from rescale_fast.export.scaling import needed_side
from rescale_fast.export.settings import ExportSettings, FilesSettings, Form, Link
from rescale_fast.export.types import FilesInfo
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.machine import MachineSettings
from rescale_fast.run.folder import RunFolder, digest
from rescale_fast.run.resolving import resolution_of
from rescale_fast.run.settings import RunSettings
from rescale_fast.terminal import say, track
from rescale_fast.train.defaults import LARGEST_SIZE


def needed_for_training(settings: RunSettings) -> int | None:
    """The shorter side, pixels, that the run's training needs of images, if `--store auto` may have readers decode no
    more than that: not of a published set, which others are to have the same pixels of.
    """
    free = settings.export.store == "auto" and not settings.export.changed("scale")
    if not free or settings.select.published is not None or not settings.goes_on_to("train"):
        return None
    return needed_side(settings.train.train_size or LARGEST_SIZE)


def export(
    folder: RunFolder,
    dataset: Dataset,
    settings: ExportSettings,
    machine: MachineSettings,
    least_side: int | None = None,
) -> None:
    """Make train.beton and val.beton; a split without images is left out.

    Args: least_side: shorter side of large images that readers are to see, pixels; None: the whole.
    """
    subset = ImageSubset.load(folder.require(folder.image_subset, "sample"))
    made = {}
    for split in ("train", "val"):
        if len(subset.split(split)):
            made[split] = _export_split(folder, dataset, subset, split, settings.resolved(), machine, least_side)
        else:
            say(f"{'export':>9}  no {split} images, so no {folder.beton(split).name}")
    if smaller := sum(info.read_smaller for info in made.values()):
        say(f"{'':>9}  {smaller:,} images are decoded at a part of their size which leaves {least_side} px of the")
        say(f"{'':>9}  shorter side, as much as the training needs; --store passthrough has them decoded whole")
    if (resolution := resolution_of(made)) is not None:
        say(f"{'':>9}  {resolution.describe()}")


def _export_split(
    folder: RunFolder,
    dataset: Dataset,
    subset: ImageSubset,
    split: str,
    settings: ExportSettings,
    machine: MachineSettings,
    least_side: int | None,
) -> BetonInfo:
    from rescale_fast.export.beton import export_beton

    needed = {} if least_side is None else {"least_side": least_side}
    origin = Origin({"image_subset": digest(folder.image_subset)}, {"split": split, **asdict(settings), **needed})

    return folder.reuse_or_make(
        "export",
        folder.beton(split),
        origin,
        partial(_load_beton, num_threads=machine.threads),
        lambda: export_beton(
            dataset.root,
            subset,
            split,
            folder.beton(split),
            settings,
            origin,
            least_side=least_side,
            num_threads=machine.threads,
            track=track,
        ),
        describe=lambda made: f"{made.split}.beton: {_describe(made)}{_describe_pixels(made)}",
        work=lambda made: (made.num_images, "images"),
        part=split,
    )


def _load_beton(path: Path, *, num_threads: int) -> BetonInfo:
    """What a beton's JSON says, if the beton is what it describes: its tables are compared, and, if the beton was
    written later than its JSON, its content. `rescale-fast check` looks at the content in any case.

    Raises: ArtifactError.
    """
    from rescale_fast.beton.digest import file_digest

    info = agreed_info(read_beton(path))
    described_in = path.with_suffix(".json")
    if info is None:
        raise ArtifactError(f"{path}: has no {described_in.name} beside it.")
    was_touched = path.stat().st_mtime_ns >= described_in.stat().st_mtime_ns
    if was_touched and file_digest(path, num_threads=num_threads) != info.digest:
        say(f"{'export':>9}  {path.name} was changed after it was exported, so it is exported again")
        raise ArtifactError(f"{path}: its content is not what {described_in.name} describes.")
    return info


def export_files(folder: RunFolder, dataset: Dataset, form: Form, link: Link, settings: ExportSettings) -> None:
    """Make <form>/train and <form>/val, of files as they are."""
    from rescale_fast.export.files import export_files

    subset = ImageSubset.load(folder.require(folder.image_subset, "sample"))
    wanted = FilesSettings(form, link, settings.on_bad)
    for split in ("train", "val"):
        if not len(subset.split(split)):
            say(f"{'export':>9}  no {split} images, so no {form}/{split}")
            continue
        origin = Origin({"image_subset": digest(folder.image_subset)}, {"split": split, **asdict(wanted)})
        folder.reuse_or_make(
            "export",
            folder.files(form, split),
            origin,
            _load_files,
            partial(export_files, dataset.root, subset, split, folder.files(form, split), wanted, origin, track=track),
            describe=lambda made: f"{form}/{made.split}: {_describe(made)}",
            work=lambda made: (made.num_images, "images"),
            part=f"{form} {split}",
        )


def _load_files(path: Path) -> FilesInfo:
    info = FilesInfo.load(path / FilesInfo.NAME)
    found = sum(len(files) for _, _, files in os.walk(path)) - 1
    if found != info.num_files:
        raise ArtifactError(f"{path}: holds {found:,} files, {FilesInfo.NAME} says {info.num_files:,}.")
    return info


def _describe_pixels(made: BetonInfo) -> str:
    converted = sum(count for how, count in made.stored.items() if how.startswith("converted"))
    return f", at most {made.max_width} x {made.max_height} px" + (f", {converted:,} converted" if converted else "")


def _describe(made: BetonInfo | FilesInfo) -> str:
    text = f"{made.num_images:,} images, {made.bytes / 1e6:.1f} MB"
    if made.skipped:
        first = made.skipped[0]
        text += f", {len(made.skipped):,} left out and listed in its JSON (first: {first['path']}: {first['reason']})"
    return text
