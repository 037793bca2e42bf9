"""`rescale-fast downsample`: small sets for quick trials; and cutting classes out of such sets."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from rescale_fast.artifact import Origin, json_sha256, to_json
from rescale_fast.class_subset.lists import read_list
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.datasets.imagenet import devkit_order, imagenet_classes
from rescale_fast.datasets.open import open_dataset
from rescale_fast.datasets.readable import check_readable
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError, OutputError, SettingError
from rescale_fast.export.settings import DownsampleSettings, VariantForm
from rescale_fast.export.types import VariantInfo
from rescale_fast.export.variant import VariantClasses, VariantSplit
from rescale_fast.image_subset.sample import sample_images
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from rescale_fast.lock import lock
from rescale_fast.machine import MachineSettings
from rescale_fast.run.folder import digest
from rescale_fast.settings import InputPath, NumThreads, Settings
from rescale_fast.terminal import say, track
from rescale_fast.types import IntArray


@dataclass(frozen=True)
class DownsampleCommand(Settings):
    """Makes a set of small images: CIFAR-style batch files, .npz or betons."""

    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    classes: InputPath | None = None
    """Only these classes: a file with a class id a line, as class_subset.txt."""
    images: InputPath | None = None
    """Only these images: a run's image_subset.parquet."""
    downsample: DownsampleSettings = field(default_factory=DownsampleSettings)
    forms: tuple[VariantForm, ...] = ("batches",)
    """`batches` are pickles as Imagenet32_Scripts writes them, `npz` holds the same without pickle, `beton` pixels."""
    out: Path = Path("downsampled")
    """Where to make the set's folder, which is called for instance imagenet-32x32-sRGB-box-1000."""
    share: str | None = None
    """I/N: do only part I (0 to N-1) of N of the work, beside other processes; afterwards run once without it."""
    num_threads: NumThreads = 0
    """Threads; 0 = all cores."""

    def check(self) -> None:
        """Raises: SettingError for two choices of images, no form, or a share that is none."""
        if self.images is not None and self.classes is not None:
            raise SettingError("--images and --classes: give one of them.")
        if not self.forms:
            raise SettingError("--forms: name at least one of batches, npz and beton.")
        self.part()

    def part(self) -> tuple[int, int]:
        """Which share of the work, of how many. Raises: SettingError."""
        if self.share is None:
            return 0, 1
        found = re.fullmatch(r"(\d+)/(\d+)", self.share)
        if found is None or int(found[1]) >= int(found[2]):
            raise SettingError(f"--share {self.share}: expected I/N with I from 0 to N-1, such as 0/8.")
        return int(found[1]), int(found[2])


def downsample(settings: DownsampleCommand) -> None:
    """Make what is not finished of a set. Raises: SettingError, DatasetError, OutputError."""
    from rescale_fast.export.variant import write_variant

    dataset = open_dataset(settings.dataset, track=track)
    subset = _choose_images(dataset, settings)
    name = settings.downsample.name(dataset.name, len(subset.class_ids))
    folder = settings.out.expanduser() / name
    origin = Origin(subset.origin.made_from, dict(to_json(settings.downsample)))  # type: ignore[arg-type]
    found = _finished(folder, origin)
    if found is not None and set(settings.forms) <= set(found.forms):
        say(f"{folder}: {_describe(found)}  (reused)")
        return
    for split in ("train", "val"):
        images = subset.split(split)
        check_readable(dataset.root, split, images.paths, images.new_labels, subset.class_ids)
    forms = tuple(dict.fromkeys((*(found.forms if found else ()), *settings.forms)))
    parts_of = partial(_make_split, dataset.root, settings, folder / "parts", json_sha256(origin))
    splits = {split: parts_of(split, subset.split(split)) for split in ("train", "val")}
    if settings.share is not None:
        num_parts = sum(len(split.parts) for split in splits.values())
        say(f"{folder}: share {settings.share} is done ({num_parts:,} parts). When all are: the same without --share.")
        return
    shape = (settings.downsample.side, settings.downsample.channels)
    with lock(folder / "lock", str(folder), "downsample"):
        info = write_variant(folder, name, _classes(dataset, subset), splits, shape, forms, origin, track=track)
        shutil.rmtree(folder / "parts")
    say(f"{folder}: {_describe(info)}")


