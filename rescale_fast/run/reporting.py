"""The last stage: gathers what the run folder holds, and has the report written."""

from dataclasses import replace

import numpy as np

from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.group import coarsen
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.predictions.types import Predictions
from rescale_fast.quality.types import Quality
from rescale_fast.report.page import ReportInputs, summary, write_report
from rescale_fast.run.folder import RunFolder, digest
from rescale_fast.run.resolving import resolution_of
from rescale_fast.run.selecting import known_confusion
from rescale_fast.run.stages import check_classes
from rescale_fast.train.types import TrainRun
from rescale_fast.types import JSON


def report(folder: RunFolder, dataset: Dataset) -> str:
    """Write report.html; return the summary."""
    chosen = _chosen(folder)
    if isinstance(chosen, ClassGrouping):
        check_classes(dataset, folder.require(folder.confusion, "confuse"))
    confusion = known_confusion(folder, dataset)
    betons = {
        split: BetonInfo.load(folder.beton(split).with_suffix(".json"))
        for split in ("train", "val")
        if folder.beton(split).exists()
    }
    digests = {split: info.digest for split, info in betons.items()}
    found = [TrainRun.load(path) for path in folder.trainings()]
    runs = [run for run in found if dict(run.origin.made_from) == digests]  # not those on an earlier subset
    predictions = _predictions_of(folder, confusion) if confusion else None
    made = {"predictions": dict(predictions.origin.config)} if predictions else {}
    if isinstance(chosen, ClassSubset):
        classes = chosen
    else:
        assert confusion is not None  # as it is about these classes
        seen = (dataset, confusion, predictions)
        classes, (dataset, confusion, predictions) = _of_groups(chosen), _in_groups(chosen, *seen)
    inputs = ReportInputs(
        dataset=dataset,
        confusion=confusion,
        classes=classes,
        grouping=chosen if isinstance(chosen, ClassGrouping) else None,
        betons=betons,
        predictions=predictions,
        runs=runs,
        timings=folder.timings,
        settings={
            "dataset": {"name": dataset.name, "root": str(dataset.root)},
            **made,
            "classes": dict(chosen.origin.config),
            "images": _images(folder),
            "export": {split: dict(info.origin.config) for split, info in betons.items()},
        },
        resolution=resolution_of(betons, runs),
        quality=Quality.load(folder.quality) if folder.quality.exists() else None,
    )
    write_report(inputs, folder.report)
    return summary(inputs)


def _chosen(folder: RunFolder) -> ClassSubset | ClassGrouping:
    """What the images were taken from; before that, what there is."""
    grouped = folder.class_grouping.exists() and not folder.class_subset.exists()
    if folder.image_subset.exists():
        grouped = "class_grouping" in ImageSubset.load(folder.image_subset).origin.made_from
    if grouped:
        return ClassGrouping.load(folder.require(folder.class_grouping, "group"))
    return ClassSubset.load(folder.require(folder.class_subset, "select"))


def _images(folder: RunFolder) -> dict[str, JSON]:
    """How the images were chosen, and what was found about them."""
    if not folder.image_subset.exists():
        return {}
    subset = ImageSubset.load(folder.image_subset)
    return {**subset.origin.config, **subset.facts}


def _of_groups(grouping: ClassGrouping) -> ClassSubset:
    """The groups as classes, all of them chosen."""
    return ClassSubset(
        origin=grouping.origin,
        method=grouping.method,
        num_classes=len(grouping.labels),
        classes=tuple(range(len(grouping.labels))),
        class_ids=grouping.class_ids,
        class_names=grouping.class_names,
        facts=grouping.facts,
    )


def _in_groups(
    grouping: ClassGrouping, dataset: Dataset, confusion: ConfusionMatrix, predictions: Predictions | None
) -> tuple[Dataset, ConfusionMatrix, Predictions | None]:
    """The data set, the matrix and the predictions as they are when only groups are told apart."""
    group_of = np.full(grouping.num_classes, -1, np.int64)
    for group, labels in enumerate(grouping.labels):
        group_of[list(labels)] = group
    splits = {}
    for split, images in dataset.splits.items():
        kept = np.flatnonzero(group_of[images.labels] >= 0)
        splits[split] = ImageList(tuple(images.paths[i] for i in kept), group_of[images.labels[kept]])
    ids, names = grouping.class_ids, grouping.class_names
    if predictions is not None:
        predictions = replace(
            predictions,
            class_ids=ids,
            class_names=names,
            labels=group_of[predictions.labels],
            top_ids=group_of[predictions.top_ids],
        )
    return replace(dataset, splits=splits, class_ids=ids, class_names=names), coarsen(confusion, grouping), predictions


def _predictions_of(folder: RunFolder, confusion: ConfusionMatrix) -> Predictions | None:
    """The run's predictions, if they are those that the confusion matrix was made from."""
    if not folder.predictions.is_dir():
        return None
    if confusion.origin.made_from.get("predictions") != digest(folder.predictions):
        return None
    return Predictions.load(folder.predictions)
