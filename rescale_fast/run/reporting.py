"""The last stage: gathers what the run folder holds, and has the report written."""

from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.datasets.types import Dataset
from rescale_fast.export.types import BetonInfo
from rescale_fast.predictions.types import Predictions
from rescale_fast.report.page import ReportInputs, summary, write_report
from rescale_fast.run.folder import RunFolder, digest
from rescale_fast.train.types import TrainRun


def report(folder: RunFolder, dataset: Dataset) -> str:
    """Write report.html; return the summary."""
    confusion = ConfusionMatrix.load(folder.require(folder.confusion, "confuse"))
    classes = ClassSubset.load(folder.require(folder.class_subset, "select"))
    betons = {
        split: BetonInfo.load(folder.beton(split).with_suffix(".json"))
        for split in ("train", "val")
        if folder.beton(split).exists()
    }
    runs = [TrainRun.load(path) for path in folder.trainings()]
    digests = {split: info.digest for split, info in betons.items()}
    predictions = _predictions_of(folder, confusion)
    inputs = ReportInputs(
        dataset=dataset,
        confusion=confusion,
        classes=classes,
        betons=betons,
        predictions=predictions,
        runs=[run for run in runs if dict(run.origin.made_from) == digests],  # not those on an earlier subset
        timings=folder.timings,
        settings={
            "dataset": {"name": dataset.name, "root": str(dataset.root)},
            "predictions": dict(predictions.origin.config) if predictions else None,
            "class_subset": dict(classes.origin.config),
            "export": {split: dict(info.origin.config) for split, info in betons.items()},
        },
    )
    write_report(inputs, folder.report)
    return summary(inputs)


def _predictions_of(folder: RunFolder, confusion: ConfusionMatrix) -> Predictions | None:
    """The run's predictions, if they are those that the confusion matrix was made from."""
    if not folder.predictions.is_dir():
        return None
    if confusion.origin.made_from.get("predictions") != digest(folder.predictions):
        return None
    return Predictions.load(folder.predictions)
