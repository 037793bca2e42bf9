"""The report's pictures, as PNG bytes."""

import io
from typing import Any

import numpy as np

from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.terminal import printable
from rescale_fast.train.types import TrainRun

MAX_LABELS = 60  # class names along an axis that can still be read


def confusion_heat_map(confusion: ConfusionMatrix, classes: ClassSubset) -> bytes:
    """Share of each chosen class's images that was called each other chosen class; the diagonal is left grey."""
    chosen = list(classes.classes)
    images = np.maximum(confusion.counts[chosen].sum(axis=1, keepdims=True), 1)
    shares = 100 * confusion.counts[np.ix_(chosen, chosen)] / images
    off_diagonal = np.ma.masked_array(shares, np.eye(len(chosen), dtype=bool))
    side = min(12.0, max(5.0, 0.32 * len(chosen) + 2))
    figure, axes = new_figure(side + 1, side)
    cells = axes.imshow(off_diagonal, cmap="YlOrRd", vmin=0, interpolation="nearest")
    axes.set_facecolor("#d9d9d9")
    axes.set_xlabel("called")
    axes.set_ylabel("true class")
    if len(chosen) <= MAX_LABELS:
        names = [shorten(printable(name)) for name in classes.class_names]
        upright = max(map(len, names)) <= 2
        axes.set_xticks(range(len(chosen)), names, rotation=0 if upright else 90)
        axes.set_yticks(range(len(chosen)), names)
    if len(chosen) <= 20:
        for (row, column), share in np.ndenumerate(shares):
            if row != column and share > 0:
                dark = share > 0.6 * off_diagonal.max()
                axes.text(
                    column,
                    row,
                    f"{share:.0f}" if share >= 0.95 else f"{share:.1f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if dark else "black",
                )
    figure.colorbar(cells, ax=axes, label="% of the class's images", fraction=0.046, pad=0.03)
    return to_png(figure)


def training_curve(run: TrainRun) -> bytes:
    """Accuracy on val and training loss, epoch by epoch."""
    figure, axes = new_figure(6.5, 3.4)
    epochs = [epoch["epoch"] for epoch in run.epochs]
    axes.plot(epochs, [100 * epoch["val_top1"] for epoch in run.epochs], "o-", ms=3, color="#b2182b", label="val top-1")
    axes.axhline(100 / run.num_classes, color="#888888", lw=1, ls=":", label="chance")
    axes.set_xlabel("epoch")
    axes.set_ylabel("top-1, %")
    axes.set_ylim(0, 100)
    loss = axes.twinx()
    loss.plot(epochs, [epoch["train_loss"] for epoch in run.epochs], color="#2166ac", lw=1, label="training loss")
    loss.set_ylabel("training loss")
    lines = axes.get_lines() + loss.get_lines()
    axes.legend(lines, [line.get_label() for line in lines], loc="center right", fontsize=8, framealpha=0.9)
    return to_png(figure)


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of so many inches, and its axes."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no window system

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def to_png(figure: Any) -> bytes:
    """The PNG of a figure."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a dollar in a name is a dollar
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def shorten(name: str, limit: int = 18) -> str:
    """A name that fits beside a picture."""
    return name if len(name) <= limit else name[: limit - 1] + "\u2026"
