"""Draws docs/confused.svg from benchmarks/results/class_subset.csv: `python -m scripts.figures`."""

import csv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results/class_subset.csv"
TARGET = ROOT / "docs/confused.svg"
NOT_DATED = {"Date": None, "Creator": None}  # the same bytes every time


def series() -> dict[str, list[tuple[int, float]]]:
    """Images confused inside the choice, for each k: greedy's, the worst that `fast` found, and what none exceeds."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["k"].isdigit()]
    proven = [(int(row["k"]), float(row["bound"])) for row in rows if row["way"].startswith("prove")]
    return {
        "no choice has more": proven,
        "fast, the default (worst of 10 seeds)": _worst(rows, "fast"),
        "greedy": _worst(rows, "greedy"),
    }


def _worst(rows: list[dict[str, str]], way: str) -> list[tuple[int, float]]:
    return [(int(row["k"]), float(row["worst"])) for row in rows if row["way"] == way]


def draw(target: Path = TARGET) -> None:
    """Write the figure."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "rescale_fast", "font.size": 11})
    from matplotlib import pyplot as plt

    styles: list[dict[str, Any]] = [
        {"color": "#444444", "linestyle": ":", "marker": "_"},
        {"color": "#1f6fb4", "marker": "o"},
        {"color": "#d1603d", "marker": "s"},
    ]
    figure, axes = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
    figure.patch.set_facecolor("white")
    for (name, points), style in zip(series().items(), styles, strict=True):
        axes.plot(*zip(*points, strict=True), label=name, **style)
    axes.set(xlabel="classes chosen of ImageNet's 1,000", ylabel="images confused inside", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(target, metadata=NOT_DATED)
    plt.close(figure)


if __name__ == "__main__":
    draw()
