"""`rescale-fast quality`: gathers accuracies from tables and run folders, has them judged, and shows what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import MissingInputError, SettingError
from rescale_fast.quality.accuracies import Accuracies, Cells, gather, merge
from rescale_fast.quality.judge import judge
from rescale_fast.quality.settings import QualitySettings, numbers_in
from rescale_fast.quality.table import read_accuracies
from rescale_fast.quality.types import Quality
from rescale_fast.run.folder import RunFolder
from rescale_fast.run.training import subset_title
from rescale_fast.settings import InputPath, Settings
from rescale_fast.terminal import printable, say, show
from rescale_fast.train.types import TrainRun

PAGE = "quality.html"
NONE: Mapping[str, int] = {}


@dataclass(frozen=True)
class QualityCommand(Settings):
    """Says what subsets are worth: whether networks rank on them as they do on the full set."""

    inputs: Annotated[tuple[InputPath, ...], tyro.conf.Positional]
    """Run folders with trainings, or CSV tables: a row a network, a column a set (or <set>_seed<n>, <set>_epoch<e>,
    <set>_seed<n>_epoch<e>), the name in the first."""
    out: Path | None = None
    """Folder for quality.json and quality.html; of a run, whose report then shows it, too."""
    quality: QualitySettings = field(default_factory=QualitySettings)


def quality(settings: QualityCommand) -> None:
    """Print the tables; write quality.json and quality.html if a folder is given."""
    from rescale_fast.report.quality import write_quality_page

    made = judge(find_accuracies(settings.inputs, settings.quality), settings.quality)
    _print(made)
    if settings.out is not None:
        folder = RunFolder(settings.out)
        made.save(folder.quality)
        write_quality_page(made, settings.out / PAGE)
        say(f"Quality: {folder.quality} and {PAGE}")


def find_accuracies(inputs: Sequence[Path], settings: QualitySettings) -> Accuracies:
    """Read tables and run folders. Raises: ArtifactError, SettingError, MissingInputError."""
    if not inputs:
        raise SettingError("quality: name a table or a run folder at least.")
    val, train = (dict[str, int]() for _ in range(2))
    parts = []
    for path in inputs:
        if path.is_dir():
            part, images = _read_runs(RunFolder(path), settings.recipe)
            parts.append(part)
            (name,) = part
            val[name], train[name] = images
        else:
            parts.append(read_accuracies(path, settings.names, settings.wanted, settings.recipe))
    return choose_accuracies(merge(parts), settings, val, train)


def choose_accuracies(
    cells: Cells, settings: QualitySettings, val: Mapping[str, int] = NONE, train: Mapping[str, int] = NONE
) -> Accuracies:
    """Of cells, those that the settings ask for. Args: val, train: images of sets, where known without the settings.

    Raises: SettingError.
    """
    val = {**val, **numbers_in("--val-images", settings.val_images)}
    train = {**train, **numbers_in("--train-images", settings.train_images)}
    unknown = next((name for name in (*settings.wanted, *val, *train) if name not in cells), None)
    if unknown is not None:
        raise SettingError(f"there is no set {unknown!r}; there are {', '.join(cells)[:300]}.")
    if settings.wanted:
        cells = {name: of_set for name, of_set in cells.items() if name in settings.wanted}
    drop = settings.incomplete == "drop"
    return gather(cells, unit=settings.unit, drop=drop, val_images=val, train_images=train)


def _read_runs(folder: RunFolder, recipe: str | None) -> tuple[Cells, tuple[int, int]]:
    """The trainings of a run folder on its present betons; how many validation and training images these have."""
    found = [TrainRun.load(path) for path in folder.trainings()]
    if not found:
        raise MissingInputError(
            f"{folder.path}: holds no finished trainings. `rescale-fast train --out {folder.path}` makes them."
        )
    infos = {split: BetonInfo.load(folder.beton(split).with_suffix(".json")) for split in ("train", "val")}
    digests = {split: info.digest for split, info in infos.items()}
    runs = [run for run in found if dict(run.origin.made_from) == digests and recipe in (None, run.recipe)]
    recipes = sorted({run.recipe for run in runs})
    if len(recipes) != 1:
        what = f"by the recipes {', '.join(recipes)}" if recipes else "on other betons, or by other recipes"
        raise SettingError(f"{folder.path}: its trainings are {what}. Choose one with --recipe, or train.")
    of_set: dict[str, dict[tuple[int, int], float]] = {}
    for run in runs:
        of_network = of_set.setdefault(run.network, {})
        of_network |= {(run.seed, int(epoch["epoch"])): float(epoch["val_top1"]) for epoch in run.epochs}
    return {subset_title(folder): of_set}, (infos["val"].num_images, infos["train"].num_images)


def _print(made: Quality) -> None:
    from rich.console import Console
    from rich.table import Table

    from rescale_fast.report.quality import by_gap_rows, order_rows, protocol_rows, resolution_rows

    console = Console(markup=False, highlight=False)  # names are not ours
    show(
        f"{len(made.networks):,} networks, judged by {made.reference.name}; accuracies in {made.unit}; in brackets, "
        "95 % with other networks, seeds and validation images"
    )
    for header, rows in filter(None, (order_rows(made), by_gap_rows(made), protocol_rows(made), resolution_rows(made))):
        table = Table(*header)
        for row in rows:
            table.add_row(*[printable(cell).replace(" [", "\n[").replace(" (", "\n(") for cell in row])
        console.print(table)
    for line in made.advice:
        show(line)
    if made.left_out:
        show(f"Left out: {'; '.join(made.left_out[:10])}{' ...' if len(made.left_out) > 10 else ''}")