def _make_split(
    root: Path,
    settings: DownsampleCommand,
    folder: Path,
    made_from: str,
    split: str,
    images: SubsetImages,
) -> VariantSplit:
    """Make a share of the parts of a split."""
    from rescale_fast.export.downsample import Work, make_parts

    order = _order(split, images, settings.downsample.seed)
    paths = [images.paths[row] for row in order]
    work = Work(root, split, paths, settings.downsample, folder, made_from)
    threads = MachineSettings(num_threads=settings.num_threads).threads
    share, num_shares = settings.part()
    parts = make_parts(work, share=share, num_shares=num_shares, num_threads=threads, track=track)
    return VariantSplit(paths, images.new_labels[order], parts)


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
        chosen = read_list(settings.classes, dataset.class_ids)
    ids = tuple(dataset.class_ids[label] for label in chosen)
    names = tuple(dataset.class_names[label] for label in chosen)
    origin = Origin({"dataset": dataset.digest, "classes": json_sha256(ids)}, {})
    labels = tuple(chosen.tolist())
    return sample_images(dataset, ClassSubset(origin, "list", dataset.num_classes, labels, ids, names, {}), origin)


def _order(split: str, images: SubsetImages, seed: int) -> IntArray:
    """Training images are shuffled; validation images go by file name, as the lists of ImageNet's devkit do."""
    if split == "train":
        return np.random.default_rng(seed).permutation(len(images))
    names = [path.rpartition("/")[2] for path in images.paths]
    return np.array(sorted(range(len(images)), key=lambda row: (names[row], images.paths[row])), np.int64)


def _classes(dataset: Dataset, subset: ImageSubset) -> VariantClasses:
    """Labels in batch files are the devkit's where all of ImageNet's classes are there; else 1..k."""
    of = {subset.class_ids[new]: set[int]() for new in range(len(subset.class_ids))}
    for images in (subset.train, subset.val):
        for new, old in np.unique(np.stack([images.new_labels, images.labels], axis=1), axis=0).tolist():
            of[subset.class_ids[new]].add(old)
    return VariantClasses(
        ids=subset.class_ids,
        names=subset.class_names,
        labels=_labels(subset.class_ids),
        original_labels=tuple(tuple(sorted(labels)) for labels in of.values()),
    )


def _labels(class_ids: Sequence[str]) -> tuple[int, ...]:
    if set(class_ids) == set(devkit_order()):
        place = {wnid: number for number, wnid in enumerate(devkit_order(), 1)}
        return tuple(place[class_id] for class_id in class_ids)
    return tuple(range(1, len(class_ids) + 1))


def _finished(folder: Path, origin: Origin) -> VariantInfo | None:
    """What a folder holds already; None when that is nothing, or not whole. Raises: OutputError for another set."""
    try:
        info = VariantInfo.load(folder / VariantInfo.NAME)
    except ArtifactError:
        return None
    if not info.origin.same_as(origin):
        raise OutputError(f"{folder}: holds a set of other images or another order. Delete it, or pass another --out.")
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.name in info.files}
    return info if sizes == info.files else None


def _describe(info: VariantInfo) -> str:
    counts = ", ".join(f"{count:,} {split}" for split, count in info.num_images.items())
    skipped = [one for rows in info.skipped.values() for one in rows]
    text = f"{counts} images of {len(info.class_ids):,} classes, {sum(info.files.values()) / 1e6:,.1f} MB"
    if skipped:
        first = f"{skipped[0]['path']}: {skipped[0]['reason']}"
        text += f", {len(skipped):,} left out and listed in {VariantInfo.NAME} (first: {first})"
    return text


def cut_classes(source: Path, target: Path, class_ids: Sequence[str]) -> None:
    """Cut classes out of a folder of batch files; those without a variant.json are taken to be ImageNet's."""
    from rescale_fast.export.cut_variant import cut_variant, find_batches

    names = imagenet_classes()
    rank = {wnid: label for label, wnid in enumerate(names)}
    imagenet = VariantClasses(
        ids=tuple(names),
        names=tuple(names.values()),
        labels=_labels(tuple(names)),
        original_labels=tuple((rank[wnid],) for wnid in names),
    )
    info = cut_variant(find_batches(source, imagenet), class_ids, target, track=track)
    say(f"{target}: {_describe(info)}")
