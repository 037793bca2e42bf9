"""`rescale-fast compare`: finds the subsets that are meant, and shows how they compare."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from rescale_fast.artifact import to_json, write_json
from rescale_fast.class_subset.compare import Comparison, Hardness, compare_subsets, find_subset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import SettingError
from rescale_fast.predictions.types import Predictions
from rescale_fast.quality.resolution import ResolutionSettings, assumed_resolution
from rescale_fast.quality.types import Resolution, points
from rescale_fast.report.compare import Table, write_compare_page
from rescale_fast.run.folder import RunFolder
from rescale_fast.run.settings import CompareCommand
from rescale_fast.terminal import printable
from rescale_fast.train.types import TrainRun
from rescale_fast.types import IntArray

MEASURES = {
    "value": "images confused inside",
    "share_inside": "share of errors inside",
    "accuracy": "top-1",
    "allowed_low": "only these allowed: at least",
    "allowed_high": "at most",
}
HEADER = ["subset", "classes", *MEASURES.values(), "tells apart, points"]
HARDNESS_NOTE = "On one confusion matrix; random choices of as many classes below."


def compare(settings: CompareCommand) -> None:
    """Print the tables; write the JSON if one is wanted. Raises: SettingError, ArtifactError."""
    confusion = ConfusionMatrix.load(settings.confusion or _of_first_run(settings.subsets))
    predictions = (
        Predictions.load(settings.predictions, class_ids=confusion.class_ids, class_names=confusion.class_names)
        if settings.predictions
        else None
    )
    if twice := [name for name, count in Counter(settings.subsets).items() if count > 1]:
        raise SettingError(f"{twice[0]}: is named twice.")
    subsets = {name: find_subset(name, confusion.class_ids) for name in settings.subsets}
    made = compare_subsets(confusion, subsets, predictions)
    _print(_short(made.names), made)
    if settings.page is not None:
        _write_page(settings.page, settings.subsets, confusion, subsets, made)
    if settings.json is not None:
        value = {
            "schema": "comparison/1",
            "subsets": [
                {"name": name, **asdict(row), "resolution": to_json(_resolution(row))}
                for name, row in zip(made.names, made.hardness, strict=True)
            ],
            "random": {
                str(k): {part: vars(row) for part, row in vars(choice).items()} for k, choice in made.at_random.items()
            },
            "shared_classes": made.shared.tolist(),
        }
        write_json(settings.json, value)


def _of_first_run(subsets: Sequence[str]) -> Path:
    """The confusion matrix of the first that is a run folder. Raises: SettingError."""
    for name in subsets:
        found = RunFolder(Path(name)).confusion
        if found.exists():
            return found
    raise SettingError(
        "--confusion: give the matrix to measure them on, as none of them is a run folder that has a confusion.npz."
    )


def _short(names: tuple[str, ...]) -> list[str]:
    """The names as the tables show them: of a run's class_subset.json, the run's folder."""
    paths = [Path(name) for name in names]
    return [path.parent.name if path.name == "class_subset.json" and path.parent.name else path.name for path in paths]


def _print(names: list[str], made: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table as Printed

    console = Console(markup=False)  # names are not ours
    names = [printable(name) for name in names]
    table = Printed(*HEADER)
    for row in _rows(names, made):
        table.add_row(*row)
    for choices in _random_rows(made):
        table.add_section()
        for row in choices:
            table.add_row(*row)
    console.print(table)
    if len(names) > 1:
        table = Printed("classes shared", *names)
        for row in _shared_rows(names, made):
            table.add_row(*row)
        console.print(table)


def _rows(names: Sequence[str], made: Comparison) -> list[list[str]]:
    rows = []
    for name, row in zip(names, made.hardness, strict=True):
        found = _resolution(row)
        apart = "-" if found is None else points(found.least_significant)
        rows.append([name, str(row.k), *[_cell(row, field) for field in MEASURES], apart])
    return rows


def _random_rows(made: Comparison) -> list[list[list[str]]]:
    """Of each k, the mean of random choices and where 95 % of them lie."""
    return [
        [
            ["random, mean", str(k), *[_cell(choice.mean, field) for field in MEASURES], ""],
            ["random, 95 %", str(k),
             *[f"{_cell(choice.low, field)} to {_cell(choice.high, field)}" for field in MEASURES], ""],
        ]
        for k, choice in made.at_random.items()
    ]  # fmt: skip


def _shared_rows(names: Sequence[str], made: Comparison) -> list[list[str]]:
    return [[name, *[str(count) for count in row]] for name, row in zip(names, made.shared, strict=True)]


def _write_page(
    path: Path, folders: Sequence[str], confusion: ConfusionMatrix, subsets: Mapping[str, IntArray], made: Comparison
) -> None:
    names = _short(made.names)
    random = [row for rows in _random_rows(made) for row in rows]
    tables = [
        Table("How hard each is", HARDNESS_NOTE, HEADER, _rows(names, made) + random),
        Table("Classes shared", "How many classes each two have in common.", ["", *names], _shared_rows(names, made)),
        Table("Trained networks", "Top-1 on each subset's own val.", *_training_rows(names, folders), num_texts=2),
        Table(
            "The classes", "Those of any of them.", *_class_rows(names, confusion, subsets), num_texts=2 + len(names)
        ),
    ]
    write_compare_page(names, tables, path)


def _training_rows(names: Sequence[str], folders: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """A row a training of the run folders among these."""
    header = ["subset", "network", "seed", "epochs", "last epoch, %", "best epoch, %"]
    runs = [
        (name, run)
        for name, folder in zip(names, folders, strict=True)
        for one in RunFolder(Path(folder)).trainings()
        if (run := TrainRun.load(one)).is_current
    ]
    return header, [
        [name, f"{run.network} ({run.recipe})", str(run.seed), str(len(run.epochs)),
         f"{100 * run.last_top1:.1f}", f"{100 * run.best_top1:.1f}"]
        for name, run in runs
    ]  # fmt: skip


def _class_rows(
    names: Sequence[str], confusion: ConfusionMatrix, subsets: Mapping[str, IntArray]
) -> tuple[list[str], list[list[str]]]:
    """A row a class that any chose: who did, and how accurate the network is on it."""
    accuracy = np.diagonal(confusion.counts) / np.maximum(1, confusion.counts.sum(axis=1))
    members = [set(chosen.tolist()) for chosen in subsets.values()]
    rows = [
        [confusion.class_ids[label], confusion.class_names[label],
         *["yes" if label in one else "" for one in members], f"{100 * accuracy[label]:.1f}"]
        for label in sorted(set().union(*members))
    ]  # fmt: skip
    return ["id", "name", *names, "top-1, %"], rows


def _resolution(row: Hardness) -> Resolution | None:
    """What the images that the matrix has of these classes can tell, of networks near that one's accuracy."""
    return assumed_resolution(int(row.images), ResolutionSettings(row.accuracy)) if row.images else None


def _cell(row: Hardness, field: str) -> str:
    value = getattr(row, field)
    return f"{value:,.0f}" if field == "value" else f"{value:.3f}"
