"""Images of the chosen classes, and the betons that hold them."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from rescale_fast.api.origins import content_digest, expect
from rescale_fast.artifact import Origin, file_sha256, to_json
from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.types import Dataset
from rescale_fast.export import beton
from rescale_fast.export.settings import ExportSettings, ResizeBy, Scale, Store
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.sample import Evidence, sample_images
from rescale_fast.image_subset.settings import SampleSettings
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.machine import MachineSettings
from rescale_fast.predictions.types import Predictions
from rescale_fast.scores.types import Scores
from rescale_fast.settings import check_inputs
from rescale_fast.terminal import track
from rescale_fast.types import silent


def choose_images(
    dataset: Dataset,
    classes: ClassSubset | ClassGrouping,
    *,
    images: Literal["auto", "all", "random", "difficulty", "sensitive"] = "auto",
    per_class: int | None = None,
    evenly_over: Literal["class", "set"] = "class",
    val_share: float | None = None,
    corrections: "str | Path | None" = None,
    sample_seed: int = 0,
    scores: Scores | None = None,
    predictions: Predictions | None = None,
) -> ImageSubset:
    """Take images of the chosen classes, or of the groups; a group's images get the group's label.

    Args:
        images: "all"; "random": per_class training images of each class; "difficulty": as many, spread evenly
            (`evenly_over` each "class" or the "set") over the `scores`; "sensitive": all training images, and the
            misclassified validation images by `predictions`. "auto" is "random" with per_class, else "all".
        val_share: have at least this share (0..1) of each class's images validate, taken from train.
        corrections: a CSV with the columns path and class, made by hand. sample_seed: of every choice.
        scores: of training images, as `rescale-fast score` makes them (Scores.load reads them). predictions: as
            `validate` makes them.
    Returns: ImageSubset: train and val, each with paths, labels and new_labels, (n,) int64 in [0, k).
    Raises: SettingError for a value that is none of these, or would have no effect; MissingInputError without the
        scores or predictions that are asked for; ArtifactError for classes, scores or predictions of another data set;
        DatasetError when a class has too few images.
    """
    settings = SampleSettings(
        images=images,
        per_class=per_class,
        evenly_over=evenly_over,
        val_share=val_share,
        corrections=corrections,  # type: ignore[arg-type]  # it makes a path of it
        sample_seed=sample_seed,
    ).resolved()
    check_inputs(settings)
    expect("dataset", dataset, Dataset)
    expect("classes", classes, ClassSubset, ClassGrouping)
    listed = {"scores": scores, "predictions": predictions, classes.schema.partition("/")[0]: classes}
    made_from = {name: content_digest(one) for name, one in listed.items() if one is not None}
    evidence = Evidence(scores=scores, predictions=predictions)
    if settings.corrections is not None:
        made_from["corrections"] = file_sha256(settings.corrections)
        evidence = replace(evidence, corrections=read_corrections(settings.corrections))
    config: Any = to_json(replace(settings, corrections=None))
    return sample_images(dataset, classes, Origin({"dataset": dataset.digest, **made_from}, config), settings, evidence)


def export_beton(
    dataset: Dataset,
    subset: ImageSubset,
    folder: "str | Path",
    *,
    store: Store = "passthrough",
    scale: Scale = "8/8",
    resize_by: ResizeBy = "short-side",
    resize_side: int = 256,
    max_side: int = 1024,
    quality: int = 90,
    apply_exif: bool = False,
    on_bad: Literal["skip", "fail"] = "skip",
    num_threads: int = 0,
    progress: bool = False,
) -> dict[str, BetonInfo]:
    """Write folder/train.beton and folder/val.beton, each whole or not at all, with a JSON beside it; a split without
    images is left out. FFCV reads them, and `beton_loader`.

    Args:
        store: "passthrough" keeps the files' own JPEG bytes, "resize" makes new JPEGs, "raw" keeps pixels.
        scale: of "passthrough", the part of their size at which readers decode, such as "4/8".
        resize_by, resize_side: of "resize": what becomes so many pixels: "short-side", "long-side", or "cap".
        max_side: longest side that a reader sees, pixels; 0 = no limit. quality: of what is encoded, 1..100.
        apply_exif: turn images upright. on_bad: "skip" files that cannot be read, which are listed, or "fail".
        num_threads: 0 = all cores; the bytes do not depend on it. progress: show a bar.
    Returns: {"train": BetonInfo, "val": BetonInfo}: num_images, bytes, max_width, class_ids, skipped and more.
    Raises: SettingError for a value that is none of these, or would have no effect; DatasetError when no image of a
        class can be read, or for the first bad file; OutputError when a file cannot be written.
    """
    settings = ExportSettings(store, scale, resize_by, resize_side, max_side, quality, apply_exif, on_bad)
    expect("dataset", dataset, Dataset)
    expect("subset", subset, ImageSubset)
    made_from = {"image_subset": content_digest(subset)}
    threads, shown = MachineSettings(num_threads=num_threads).threads, track if progress else silent
    infos = {}
    for split in ("train", "val"):
        if len(subset.split(split)):
            origin, target = Origin(made_from, {"split": split, **asdict(settings)}), Path(folder) / f"{split}.beton"
            infos[split] = beton.export_beton(
                dataset.root, subset, split, target, settings, origin, num_threads=threads, track=shown
            )
    return infos
