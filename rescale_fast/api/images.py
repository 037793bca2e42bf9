"""Images of the chosen classes, and the betons that hold them."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from rescale_fast.api.classes import Classes, as_classes
from rescale_fast.api.origins import content_digest, expect
from rescale_fast.artifact import Origin, file_sha256, to_json
from rescale_fast.beton.types import BetonInfo
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import SettingError
from rescale_fast.export import beton
from rescale_fast.export.settings import ExportSettings, ResizeBy, Scale, Store
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.reviewed import check_configuration, sample_and_review
from rescale_fast.image_subset.sample import Evidence
from rescale_fast.image_subset.settings import Configuration, SampleSettings
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.machine import MachineSettings
from rescale_fast.predictions.types import Predictions
from rescale_fast.report.review import write_reviews
from rescale_fast.scores.types import Scores
from rescale_fast.settings import check_inputs
from rescale_fast.terminal import track
from rescale_fast.types import silent


def choose_images(
    dataset: Dataset,
    classes: Classes,
    *,
    images: Literal["auto", "all", "random", "difficulty", "sensitive"] = "auto",
    per_class: int | None = None,
    evenly_over: Literal["class", "set"] = "class",
    val_share: float | None = None,
    configuration: Configuration | None = None,
    corrections: "str | Path | None" = None,
    label_errors: Literal["keep", "list", "drop", "relabel"] = "keep",
    near_duplicates: int | None = None,
    sample_seed: int = 0,
    scores: Scores | None = None,
    predictions: Predictions | None = None,
    review: "str | Path | None" = None,
    num_threads: int = 0,
    progress: bool = False,
) -> ImageSubset:
    """Take images of the chosen classes, or of the groups; a group's images get the group's label.

    Args:
        classes: as `choose_classes` or `group_classes` give them; or "all", a published list's name such as "ReIN50", a
            file with a class id a line, or the ids: these are taken in the data set's order.
        images: "all"; "random": per_class training images of each class; "difficulty": as many, spread evenly
            (`evenly_over` each "class" or the "set") over the `scores`; "sensitive": all training images, and the
            misclassified validation images by `predictions`. "auto" is "random" with per_class, else "all".
        configuration: such as "N200-M500", of 200 classes (which must have been chosen) with per_class = 500.
        val_share: have at least this share (0..1) of each class's images validate, taken from train.
        corrections: a CSV with the columns path and class, made by hand. sample_seed: of every choice.
        label_errors: of likely ones, "list" them, also "drop" or "relabel" them; found in train by the `scores`, in
            val by the `predictions`, if there are any.
        near_duplicates: list training images whose perceptual hashes differ from a validation image's in at most this
            many of 64 bits, 0..16; 4 is a good start.
        review: the folder where what was listed is written: label_errors.csv, near_duplicates.csv and review.html.
        scores: of training images, as `score_images` makes them. predictions: as `validate` makes them.
        num_threads: that read images for near-duplicates; 0 = all cores. progress: show a bar.
    Returns: ImageSubset: train and val, each with paths, labels and new_labels, (n,) int64 in [0, k); facts: how many
        label_errors and near_duplicates were found.
    Raises: SettingError for a value that is none of these, or would have no effect; MissingInputError without the
        scores or predictions that are asked for; ArtifactError for classes, scores or predictions of another data set;
        DatasetError when a class has too few images.
    """
    settings = SampleSettings(
        images=images,
        per_class=per_class,
        configuration=configuration,
        evenly_over=evenly_over,
        val_share=val_share,
        corrections=corrections,  # type: ignore[arg-type]  # it makes a path of it
        label_errors=label_errors,
        near_duplicates=near_duplicates,
        sample_seed=sample_seed,
    )
    threads, shown = MachineSettings(num_threads=num_threads).threads, track if progress else silent
    check_inputs(settings)
    _check_review(settings, review)
    expect("dataset", dataset, Dataset)
    classes = as_classes(dataset, classes)
    check_configuration(classes, configuration)
    settings = settings.resolved()
    listed = {"scores": scores, "predictions": predictions, classes.schema.partition("/")[0]: classes}
    made_from = {name: content_digest(one) for name, one in listed.items() if one is not None}
    evidence = Evidence(scores=scores, predictions=predictions)
    if settings.corrections is not None:
        made_from["corrections"] = file_sha256(settings.corrections)
        evidence = replace(evidence, corrections=read_corrections(settings.corrections))
    config: Any = to_json(replace(settings, corrections=None))
    origin = Origin({"dataset": dataset.digest, **made_from}, config)
    made = sample_and_review(dataset, classes, origin, settings, evidence, num_threads=threads, track=shown)
    if review is not None:
        write_reviews(Path(review), dataset, classes, made, label_errors)
    return made.images


def _check_review(settings: SampleSettings, review: "str | Path | None") -> None:
    lists = settings.changed("near_duplicates", "label_errors")
    if review is None and (settings.near_duplicates is not None or settings.label_errors == "list"):
        raise SettingError(f"{', '.join(lists)}: pass review=FOLDER, where what is found is written.")
    if review is not None and not lists:
        raise SettingError("review: would have no effect, as neither label_errors nor near_duplicates is looked for.")


def export_beton(
    dataset: Dataset,
    subset: ImageSubset,
    folder: "str | Path",
    *,
    store: Store = "auto",
    scale: Scale = "8/8",
    resize_by: ResizeBy = "short-side",
    resize_side: int = 256,
    max_side: int = 1024,
    quality: int = 90,
    apply_exif: bool = False,
    on_bad: Literal["skip", "fail"] = "skip",
    index: bool = True,
    num_threads: int = 0,
    progress: bool = False,
) -> dict[str, BetonInfo]:
    """Write folder/train.beton and folder/val.beton, each whole or not at all, with a JSON beside it; a split without
    images is left out. FFCV reads them, and `beton_loader`.

    Args:
        store: "passthrough" keeps the files' own JPEG bytes, and the pixels of small files that are no JPEGs, "resize"
            makes new JPEGs, "raw" keeps pixels; "auto" is "passthrough" here.
        scale: of "passthrough", the part of their size at which readers decode, such as "4/8".
        resize_by, resize_side: of "resize": what becomes so many pixels: "short-side", "long-side", or "cap".
        max_side: longest side that a reader sees, pixels; 0 = no limit. quality: of what is encoded, 1..100.
        apply_exif: turn images upright. on_bad: "skip" files that cannot be read, which are listed, or "fail".
        index: store a third field, of each sample its row in `subset`; False: FFCV's usual two, image and label.
        num_threads: 0 = all cores; the bytes do not depend on it. progress: show a bar.
    Returns: {"train": BetonInfo, "val": BetonInfo}: num_images, bytes, max_width, class_ids, skipped and more.
    Raises: SettingError for a value that is none of these, or would have no effect; DatasetError when no image of a
        class can be read, or for the first bad file; OutputError when a file cannot be written.
    """
    settings = ExportSettings(
        store, scale, resize_by, resize_side, max_side, quality, apply_exif, on_bad, index
    ).resolved()
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
