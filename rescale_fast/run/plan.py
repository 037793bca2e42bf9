"""The plan of an experiment: which network is trained on which part, for how many epochs, with which seed.

The full set is trained with all its epochs; at each cost, a share of the images that this loops through, every part is
trained for as many epochs as come nearest, and so is the full set, which is then the control that proxies forget.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from rescale_fast.files.csv_files import write_csv
from rescale_fast.run.parts import FULL, Part, options_of
from rescale_fast.train.recipe import find_recipe
from rescale_fast.train.settings import TrainSettings


@dataclass(frozen=True)
class Row:
    """One training."""

    set: str  # what is judged: a part at a cost
    part: str
    cost: float  # wanted, of the images that the full training loops through
    network: str
    seed: int
    epochs: int
    train_images: int
    val_images: int
    images: int  # looped through
    choice: str  # how `rescale-fast` makes the part
    training: str  # and trains on it


def plan_rows(
    sizes: Mapping[Part, tuple[int, int]],
    networks: Sequence[str],
    costs: Sequence[float],
    settings: TrainSettings,
    *,
    seeds: int,
    part_seeds: int,
) -> list[Row]:
    """The trainings in the order of importance: one seed of all, then the next.

    Args: sizes: of each part, the full set among them, its training and validation images. seeds: of the full training,
        from the settings' seed on; part_seeds: of all others, from the next on, so that none is shared.
    """
    rows = []
    for number in range(max(seeds, part_seeds)):
        first = settings.seed
        if number < seeds:
            rows += [_row(FULL, 1.0, one, first + number, sizes, settings) for one in networks]
        if number < part_seeds:
            seed = first + seeds + number
            rows += [
                _row(part, cost, one, seed, sizes, settings) for cost in costs for part in sizes for one in networks
            ]
    return rows


def _row(
    part: Part, cost: float, network: str, seed: int, sizes: Mapping[Part, tuple[int, int]], settings: TrainSettings
) -> Row:
    train_images, val_images = sizes[part]
    full_epochs = settings.epochs or find_recipe(settings.recipe, network).epochs
    epochs = max(1, round(cost * full_epochs * sizes[FULL][0] / train_images))
    return Row(
        set=FULL.name if cost == 1 else f"{part.name}@{cost:g}",
        part=part.name,
        cost=cost,
        network=network,
        seed=seed,
        epochs=epochs,
        train_images=train_images,
        val_images=val_images,
        images=epochs * train_images,
        choice=f"run {part.options}",
        training=f"train {options_of(training_of(settings, network, seed, epochs))}",
    )


def training_of(settings: TrainSettings, network: str, seed: int, epochs: int) -> TrainSettings:
    return replace(settings, train_network=network, seed=seed, epochs=epochs)


def write_plan(rows: Sequence[Row], path: Path) -> None:
    """Write plan.csv, a line a training. Raises: OutputError."""
    write_csv(path, [field.name for field in fields(Row)], [astuple(row) for row in rows])
