"""`rescale-fast quality`: gathers accuracies from tables and run folders, has them judged, and shows what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import MissingInputError, SettingError
from rescale_fast.quality.accuracies import Accuracies, Cells, gather, merge
from rescale_fast.quality.judge import judge
from rescale_fast.quality.settings import QualitySettings, numbers_in
from rescale_fast.quality.table import read_accuracies
from rescale_fast.quality.types import Quality
from rescale_fast.run.folder import RunFolder
from rescale_fast.run.training import subset_title
from rescale_fast.settings import InputPath, Positional, Settings
from rescale_fast.terminal import printable, say, show, track
from rescale_fast.train.types import TrainRun

PAGE = "quality.html"


@dataclass(frozen=True)
class QualityCommand(Settings):
    """Say what subsets are worth: whether networks rank on them as they do on the full set."""

    inputs: Annotated[tuple[InputPath, ...], Positional()]
    """Run folders with trainings, or CSV tables: a row a network, a column a set (or <set>_seed<n>, <set>_epoch<e>,
    <set>_seed<n>_epoch<e>), the name in the first."""
    out: Path | None = None
    """Folder for quality.json and quality.html; of a run, whose report then shows it, too."""
    quality: QualitySettings = field(default_factory=QualitySettings)


def quality(settings: QualityCommand) -> None:
    """Print the tables; write quality.json and quality.html if a folder is given."""
    from rescale_fast.report.quality import write_quality_page

    made = judge(find_accuracies(settings.inputs, settings.quality), settings.quality, track=track)
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
    parts, there, of_trainings = list[Cells](), list[str](), list[bool]()
    for path in inputs:
        if path.is_dir():
            part, images = _read_runs(RunFolder(path), settings.recipe)
            parts.append(part)
            (name,) = part
            val[name], train[name] = images
            there.append(name)
            of_trainings.append(True)
        else:
            table = read_accuracies(path, settings.names, settings.wanted, settings.recipe)
            parts.append(table.cells)
            there += table.sets
            of_trainings.append(table.is_of_trainings)
    if not any(of_trainings):
        settings.refuse("recipe", because="as none of these is a run folder, or a table that `train` made")
    if all(of_trainings):
        settings.refuse("names", because="as these are trainings, which say what their networks are called")
    _check_sets(settings, there)
    return _gather(merge(parts), settings, val, train)


def choose_accuracies(cells: Cells, settings: QualitySettings) -> Accuracies:
    """Of cells, those that the settings ask for. Raises: SettingError."""
    _check_sets(settings, list(cells))
    return _gather(cells, settings, {}, {})


def _check_sets(settings: QualitySettings, there: Sequence[str]) -> None:
    """Raises: SettingError for a set that is not there, and for numbers of images of one that is not looked at."""
    wanted, images = settings.wanted, (*_val_images(settings), *_train_images(settings))
    unknown = next((name for name in (*wanted, *images) if name not in there), None)
    if unknown is not None:
        raise SettingError(f"there is no set {unknown!r}; there are {', '.join(there)[:300]}.")
    useless = next((name for name in images if wanted and name not in wanted), None)
    if useless is not None:
        raise SettingError(f"{useless}: its number of images would have no effect, as --sets leaves that set out.")


def _gather(cells: Cells, settings: QualitySettings, val: Mapping[str, int], train: Mapping[str, int]) -> Accuracies:
    """Args: val, train: images of sets, where known without the settings."""
    if settings.wanted:
        cells = {name: of_set for name, of_set in cells.items() if name in settings.wanted}
    return gather(
        cells,
        unit=settings.unit,
        drop=settings.incomplete == "drop",
        val_images={**val, **_val_images(settings)},
        train_images={**train, **_train_images(settings)},
    )


def _val_images(settings: QualitySettings) -> dict[str, int]:
    return numbers_in("--val-images", settings.val_images)


def _train_images(settings: QualitySettings) -> dict[str, int]:
    return numbers_in("--train-images", settings.train_images)


def _read_runs(folder: RunFolder, recipe: str | None) -> tuple[Cells, tuple[int, int]]:
    """The trainings of a run folder on its present betons; how many validation and training images these have."""
    found = [TrainRun.load(path) for path in folder.trainings()]
    if not found:
        raise MissingInputError(
            f"{folder.path}: holds no finished trainings. `rescale-fast train --out {folder.path}` makes them."
        )
    infos = {split: BetonInfo.load(folder.beton(split).with_suffix(".json")) for split in ("train", "val")}
    digests = {split: info.digest for split, info in infos.items()}
    asked = [run for run in found if run.is_on(digests) and recipe in (None, run.recipe)]
    runs = [run for run in asked if run.is_current]
    if len(runs) < len(asked):
        say(
            f"{folder.path}: {len(asked) - len(runs)} trainings are of networks as an earlier version defined them, "
            "and left out. `rescale-fast train` makes them anew."
        )
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
