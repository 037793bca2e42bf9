"""The last stage: gathers what the run folder holds, and has the report written."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.group import coarsen
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import DatasetError, SettingError
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.predictions.types import Predictions
from rescale_fast.quality.types import Quality
from rescale_fast.report.page import ReportInputs, write_report
from rescale_fast.report.summary import summary
from rescale_fast.run.folder import RunFolder, digest
from rescale_fast.run.resolving import resolution_of
from rescale_fast.run.selecting import known_confusion
from rescale_fast.run.stages import check_classes
from rescale_fast.train.types import TrainRun
from rescale_fast.types import JSON


def report(folder: RunFolder, dataset: Dataset | None = None) -> str:
    """Write report.html; return the summary. Without a data set, that of the run, if there is one, and its images."""
    chosen = _chosen(folder)
    name, root = folder.dataset_place()
    dataset = dataset or _open_if_there(folder)
    if isinstance(chosen, ClassGrouping):
        folder.require(folder.confusion, "confuse")
        if dataset is not None:
            check_classes(dataset, folder.confusion)
    confusion = known_confusion(folder, dataset)
    betons = {
        split: BetonInfo.load(folder.beton(split).with_suffix(".json"))
        for split in ("train", "val")
        if folder.beton(split).exists()
    }
    digests = {split: info.digest for split, info in betons.items()}
    found = [TrainRun.load(path) for path in folder.trainings()]
    runs = [run for run in found if run.is_current and run.is_on(digests)]  # not those on an earlier subset
    predictions = _predictions_of(folder, confusion) if confusion else None
    made = {"predictions": dict(predictions.origin.config)} if predictions else {}
    if isinstance(chosen, ClassSubset):
        classes = chosen
    else:
        assert confusion is not None  # as it is about these classes
        seen = (dataset, confusion, predictions)
        classes, (dataset, confusion, predictions) = _of_groups(chosen), _in_groups(chosen, *seen)
    inputs = ReportInputs(
        name=name,
        root=root,
        dataset=dataset,
        confusion=confusion,
        classes=classes,
        grouping=chosen if isinstance(chosen, ClassGrouping) else None,
        betons=betons,
        predictions=predictions,
        runs=runs,
        timings=folder.timings,
        settings={
            "dataset": {"name": name, **({"root": str(root)} if root else {})},
            **made,
            "classes": dict(chosen.origin.config),
            "images": _images(folder),
            "export": {split: dict(info.origin.config) for split, info in betons.items()},
        },
        resolution=resolution_of(betons, runs),
        quality=Quality.load(folder.quality) if folder.quality.exists() else None,
        provenance={
            "Commands": _made_by(folder.timings),
            "Digests": _digests(folder, chosen, digests),
        },
    )
    gone = write_report(inputs, folder.report)
    return summary(inputs) + (f"\nThe report goes without some images: {gone}" if gone else "")


def _open_if_there(folder: RunFolder) -> Dataset | None:
    try:
        return folder.known_dataset()
    except (DatasetError, SettingError):  # its images were moved, or deleted: the rest can still be shown
        return None


def _made_by(timings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What made the stages: those of one command, version and machine together."""
    stages: dict[str, list[str]] = {}
    for stage, work in timings.items():
        if "command" in work:  # not of runs before it was kept
            by = f"{work['command']}\nrescale-fast {work['version']} on {work['machine']}"
            stages.setdefault(by, []).append(stage)
    return {", ".join(names): by for by, names in stages.items()}


def _digests(folder: RunFolder, chosen: ClassSubset | ClassGrouping, betons: Mapping[str, str]) -> dict[str, str]:
    of_betons = {f"{split}.beton": found for split, found in betons.items()}
    made = folder.class_grouping if isinstance(chosen, ClassGrouping) else folder.class_subset
    files = [path for path in (made, folder.image_subset) if path.exists()]
    return {**chosen.origin.made_from, **{path.name: digest(path) for path in files}, **of_betons}


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
    grouping: ClassGrouping, dataset: Dataset | None, confusion: ConfusionMatrix, predictions: Predictions | None
) -> tuple[Dataset | None, ConfusionMatrix, Predictions | None]:
    """The data set, the matrix and the predictions as they are when only groups are told apart."""
    group_of = np.full(grouping.num_classes, -1, np.int64)
    for group, labels in enumerate(grouping.labels):
        group_of[list(labels)] = group
    ids, names = grouping.class_ids, grouping.class_names
    if dataset is not None:
        splits = {}
        for split, images in dataset.splits.items():
            kept = np.flatnonzero(group_of[images.labels] >= 0)
            splits[split] = ImageList(tuple(images.paths[i] for i in kept), group_of[images.labels[kept]])
        dataset = replace(dataset, splits=splits, class_ids=ids, class_names=names)
    if predictions is not None:
        predictions = replace(
            predictions,
            class_ids=ids,
            class_names=names,
            labels=group_of[predictions.labels],
            top_ids=group_of[predictions.top_ids],
        )
    return dataset, coarsen(confusion, grouping), predictions


def _predictions_of(folder: RunFolder, confusion: ConfusionMatrix) -> Predictions | None:
    """The run's predictions, if they are those that the confusion matrix was made from."""
    if not folder.predictions.is_dir():
        return None
    if confusion.origin.made_from.get("predictions") != digest(folder.predictions):
        return None
    return Predictions.load(folder.predictions)
