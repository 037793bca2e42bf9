"""The report: one self-contained HTML page. Shows artifacts; decides nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.datasets.types import Dataset
from rescale_fast.extras import is_installed
from rescale_fast.predictions.types import Predictions
from rescale_fast.quality.types import Quality, Resolution
from rescale_fast.report.certificate import certificate_chart
from rescale_fast.report.class_table import class_rows
from rescale_fast.report.gallery import PairShown, gallery
from rescale_fast.report.heat_map import heat_map
from rescale_fast.report.quality import quality_parts
from rescale_fast.report.template import write_page
from rescale_fast.report.training import run_rows, training_charts
from rescale_fast.train.types import TrainRun

SMALL = 96  # pixels: images smaller than this are enlarged without smoothing


@dataclass(frozen=True)
class ReportInputs:
    """Everything the page may show. What is None is left out of it."""

    name: str  # of the data set
    root: Path | None  # of its images, if there are any
    dataset: Dataset | None  # None where its images are gone
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
    provenance: Mapping[str, Mapping[str, str]]  # title -> name -> what it was


def write_report(inputs: ReportInputs, path: Path) -> str:
    """Write report.html; return which images it goes without, "" if it has them all."""
    chosen = inputs.classes
    pairs: list[PairShown] = []
    if inputs.confusion is not None:
        pairs = gallery(inputs.confusion, chosen.classes, inputs.dataset, inputs.predictions)
    gone = _gone(inputs, pairs)
    write_page(
        "page.html",
        path,
        inputs=inputs,
        heat=heat_map(inputs.confusion, chosen) if inputs.confusion else None,
        pairs=pairs,
        gone=gone,
        certificate=certificate_chart(chosen.facts, len(chosen.classes)),
        runs=run_rows(inputs.runs),
        curves=training_charts(inputs.runs),
        rows=class_rows(chosen, inputs.grouping, inputs.confusion),
        rates=_rates(inputs.timings),
        quality=quality_parts(inputs.quality) if inputs.quality and is_installed("matplotlib") else None,
        small_images=any(info.max_width < SMALL for info in inputs.betons.values()),
    )
    return gone


def _gone(inputs: ReportInputs, pairs: Sequence[PairShown]) -> str:
    without = [pair for pair in pairs if not all(side.images for side in pair.sides)]
    if not without:
        return ""
    if inputs.root is None:
        return "this folder belongs to no data set."
    some = "; ".join(" and ".join(side.name for side in pair.sides) for pair in without[:3])
    more = f" and {len(without) - 3} more" if len(without) > 3 else ""
    return f"the images of {some}{more} are not under {inputs.root} any more."


def _rates(timings: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"stage": stage, **timing, "rate": timing["items"] / timing["seconds"] if timing["seconds"] else 0.0}
        for stage, timing in timings.items()
    ]
