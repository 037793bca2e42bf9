"""`rescale-fast compare`: finds the subsets that are meant, and prints how they compare."""

from dataclasses import asdict
from pathlib import Path

from rescale_fast.artifact import to_json, write_json
from rescale_fast.class_subset.compare import Comparison, Hardness, compare_subsets, find_subset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.predictions.types import Predictions
from rescale_fast.quality.resolution import ResolutionSettings, assumed_resolution
from rescale_fast.quality.types import Resolution, points
from rescale_fast.run.settings import CompareCommand
from rescale_fast.terminal import printable

MEASURES = {
    "value": "images confused inside",
    "share_inside": "share of errors inside",
    "accuracy": "top-1",
    "allowed_low": "only these allowed: at least",
    "allowed_high": "at most",
}
RESOLVES = "tells apart, points"


def compare(settings: CompareCommand) -> None:
    """Print the tables; write the JSON if one is wanted. Raises: SettingError, ArtifactError."""
    confusion = ConfusionMatrix.load(settings.confusion)
    predictions = (
        Predictions.load(settings.predictions, class_ids=confusion.class_ids, class_names=confusion.class_names)
        if settings.predictions
        else None
    )
    subsets = {name: find_subset(name, confusion.class_ids) for name in settings.subsets}
    made = compare_subsets(confusion, subsets, predictions)
    _print(_short(made.names), made)
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


def _short(names: tuple[str, ...]) -> list[str]:
    """The names as the tables show them: of a run's class_subset.json, the run's folder."""
    paths = [Path(name) for name in names]
    return [path.parent.name if path.name == "class_subset.json" and path.parent.name else path.name for path in paths]


def _print(names: list[str], made: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False)  # names are not ours
    names = [printable(name) for name in names]
    table = Table("subset", "classes", *MEASURES.values(), RESOLVES)
    for name, row in zip(names, made.hardness, strict=True):
        found = _resolution(row)
        apart = "-" if found is None else points(found.least_significant)
        table.add_row(name, str(row.k), *[_cell(row, field) for field in MEASURES], apart)
    for k, choice in made.at_random.items():
        table.add_section()
        table.add_row("random, mean", str(k), *[_cell(choice.mean, field) for field in MEASURES])
        interval = [f"{_cell(choice.low, field)} to {_cell(choice.high, field)}" for field in MEASURES]
        table.add_row("random, 95 %", str(k), *interval)
    console.print(table)
    if len(names) > 1:
        table = Table("classes shared", *names)
        for name, row in zip(names, made.shared, strict=True):
            table.add_row(name, *[str(count) for count in row])
        console.print(table)


def _resolution(row: Hardness) -> Resolution | None:
    """What the images that the matrix has of these classes can tell, of networks near that one's accuracy."""
    return assumed_resolution(int(row.images), ResolutionSettings(row.accuracy)) if row.images else None


def _cell(row: Hardness, field: str) -> str:
    value = getattr(row, field)
    return f"{value:,.0f}" if field == "value" else f"{value:.3f}"
