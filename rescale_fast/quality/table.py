"""Tables of accuracies, as CSV: a row a network, a column a set, or a set's seed, epoch, or both.

network,full_seed1,full_seed2,small_seed1_epoch1,small_seed1_epoch2
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rescale_fast.errors import SettingError
from rescale_fast.files.csv_files import bare
from rescale_fast.files.reading import DamageError, read_text, reading
from rescale_fast.quality.accuracies import Cells, Key

COLUMN = re.compile(r"(?P<set>.+?)(_seed(?P<seed>\d+))?(_epoch(?P<epoch>\d+))?", re.DOTALL)
OF_RUNS = ("network", "subset", "recipe", "seed", "top1 last epoch")
THEN = "Expected a CSV with a row a network: its name, and its accuracies on each set (docs/worth.md has an example)."


@dataclass(frozen=True)
class AccuracyTable:
    """What was read of a table, and what else there is."""

    cells: Cells
    sets: tuple[str, ...]  # all that it has, read or not
    is_of_trainings: bool  # made by `train`: with recipes, and a column that names networks


def read_accuracies(
    path: Path, names: Sequence[str] = (), sets: Sequence[str] = (), recipe: str | None = None
) -> AccuracyTable:
    """Read a table.

    Args:
        names: columns that together name a network; by default the first. sets: only these. recipe: of a table that
            `train` made, only trainings by this one.
    Raises: ArtifactError for a file that is no CSV; SettingError for one that is no such table, as for cells missing.
    """
    with reading(path, "a CSV", THEN):
        rows = [row for row in csv.reader(read_text(path).splitlines(keepends=True), strict=True) if row]
        try:
            header = _header(rows)
            if set(OF_RUNS) <= set(header):
                return _read_runs(rows, header, sets, recipe)
            unknown = next((name for name in names if name not in header), None)
            if unknown is not None:
                raise SettingError(f"--names {unknown}: {path} has no such column; it has {', '.join(header)[:300]}.")
            return _read_cells(rows, header, [header.index(name) for name in names] or [0], sets)
        except DamageError as error:
            raise SettingError(f"{path}: {error}. {THEN}") from error


def _read_cells(
    rows: Sequence[Sequence[str]], header: Sequence[str], at_names: Sequence[int], sets: Sequence[str]
) -> AccuracyTable:
    """A row a network. Args: at_names: the columns that together name it."""
    columns = _columns(header, at_names, sets)
    cells: Cells = {name: {} for name, _ in columns.values()}
    seen: set[str] = set()
    for number, row in enumerate(rows[1:], 2):
        network = " ".join(bare(row[at]).strip() for at in at_names)
        if not network.strip():
            raise DamageError(f"row {number} names no network")
        if network in seen:
            hint = "If several columns together name a network, give them with --names"
            raise DamageError(f"the network {network!r} has two rows. {hint}")
        seen.add(network)
        for at, (name, key) in columns.items():
            of_network = cells[name].setdefault(network, {})
            if row[at].strip():
                of_network[key] = _number(row[at], number, header[at])
    return AccuracyTable(cells, _sets(header, at_names), is_of_trainings=False)


def _read_runs(
    rows: Sequence[Sequence[str]], header: Sequence[str], sets: Sequence[str], recipe: str | None
) -> AccuracyTable:
    """A table that `train` made: a row a training, with the accuracy of its last epoch."""
    found, there = [], dict[str, None]()
    for number, row in enumerate(rows[1:], 2):
        network, name, of_recipe, seed, cell = (bare(row[header.index(column)]) for column in OF_RUNS)
        if recipe not in (None, of_recipe):
            continue
        there[name] = None
        if not sets or name in sets:
            found.append((number, network, name, of_recipe, seed, cell))
    recipes = sorted({of_recipe for _, _, _, of_recipe, _, _ in found})
    if len(recipes) > 1:
        raise SettingError(f"these are trainings by the recipes {', '.join(recipes)}. Choose one with --recipe.")
    cells: Cells = {}
    for number, network, name, _, seed, cell in found:
        if not (seed.isascii() and seed.isdigit() and len(seed) < 20):
            raise DamageError(f"row {number}: its seed is {seed!r}, expected a whole number")
        of_network = cells.setdefault(name, {}).setdefault(network, {})
        if (int(seed), 0) in of_network:
            raise DamageError(f"row {number}: {network!r} on {name!r} with seed {seed} is there twice")
        of_network[int(seed), 0] = _number(cell, number, OF_RUNS[-1])
    return AccuracyTable(cells, tuple(there), is_of_trainings=True)


def _header(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first line's cells. Raises: DamageError unless a table follows."""
    if not rows:
        raise DamageError("is empty")
    header = [bare(cell).strip() for cell in rows[0]]
    if len(header) == 1:
        apart = next((one for one in (";", "\t") if one in header[0]), None)
        hint = f" (its cells seem to be separated by {apart!r}, expected commas)" if apart else ""
        raise DamageError(f"has one column{hint}")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DamageError(f"two of its columns are called {twice!r}")
    if len(rows) == 1:
        raise DamageError("has a first line and nothing below it")
    uneven = next((number for number, row in enumerate(rows, 1) if len(row) != len(header)), None)
    if uneven is not None:
        raise DamageError(f"row {uneven} has {len(rows[uneven - 1])} cells, the first line {len(header)}")
    return header


def _sets(header: Sequence[str], at_names: Sequence[int]) -> tuple[str, ...]:
    """All that there are columns of."""
    found = [COLUMN.fullmatch(text) for at, text in enumerate(header) if at not in at_names]
    return tuple(dict.fromkeys(match["set"] for match in found if match))


def _columns(header: Sequence[str], at_names: Sequence[int], sets: Sequence[str]) -> dict[int, tuple[str, Key]]:
    """{place: (set, (seed, epoch))} of the columns with accuracies. Raises: DamageError for a set given in two ways."""
    found: dict[int, tuple[str, Key]] = {}
    shapes: dict[str, tuple[bool, bool]] = {}
    for at, text in enumerate(header):
        if at in at_names:
            continue
        match = COLUMN.fullmatch(text)
        if match is None:
            raise DamageError(f"column {at + 1} has no name")
        name, seed, epoch = match["set"], match["seed"], match["epoch"]
        if sets and name not in sets:
            continue
        if shapes.setdefault(name, (seed is None, epoch is None)) != (seed is None, epoch is None):
            raise DamageError(f"the set {name!r} has columns with and without seeds or epochs")
        place = name, (_whole(seed or "0", text), _whole(epoch or "0", text))
        if place in found.values():
            raise DamageError(f"column {text!r} is there twice, written in two ways")
        found[at] = place
    return found


def _whole(digits: str, column: str) -> int:
    if not (digits.isascii() and len(digits) < 19):
        raise DamageError(f"column {column!r}: expected a seed or epoch below 10^18, in digits 0 to 9")
    return int(digits)


def _number(cell: str, row: int, column: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 100:
        raise DamageError(
            f"row {row}, column {column!r}: {cell!r} is no accuracy, 0 to 100. If no cell of that column is one, name "
            "the columns that have them with --sets, and those that together name a network with --names"
        )
    return value
