"""The report: one self-contained HTML page, and a summary for the terminal. Shows artifacts; decides nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.datasets.types import Dataset
from rescale_fast.extras import is_installed
from rescale_fast.predictions.types import Predictions
from rescale_fast.quality.types import Quality, Resolution
from rescale_fast.report.pictures import data_uri, thumbnail
from rescale_fast.report.plots import confusion_heat_map, training_curve
from rescale_fast.report.quality import quality_parts
from rescale_fast.report.template import write_page
from rescale_fast.train.types import TrainRun

NUM_PAIRS = 12
THUMBNAILS_A_SIDE = 3
THUMBNAIL_SIDE = 96  # pixels


@dataclass(frozen=True)
class ReportInputs:
    """Everything the page may show. What is None is left out of it."""

    dataset: Dataset
    confusion: ConfusionMatrix | None  # of classes that are listed, none need be known
    classes: ClassSubset
    grouping: ClassGrouping | None  # then the classes, and all else here, are its groups
    betons: Mapping[str, BetonInfo]
    predictions: Predictions | None
    runs: Sequence[TrainRun]
    timings: Mapping[str, Mapping[str, Any]]  # stage -> {"seconds", "items", "unit"}
    settings: Mapping[str, Any]
    resolution: Resolution | None  # of val.beton
    quality: Quality | None


@dataclass(frozen=True)
class Pair:
    """Two chosen classes that are confused, most confused first; label `a` is the smaller."""

    a: int
    b: int
    a_called_b: int  # images
    b_called_a: int


def most_confused_pairs(confusion: ConfusionMatrix, classes: Sequence[int], limit: int = NUM_PAIRS) -> list[Pair]:
    """The pairs of classes with the most images confused either way; ties by label."""
    counts = confusion.counts
    pairs = [
        Pair(a, b, int(counts[a, b]), int(counts[b, a]))
        for i, a in enumerate(sorted(classes))
        for b in sorted(classes)[i + 1 :]
        if counts[a, b] + counts[b, a] > 0
    ]
    return sorted(pairs, key=lambda pair: (-pair.a_called_b - pair.b_called_a, pair.a, pair.b))[:limit]


def write_report(inputs: ReportInputs, path: Path) -> None:
    """Write report.html. Without matplotlib it says that its plots are missing."""
    plots = is_installed("matplotlib")
    write_page(
        "page.html",
        path,
        inputs=inputs,
        plots=plots,
        heat_map=data_uri(confusion_heat_map(inputs.confusion, inputs.classes), "png")
        if inputs.confusion and plots
        else None,
        pairs=_gallery(inputs, inputs.confusion) if inputs.confusion else [],
        curves=[data_uri(training_curve(run), "png") for run in inputs.runs] if plots else [],
        rates=_rates(inputs.timings),
        quality=quality_parts(inputs.quality) if inputs.quality and plots else None,
        small_images=any(info.max_width < THUMBNAIL_SIDE for info in inputs.betons.values()),
    )


def summary(inputs: ReportInputs) -> str:
    """A few lines for the terminal."""
    confusion, classes = inputs.confusion, inputs.classes
    kind = "classes" if inputs.grouping is None else "groups of classes"
    seen = "whose images no network has looked at"
    if confusion is not None:
        seen = f"top-1 {100 * confusion.accuracy:.1f} % on {confusion.num_images:,} validation images"
    lines = [
        f"{inputs.dataset.name}: {inputs.dataset.num_classes:,} {kind}, {seen}",
        _chosen(classes) if inputs.grouping is None else _grouped(inputs.grouping),
        "  " + ", ".join(classes.class_names[:20]) + (", ..." if len(classes.class_names) > 20 else ""),
    ]
    for split, info in inputs.betons.items():
        skipped = f", {len(info.skipped)} skipped" if info.skipped else ""
        lines.append(f"{split}.beton: {info.num_images:,} images, {info.bytes / 1e6:.1f} MB{skipped}")
    if inputs.resolution is not None:
        lines.append(f"resolution: {inputs.resolution.describe()}")
    lines += [
        f"{run.network} trained on the subset: top-1 {100 * run.last_top1:.1f} % "
        f"(last of {len(run.epochs)} epochs, chance {100 / run.num_classes:.1f} %)"
        for run in inputs.runs
    ]
    return "\n".join(lines)


def _chosen(classes: ClassSubset) -> str:
    facts, text = classes.facts, f"chosen: {len(classes.classes)} classes ({classes.method})"
    if "value" not in facts:  # listed, or chosen by another program
        return text
    return (
        f"{text}, {facts['value']:,} images confused among them "
        f"(a random choice: {facts['value_of_a_random_choice']:.1f}), "
        f"top-1 on them {100 * facts['accuracy']:.1f} %" + (f"; {facts['verdict']}" if "verdict" in facts else "")
    )


def _grouped(grouping: ClassGrouping) -> str:
    facts = grouping.facts
    text = f"grouped: {sum(map(len, grouping.labels)):,} classes into {len(grouping.labels)} ({grouping.method})"
    if not facts:  # grouped by another program
        return text
    return (
        f"{text}, {100 * facts['share_inside']:.1f} % of the errors fall inside groups "
        f"(at random {100 * facts['share_inside_at_random']:.1f} %)"
    )


def _rates(timings: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"stage": stage, **timing, "rate": timing["items"] / timing["seconds"] if timing["seconds"] else 0.0}
        for stage, timing in timings.items()
    ]


def _gallery(inputs: ReportInputs, confusion: ConfusionMatrix) -> list[dict[str, Any]]:
    names = confusion.class_names
    return [
        {
            "pair": pair,
            "sides": [
                {"name": names[true], "called": names[other], "images": _thumbnails(inputs, true, other)}
                for true, other in ((pair.a, pair.b), (pair.b, pair.a))
            ],
        }
        for pair in most_confused_pairs(confusion, inputs.classes.classes)
    ]


def _thumbnails(inputs: ReportInputs, true: int, other: int) -> list[dict[str, Any]]:
    """Images of class `true`: first those that were called `other`, then others of it."""
    mistaken: list[str] = []
    if inputs.predictions is not None:
        hits = (inputs.predictions.labels == true) & (inputs.predictions.predicted == other)
        mistaken = [inputs.predictions.paths[i] for i in np.flatnonzero(hits)]
    val = inputs.dataset.splits["val"]
    rest = [val.paths[i] for i in np.flatnonzero(val.labels == true) if val.paths[i] not in mistaken]
    shown: list[dict[str, Any]] = []
    for path in mistaken + rest:
        uri = thumbnail(inputs.dataset.root / path, THUMBNAIL_SIDE)
        if uri is not None:
            shown.append({"uri": uri, "path": path, "mistaken": path in mistaken})
        if len(shown) == THUMBNAILS_A_SIDE:
            break
    return shown
