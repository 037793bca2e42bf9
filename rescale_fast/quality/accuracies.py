"""Accuracies of M networks on sets: gathered from any source as cells, and made complete or refused.

A cell is the accuracy of one network on one set, with one seed, after one epoch. What has no seeds has seed 0; what has
no epochs has epoch 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rescale_fast.errors import SettingError
from rescale_fast.quality.settings import Unit
from rescale_fast.types import FloatArray

Key = tuple[int, int]  # seed, epoch
Cells = dict[str, dict[str, dict[Key, float]]]  # set -> network -> (seed, epoch) -> accuracy
FEWEST = 3  # networks: two have one pair, which is ordered alike half of the time by chance


@dataclass(frozen=True)
class SetAccuracies:
    """How M networks do on one set."""

    name: str
    values: FloatArray  # (M, S, E) networks, seeds, epochs; 0..1
    epochs: tuple[int, ...]  # (E,) increasing; (0,) where only the final accuracy is known
    val_images: int | None = None
    train_images: int | None = None

    @property
    def num_seeds(self) -> int:
        return int(self.values.shape[1])

    @property
    def final(self) -> FloatArray:
        """(M, S) after the last epoch."""
        return self.values[:, :, -1]

    @property
    def mean(self) -> FloatArray:
        """(M,) after the last epoch, over seeds."""
        return np.asarray(self.final.mean(axis=1), np.float64)


@dataclass(frozen=True)
class Accuracies:
    """Of M networks on sets that all of them were trained on."""

    networks: tuple[str, ...]  # (M,)
    sets: tuple[SetAccuracies, ...]
    unit: str  # "percent" or "share": what the source gave
    left_out: Mapping[str, str] = field(default_factory=dict)  # network -> what it lacks


def merge(parts: "list[Cells]") -> Cells:
    """The cells of several sources. Raises: SettingError for a set that two of them have."""
    joined: Cells = {}
    for part in parts:
        twice = next((name for name in part if name in joined), None)
        if twice is not None:
            raise SettingError(f"two of the tables or runs have a set {twice!r}. Rename the column or the folder.")
        joined |= part
    return joined


def gather(
    cells: Cells,
    *,
    unit: Unit = "auto",
    drop: bool = False,
    val_images: Mapping[str, int] | None = None,
    train_images: Mapping[str, int] | None = None,
) -> Accuracies:
    """Make arrays of cells.

    Args:
        drop: leave out networks that lack a cell. val_images, train_images: of sets, where known.
    Raises: SettingError for cells that are missing, a set without any, fewer than three networks, or units that differ
        between sets.
    """
    networks = list(dict.fromkeys(network for of_set in cells.values() for network in of_set))
    keys = {name: _keys(of_set) for name, of_set in cells.items()}
    bare = next((name for name in cells if not keys[name]), None)
    if bare is not None:
        raise SettingError(f"the set {bare!r} has no accuracy of any network. Leave it out.")
    lacking = _lacking(cells, keys, networks)
    if lacking and not drop:
        network, lacks = next(iter(lacking.items()))
        raise SettingError(
            f"the network {network!r} has no {lacks} ({len(lacking):,} of {len(networks):,} networks lack something). "
            "Names must match between tables; with --incomplete drop, such networks are left out."
        )
    kept = [network for network in networks if network not in lacking]
    if len(kept) < FEWEST:
        left = f" ({len(lacking):,} lack an accuracy somewhere)" if lacking else ""
        raise SettingError(f"there are {len(kept)} networks{left}, expected at least {FEWEST}: an order needs more.")
    sets = []
    for name, of_set in cells.items():
        seeds, epochs = sorted({seed for seed, _ in keys[name]}), sorted({epoch for _, epoch in keys[name]})
        values = [[[of_set[one][seed, epoch] for epoch in epochs] for seed in seeds] for one in kept]
        images = [None if known is None else known.get(name) for known in (val_images, train_images)]
        sets.append(SetAccuracies(name, np.array(values, np.float64), tuple(epochs), *images))
    shares, found = _as_shares(sets, unit)
    return Accuracies(tuple(kept), shares, found, lacking)


def _keys(of_set: Mapping[str, Mapping[Key, float]]) -> list[Key]:
    """The seeds and epochs that a set has of any network, as a full grid."""
    there = {key for of_network in of_set.values() for key in of_network}
    seeds, epochs = sorted({seed for seed, _ in there}), sorted({epoch for _, epoch in there})
    return [(seed, epoch) for seed in seeds for epoch in epochs]


def _lacking(cells: Cells, keys: Mapping[str, list[Key]], networks: list[str]) -> dict[str, str]:
    """{network: the first thing that it lacks}"""
    found: dict[str, str] = {}
    for network in networks:
        for name, of_set in cells.items():
            has = of_set.get(network, {})
            missing = next((key for key in keys[name] if key not in has), None)
            if missing is not None:
                found.setdefault(network, f"accuracy on {name!r}" + _of_key(missing if has else (0, 0), keys[name]))
    return found


def _of_key(key: Key, keys: list[Key]) -> str:
    seed, epoch = key
    words = [f"of seed {seed}"] if len({seed for seed, _ in keys}) > 1 else []
    words += [f"after epoch {epoch}"] if epoch else []
    return "".join(f" {word}" for word in words)


def _as_shares(sets: list[SetAccuracies], unit: Unit) -> tuple[tuple[SetAccuracies, ...], str]:
    """The sets with values 0..1, and what they were in. Raises: SettingError where that is not clear."""
    if unit == "auto":
        of_set = {one.name: _unit_of(one) for one in sets}
        unit, other = next(iter(of_set.values())), next(iter(of_set))
        differing = next((name for name, found in of_set.items() if found != unit), None)
        if differing is not None:
            raise SettingError(
                f"accuracies on {other!r} are in {unit}, on {differing!r} in {of_set[differing]}. Use one unit, or say "
                "with --unit that it is one; --sets leaves others out."
            )
    most = 100.0 if unit == "percent" else 1.0
    for one in sets:
        if one.values.max() > most or one.values.min() < 0:
            wrong = one.values.max() if one.values.max() > most else one.values.min()
            raise SettingError(
                f"an accuracy on {one.name!r} is {wrong:g}, expected 0 to {most:g} ({unit}). If that column holds no "
                "accuracies, name those that do with --sets."
            )
    return tuple(
        SetAccuracies(one.name, one.values / most, one.epochs, one.val_images, one.train_images) for one in sets
    ), unit


def _unit_of(one: SetAccuracies) -> Unit:
    low, high = one.final.min(), one.final.max()
    if low <= 1 < high and low > 0:
        raise SettingError(
            f"accuracies on {one.name!r} reach from {low:g} to {high:g}: shares and percent mixed? Say with --unit "
            "percent that it is not so."
        )
    return "percent" if high > 1 else "share"
