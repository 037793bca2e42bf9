"""Makes a down-sampled set of the images of an ImageSubset, in parts that any number of processes share."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rescale_fast.artifact import Origin, json_sha256
from rescale_fast.datasets.published import devkit_order, imagenet_classes
from rescale_fast.errors import ArtifactError, OutputError
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from rescale_fast.lock import lock_beside
from rescale_fast.small.cut import VariantSource, cut_variant, find_batches
from rescale_fast.small.downsample import Work, make_parts
from rescale_fast.small.settings import DownsampleSettings, VariantForm
from rescale_fast.small.types import VariantInfo
from rescale_fast.small.write import VariantClasses, VariantSplit, write_variant
from rescale_fast.types import IntArray, Track, silent


@dataclass(frozen=True)
class Share:
    """What this process does of the parts: each `count`-th of them, from `number` on."""

    number: int = 0
    count: int = 1


def find_variant(folder: Path, origin: Origin, forms: Sequence[VariantForm]) -> VariantInfo | None:
    """The set in a folder, if it is whole and has all of the forms. Raises: OutputError when it is another set."""
    found = _finished(folder, origin)
    return found if found is not None and set(forms) <= set(found.forms) else None


def make_set(
    root: Path,
    subset: ImageSubset,
    settings: DownsampleSettings,
    forms: Sequence[VariantForm],
    folder: Path,
    origin: Origin,
    share: Share | None = None,
    *,
    num_threads: int = 0,
    track: Track = silent,
) -> VariantInfo | int:
    """Make what is not finished of a set; of a share of it the parts alone, and return their number.

    Nothing else may write in the folder meanwhile, but those who make other shares: the caller holds its lock.
    Raises: DatasetError, OutputError.
    """
    splits = {
        split: make_split(
            root, subset.split(split), split, settings, folder, origin, share or Share(),
            num_threads=num_threads, track=track,
        )
        for split in ("train", "val")
    }  # fmt: skip
    if share is not None:
        return sum(len(split.parts) for split in splits.values())
    return join_splits(folder, folder.name, subset, splits, settings, forms, origin, track=track)


def make_split(
    root: Path,
    images: SubsetImages,
    split: str,
    settings: DownsampleSettings,
    folder: Path,
    origin: Origin,
    share: Share,
    *,
    num_threads: int = 0,
    track: Track = silent,
) -> VariantSplit:
    """Make what is not finished of a share of a split's parts, in folder/parts. Raises: DatasetError, OutputError."""
    order = _order(split, images, settings.seed)
    paths = [images.paths[row] for row in order]
    work = Work(root, split, paths, settings, folder / "parts", json_sha256(origin))
    parts = make_parts(work, share=share.number, num_shares=share.count, num_threads=num_threads, track=track)
    return VariantSplit(paths, images.new_labels[order], parts)


def join_splits(
    folder: Path,
    name: str,
    subset: ImageSubset,
    splits: dict[str, VariantSplit],
    settings: DownsampleSettings,
    forms: Sequence[VariantForm],
    origin: Origin,
    *,
    track: Track = silent,
) -> VariantInfo:
    """Put finished parts together in these forms and those that the folder has already; delete the parts.

    Nothing else may write in the folder meanwhile: the caller holds its lock.
    """
    found = _finished(folder, origin)
    all_forms = tuple(dict.fromkeys((*(found.forms if found else ()), *forms)))
    shape = (settings.side, settings.channels)
    info = write_variant(folder, name, _classes(subset), splits, shape, all_forms, origin, track=track)
    shutil.rmtree(folder / "parts")
    return info


def cut_classes(source: Path, target: Path, class_ids: Sequence[str], *, track: Track = silent) -> VariantInfo:
    """Cut classes out of a folder of batch files; those without a variant.json are taken to be ImageNet's."""
    with lock_beside(target, "cut"):
        return cut_variant(_find_source(source), class_ids, target, track=track)


def known_classes(source: Path) -> tuple[str, ...]:
    """The ids of the classes in a folder of batch files."""
    return _find_source(source).classes.ids


def _find_source(source: Path) -> VariantSource:
    names = imagenet_classes()
    rank = {wnid: label for label, wnid in enumerate(names)}
    imagenet = VariantClasses(
        ids=tuple(names),
        names=tuple(names.values()),
        labels=_labels(tuple(names)),
        original_labels=tuple((rank[wnid],) for wnid in names),
    )
    return find_batches(source, imagenet)


def _order(split: str, images: SubsetImages, seed: int) -> IntArray:
    """Training images are shuffled; validation images go by file name, as the lists of ImageNet's devkit do."""
    if split == "train":
        return np.random.default_rng(seed).permutation(len(images))
    names = [path.rpartition("/")[2] for path in images.paths]
    return np.array(sorted(range(len(images)), key=lambda row: (names[row], images.paths[row])), np.int64)


def _classes(subset: ImageSubset) -> VariantClasses:
    """Labels in batch files are the devkit's where all of ImageNet's classes are there; else 1..k."""
    of = {class_id: set[int]() for class_id in subset.class_ids}
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
