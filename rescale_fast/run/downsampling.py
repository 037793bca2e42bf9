"""`rescale-fast downsample`: small sets for quick trials; and cutting classes out of such sets."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rescale_fast.api.small import check_subset, images_of, set_origin
from rescale_fast.artifact import Origin
from rescale_fast.class_subset.lists import ClassList, check_data_set, find_list
from rescale_fast.class_subset.settings import Listed
from rescale_fast.datasets.open import open_dataset
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import SettingError
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.lock import lock, shared
from rescale_fast.machine import MachineSettings
from rescale_fast.run.folder import digest
from rescale_fast.run.shares import share_of
from rescale_fast.settings import InputPath, NumThreads, Settings
from rescale_fast.small import make
from rescale_fast.small.make import Share, find_variant, make_set
from rescale_fast.small.settings import DownsampleSettings, VariantForm
from rescale_fast.small.types import VariantInfo
from rescale_fast.terminal import say, track


@dataclass(frozen=True)
class DownsampleCommand(Settings):
    """Make a set of small images: CIFAR-style batch files, .npz or betons."""

    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    classes: Listed | None = None
    """Only these classes: a published list, `all`, or a file with one class id per line, as class_subset.txt."""
    images: InputPath | None = None
    """Only these images: a run's image_subset.parquet."""
    downsample: DownsampleSettings = field(default_factory=DownsampleSettings)
    forms: tuple[VariantForm, ...] = ("batches",)
    """Which files to make. `batches` are pickles as Imagenet32_Scripts writes them, `npz` holds the same without
    pickle, `beton` holds pixels."""
    out: Path = Path("downsampled")
    """Where to make the set's folder, which is called for instance imagenet-32x32-sRGB-box-1000."""
    share: str | None = None
    """As I/N: do only part I (0 to N-1) of N of the work, beside other processes; afterwards run once without it."""
    num_threads: NumThreads = 0
    """Threads; 0 = all cores."""

    def check(self) -> None:
        """Raises: SettingError for two choices of images, or a share that is none."""
        if self.images is not None and self.classes is not None:
            raise SettingError("--images and --classes: give one of them.")
        if self.classes is not None:
            find_list(self.classes)
        share_of(self.share)


def downsample(settings: DownsampleCommand) -> None:
    """Make what is not finished of a set. Raises: SettingError, DatasetError, OutputError."""
    dataset = open_dataset(settings.dataset, track=track)
    subset = _choose_images(dataset, settings)
    folder = settings.out / settings.downsample.name(dataset.name, len(subset.class_ids))
    with (lock if settings.share is None else shared)(folder / "lock", str(folder), "downsample"):
        _make(dataset, subset, settings, folder)


def _make(dataset: Dataset, subset: ImageSubset, settings: DownsampleCommand, folder: Path) -> None:
    origin = set_origin(subset.origin.made_from, settings.downsample)
    found = find_variant(folder, origin, settings.forms)
    if found is not None:
        say(f"{folder}: {_describe(found)}  (reused)")
        return
    check_subset(dataset, subset)
    threads = MachineSettings(num_threads=settings.num_threads).threads
    share = Share(*share_of(settings.share)) if settings.share is not None else None
    made = make_set(
        dataset.root, subset, settings.downsample, settings.forms, folder, origin, share,
        num_threads=threads, track=track,
    )  # fmt: skip
    if isinstance(made, int):
        say(f"{folder}: share {settings.share} is done ({made:,} parts). When all are: the same without --share.")
    else:
        say(f"{folder}: {_describe(made)}")


def _choose_images(dataset: Dataset, settings: DownsampleCommand) -> ImageSubset:
    if settings.images is not None:
        subset = ImageSubset.load(settings.images)
        if subset.origin.made_from.get("dataset") != dataset.digest:
            raise SettingError(f"--images {settings.images}: was chosen from another data set than {dataset.root}.")
        return ImageSubset(
            Origin({"image_subset": digest(settings.images)}, {}),
            subset.class_ids,
            subset.class_names,
            subset.train,
            subset.val,
        )
    chosen = np.arange(dataset.num_classes)
    if settings.classes is not None:
        chosen = find_list(settings.classes).labels(dataset.class_ids)
    return images_of(dataset, chosen.tolist())


def _describe(info: VariantInfo) -> str:
    counts = ", ".join(f"{count:,} {split}" for split, count in info.num_images.items())
    skipped = [one for rows in info.skipped.values() for one in rows]
    text = f"{counts} images of {len(info.class_ids):,} classes, {sum(info.files.values()) / 1e6:,.1f} MB"
    if skipped:
        first = f"{skipped[0]['path']}: {skipped[0]['reason']}"
        text += f", {len(skipped):,} left out and listed in {VariantInfo.NAME} (first: {first})"
    return text


def cut_classes(source: Path, target: Path, listed: ClassList) -> None:
    """Cut the listed classes out of a folder of batch files, and say what came of it."""
    known = make.known_classes(source)
    class_ids = listed.names(known)
    check_data_set(source, class_ids, known)
    say(f"{target}: {_describe(make.cut_classes(source, target, class_ids, track=track))}")
