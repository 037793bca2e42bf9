"""The table: how well each network does on each subset, as Markdown, CSV and a plot, beside what is published.

Accuracies of the last and of the best epoch are different figures, and get a table each. The published ones are of
the best epoch.
"""

import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rescale_fast.artifact import write_whole
from rescale_fast.files.csv_files import write_csv
from rescale_fast.train.published import CITATION
from rescale_fast.train.types import TrainRun

BEST = "best epoch"


@dataclass(frozen=True)
class Cell:
    """One network on one subset: a run for each seed; or why there is none."""

    network: str
    subset: str
    runs: tuple[TrainRun, ...]
    failure: str = ""
    published: float | None = None  # the accuracy of the best epoch, 0..1, that these may be measured by

    def values(self, figure: str) -> list[float]:
        """The accuracy of each run that has this figure, 0..1."""
        return [run.figures[figure] for run in self.runs if figure in run.figures]


def write_table(cells: Sequence[Cell], title: str, path: Path) -> str:
    """Write path.md, path.csv and path.png; return the Markdown."""
    text = markdown(cells, title)
    for suffix, content in {".md": text.encode(), ".png": _plot(cells, title)}.items():
        with write_whole(path.with_name(path.name + suffix)) as temporary:
            temporary.write_bytes(content)
    rows = _figures(cells)
    columns = dict.fromkeys(key for row in rows for key in row)
    write_csv(
        path.with_name(path.name + ".csv"), list(columns), [[row.get(key, "") for key in columns] for row in rows]
    )
    return text


def markdown(cells: Sequence[Cell], title: str) -> str:
    """A table for each figure: networks down, subsets across; % on val, mean and deviation over seeds."""
    figures = dict.fromkeys(figure for cell in cells for run in cell.runs for figure in run.figures)
    sections = [f"# {title}"]
    sections += [f"## Top-1 on val, %, {figure}\n\n" + "\n".join(_rows(cells, figure)) for figure in figures]
    if any(len(cell.runs) > 1 for cell in cells):
        sections.append("After the sign: the deviation over seeds.")
    if any(cell.published is not None and cell.runs for cell in cells):
        sections.append(f"In brackets: published, best epoch, one seed ({CITATION}).")
    if any("flip test" in figure for figure in figures):
        sections.append("Flip test: of the mean of the logits of an image and its mirror image; not what is published.")
    failures = [f"- {cell.network} on {cell.subset}: {cell.failure}" for cell in cells if cell.failure]
    if failures:
        sections.append("Not trained:\n\n" + "\n".join(failures))
    return "\n\n".join(sections) + "\n"


def _rows(cells: Sequence[Cell], figure: str) -> list[str]:
    subsets = list(dict.fromkeys(cell.subset for cell in cells))
    by_place = {(cell.network, cell.subset): cell for cell in cells}
    rows = [["network", *subsets], ["---"] * (1 + len(subsets))]
    for network in dict.fromkeys(cell.network for cell in cells):
        row = [by_place.get((network, subset)) for subset in subsets]
        rows.append([network, *(_text(cell, figure) if cell else "" for cell in row)])
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def _text(cell: Cell, figure: str) -> str:
    values = [100 * value for value in cell.values(figure)]
    if not values:
        return "-"
    text = f"{statistics.mean(values):.2f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.2f}"
    if figure == BEST and cell.published is not None:
        text += f" ({100 * cell.published:.2f})"
    return text


def _figures(cells: Sequence[Cell]) -> list[Mapping[str, object]]:
    """Of each run, by column."""
    return [
        {
            "network": cell.network,
            "subset": cell.subset,
            "recipe": run.recipe,
            "seed": run.seed,
            "num_classes": run.num_classes,
            "num_parameters": run.num_parameters,
            "image_size": run.image_size,
            "epochs": len(run.epochs),
            "best_epoch": run.best_epoch,
            **{f"top1 {figure}": f"{value:.6f}" for figure, value in run.figures.items()},
            "published top1 best epoch": "" if cell.published is None else f"{cell.published:.4f}",
        }
        for cell in cells
        for run in cell.runs
    ]


def _plot(cells: Sequence[Cell], title: str) -> bytes:
    """Best epochs: a row of dots for each network, a colour for each subset, published ones hollow."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure  # no pyplot: no global state, no window system
    from matplotlib.text import Text

    networks = list(dict.fromkeys(cell.network for cell in cells))[::-1]
    subsets = list(dict.fromkeys(cell.subset for cell in cells))
    colors = {subset: colormaps["tab10"](number % 10) for number, subset in enumerate(subsets)}
    figure = Figure(figsize=(7.5, 1.6 + 0.34 * len(networks)), layout="constrained")
    axes = figure.subplots()
    for cell in cells:
        values = [100 * value for value in cell.values(BEST)]
        if not values:
            continue
        height, color = networks.index(cell.network), colors[cell.subset]
        axes.plot(statistics.mean(values), height, "o", ms=6, color=color)
        axes.plot([min(values), max(values)], [height, height], "-", lw=1.5, color=color)
        if cell.published is not None:
            axes.plot(100 * cell.published, height, "o", ms=6, mfc="none", color=color)
    for subset, color in colors.items():
        axes.plot([], [], "o", color=color, label=subset)
    if any(cell.published is not None and cell.runs for cell in cells):
        axes.plot([], [], "o", mfc="none", color="#666666", label="published")
    axes.set_yticks(range(len(networks)), networks)
    axes.set_ylim(-0.6, len(networks) - 0.4)
    axes.set_xlabel("top-1 on val, %, best epoch" + (" (mean and range over seeds)" if _seeds(cells) > 1 else ""))
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", lw=0.4)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a dollar in a name is a dollar
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _seeds(cells: Sequence[Cell]) -> int:
    return max((len(cell.runs) for cell in cells), default=0)
