"""Trainings on the subset: their curves and the table of runs."""

from collections.abc import Sequence
from typing import Any

from rescale_fast.report.chart import NUM_COLORS, Chart, Series, line_chart
from rescale_fast.train.types import TrainRun


def run_name(run: TrainRun) -> str:
    """What a training is called on a page."""
    return f"{run.network}, {run.recipe}, seed {run.seed}"


def training_charts(runs: Sequence[TrainRun]) -> list[Chart]:
    """Accuracy on val, and the training loss, epoch by epoch; a line a run, the best of them where they are many."""
    shown = sorted(runs, key=lambda run: -run.last_top1)[:NUM_COLORS]
    if not shown:
        return []
    last = max(len(run.epochs) for run in shown)
    chance = 100 / shown[0].num_classes
    accuracy = [_line(run, i, "val_top1", 100) for i, run in enumerate(shown)]
    accuracy.append(Series("chance", [(1, chance), (last, chance)], 4, dashed=True))
    return [
        line_chart("Top-1 on val, epoch by epoch", "epoch", "top-1 on val, %", accuracy, y_end=100),
        line_chart(
            "Training loss, epoch by epoch",
            "epoch",
            "training loss",
            [_line(run, i, "train_loss", 1) for i, run in enumerate(shown)],
        ),
    ]


def _line(run: TrainRun, color: int, key: str, scale: float) -> Series:
    points = [(epoch["epoch"], scale * epoch[key]) for epoch in run.epochs]
    return Series(run_name(run), points, color, dots=len(points) <= 40)


def run_rows(runs: Sequence[TrainRun]) -> list[dict[str, Any]]:
    """A row a training, the best in the last epoch first."""
    return [
        {
            "run": run,
            "num_epochs": len(run.epochs),
            "best_epoch": run.best_epoch,
            "flip_test": run.figures.get("last epoch, flip test"),
            "seconds": sum(epoch.get("seconds", 0) for epoch in run.epochs),
        }
        for run in sorted(runs, key=lambda run: -run.last_top1)
    ]
