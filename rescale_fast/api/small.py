"""Down-sampled sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from rescale_fast.api.classes import as_list, take_listed
from rescale_fast.api.origins import content_digest, expect
from rescale_fast.artifact import Origin, json_sha256, to_json
from rescale_fast.class_subset.lists import ALL
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.datasets.readable import check_readable
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import SettingError
from rescale_fast.image_subset.sample import sample_images
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.lock import lock
from rescale_fast.machine import MachineSettings
from rescale_fast.small.make import find_variant, make_set
from rescale_fast.small.settings import Colours, DownsampleSettings, Filter, Fit, VariantForm
from rescale_fast.small.types import VariantInfo
from rescale_fast.small.write import FORMS
from rescale_fast.terminal import track
from rescale_fast.types import silent


def downsample(
    dataset: Dataset,
    subset: "ImageSubset | ClassSubset | str | Path | Sequence[str] | None",
    folder: "str | Path",
    *,
    forms: Sequence[VariantForm] = ("batches",),
    side: int = 32,
    fit: Fit = "stretch",
    filter: Filter = "box",
    colours: Colours = "sRGB",
    decode: Literal["exact", "fast"] = "exact",
    seed: int = 0,
    num_threads: int = 0,
    progress: bool = False,
) -> VariantInfo:
    """Make a set of small images, all of one size, in a folder; what is finished of it is kept when called again.

    Args:
        subset: the images, or all images of the classes, which may be a list as for `choose_images`; None = all.
        forms: any of "batches" (pickles as Imagenet32_Scripts writes them), "npz" and "beton" (pixels).
        side: of the images, pixels. fit: "stretch" to the square, "letterbox" on black, or "fill" and cut off the rest.
        filter: Pillow's of that name: "nearest", "box", "bilinear", "hamming", "bicubic", "lanczos".
        colours: "sRGB" or "grey". decode: "exact" gives every pixel as Pillow does, "fast" about so.
        seed: of the order of the training images. num_threads: 0 = all cores; the bytes do not depend on it.
        progress: show a bar.
    Returns: VariantInfo: num_images and skipped of each split, files with their sizes in bytes, class_ids and labels.
    Raises: SettingError for a value that is none of these; DatasetError when no image of a class can be read;
        OutputError when the folder holds another set, or cannot be written.
    """
    settings = DownsampleSettings(side, fit, filter, colours, decode, seed)
    machine, wanted = MachineSettings(num_threads=num_threads), _checked(forms)
    expect("dataset", dataset, Dataset)
    expect("subset", subset, ImageSubset, ClassSubset, str, Path, Sequence, type(None))
    if isinstance(subset, ImageSubset):
        images, made_from = subset, {"image_subset": content_digest(subset)}
    else:
        if not isinstance(subset, ClassSubset):
            subset = take_listed(dataset, as_list(ALL if subset is None else subset))
        images = images_of(dataset, subset.classes)
        made_from = dict(images.origin.made_from)
    target, origin, shown = Path(folder), set_origin(made_from, settings), track if progress else silent
    with lock(target / "lock", str(target), "downsample"):
        found = find_variant(target, origin, wanted)
        if found is not None:
            return found
        check_subset(dataset, images)
        made = make_set(
            dataset.root, images, settings, wanted, target, origin, num_threads=machine.threads, track=shown
        )
        assert isinstance(made, VariantInfo)
        return made


def _checked(forms: Sequence[VariantForm]) -> tuple[VariantForm, ...]:
    if isinstance(forms, str) or not forms or any(form not in FORMS for form in forms):
        raise SettingError(f"--forms {forms!r}: expected at least one of {', '.join(FORMS)}, in a tuple.")
    return tuple(forms)


def images_of(dataset: Dataset, labels: Sequence[int]) -> ImageSubset:
    """All images of some classes of a data set."""
    ids = tuple(dataset.class_ids[label] for label in labels)
    names = tuple(dataset.class_names[label] for label in labels)
    origin = Origin({"dataset": dataset.digest, "classes": json_sha256(ids)}, {})
    return sample_images(
        dataset, ClassSubset(origin, "list", dataset.num_classes, tuple(labels), ids, names, {}), origin
    )


def set_origin(made_from: Mapping[str, str], settings: DownsampleSettings) -> Origin:
    """What a down-sampled set comes from."""
    return Origin(made_from, dict(to_json(settings)))  # type: ignore[arg-type]


def check_subset(dataset: Dataset, subset: ImageSubset) -> None:
    """Raise DatasetError unless an image of each class can be read."""
    for split in ("train", "val"):
        listed = subset.split(split)
        check_readable(dataset.root, split, listed.paths, listed.new_labels, subset.class_ids)
