"""`rescale-fast compare`: finds the subsets that are meant, and prints how they compare."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from rescale_fast.artifact import write_json
from rescale_fast.class_subset.compare import Hardness, RandomChoice, hardness, overlaps, random_choice
from rescale_fast.class_subset.lists import read_list
from rescale_fast.class_subset.published import find_published
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import SettingError
from rescale_fast.predictions.types import Predictions
from rescale_fast.run.settings import CompareCommand
from rescale_fast.terminal import printable
from rescale_fast.types import IntArray

MEASURES = {
    "value": "images confused inside",
    "share_inside": "share of errors inside",
    "accuracy": "top-1",
    "allowed_low": "only these allowed: at least",
    "allowed_high": "at most",
}


def compare(settings: CompareCommand) -> None:
    """Print the tables; write the JSON if one is wanted. Raises: SettingError, ArtifactError."""
    confusion = ConfusionMatrix.load(settings.confusion)
    predictions = (
        Predictions.load(settings.predictions, class_ids=confusion.class_ids, class_names=confusion.class_names)
        if settings.predictions
        else None
    )
    if predictions is not None and predictions.class_ids != confusion.class_ids:
        raise SettingError(f"--predictions {settings.predictions}: are about other classes than {settings.confusion}.")
    names = _short(settings.subsets)
    subsets = [find_subset(name, confusion.class_ids) for name in settings.subsets]
    measured = [hardness(confusion, subset, predictions) for subset in subsets]
    at_random = {k: random_choice(confusion, k, predictions) for k in sorted({len(subset) for subset in subsets})}
    shared = overlaps(subsets)
    _print(names, measured, at_random, shared)
    if settings.json is not None:
        value = {
            "schema": "comparison/1",
            "subsets": [{"name": name, **asdict(row)} for name, row in zip(settings.subsets, measured, strict=True)],
            "random": {
                str(k): {part: vars(row) for part, row in vars(choice).items()} for k, choice in at_random.items()
            },
            "shared_classes": shared.tolist(),
        }
        write_json(settings.json, value)


def find_subset(name: str, class_ids: tuple[str, ...]) -> IntArray:
    """(k,) int64 labels of a class_subset.json, a list, or a published list. Raises: SettingError, ArtifactError."""
    path = Path(name)
    if path.suffix == ".json":
        subset = ClassSubset.load(path)
        for label, class_id in zip(subset.classes, subset.class_ids, strict=True):
            if not (label < len(class_ids) and class_ids[label] == class_id):
                raise SettingError(f"{path}: its class {class_id!r} is not class {label} of the confusion matrix.")
        return np.array(subset.classes, np.int64)
    if path.is_file():
        return read_list(path, class_ids)
    if "/" in name or path.suffix:
        raise SettingError(f"--subsets {name}: no such file.")
    return find_published(name).labels(class_ids)


def _short(names: tuple[str, ...]) -> list[str]:
    """The names as the tables show them: of a run's class_subset.json, the run's folder."""
    paths = [Path(name) for name in names]
    return [path.parent.name if path.name == "class_subset.json" and path.parent.name else path.name for path in paths]


def _print(names: list[str], measured: list[Hardness], at_random: dict[int, RandomChoice], shared: IntArray) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False)  # names are not ours
    names = [printable(name) for name in names]
    table = Table("subset", "classes", *MEASURES.values())
    for name, row in zip(names, measured, strict=True):
        table.add_row(name, str(row.k), *[_cell(row, field) for field in MEASURES])
    for k, choice in at_random.items():
        table.add_section()
        table.add_row("random, mean", str(k), *[_cell(choice.mean, field) for field in MEASURES])
        interval = [f"{_cell(choice.low, field)} to {_cell(choice.high, field)}" for field in MEASURES]
        table.add_row("random, 95 %", str(k), *interval)
    console.print(table)
    if len(names) > 1:
        table = Table("classes shared", *names)
        for name, row in zip(names, shared, strict=True):
            table.add_row(name, *[str(count) for count in row])
        console.print(table)


def _cell(row: Hardness, field: str) -> str:
    value = getattr(row, field)
    return f"{value:,.0f}" if field == "value" else f"{value:.3f}"
