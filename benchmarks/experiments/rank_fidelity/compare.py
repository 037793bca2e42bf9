"""What each condition is worth: its order of the zoo beside that of the full training, and beside the controls."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.experiments.rank_fidelity.networks import ZOO
from benchmarks.experiments.rank_fidelity.results import Cell, Training
from benchmarks.experiments.rank_fidelity.statistics import (
    Interval,
    by_gap,
    draw_networks,
    draw_seeds,
    in_band,
    single_seeds,
    tau,
)
from rescale_fast.types import FloatArray


@dataclass(frozen=True)
class Condition:
    """The trainings of the zoo on one set at one cost: those seeds that all networks have."""

    name: str
    share: float
    accuracies: FloatArray  # (S, M)
    num_val: int
    num_train: int
    passes: float  # over these images
    cpu_seconds: float  # of a seed of the zoo

    @property
    def is_random(self) -> bool:
        """Whether it is one of several draws of classes."""
        return self.name.startswith("random-")

    @property
    def family(self) -> str:
        """The name, without the number of the draw."""
        return self.name.rsplit("-", 1)[0] if self.is_random else self.name


@dataclass(frozen=True)
class Verdict:
    """A condition beside the full training."""

    condition: Condition
    tau: Interval  # of means over seeds
    band_tau: Interval  # among networks near the best
    single: FloatArray  # tau of each seed with each full seed
    of_ceiling: float  # mean of single / mean of the full training's own
    agreement: Sequence[Interval]  # by gap
    pairs: Sequence[int]
    above_short: Interval | None  # tau, less that of the full set at the same cost
    above_random: Interval | None  # tau, less the mean of random classes, as many and at the same cost


def gather(trainings: Mapping[Cell, Training], networks: Sequence[str] = tuple(ZOO)) -> list[Condition]:
    """The conditions that are finished for at least one seed."""
    found: dict[tuple[str, float], dict[int, dict[str, Training]]] = defaultdict(lambda: defaultdict(dict))
    for cell, training in trainings.items():
        if cell.network in networks:
            found[cell.condition, cell.share][cell.seed][cell.network] = training
    made = []
    for (name, share), seeds in found.items():
        rows = [[seeds[seed][one] for one in networks] for seed in sorted(seeds) if len(seeds[seed]) == len(networks)]
        if rows:
            first, cost = rows[0][0], sum(one.cpu_seconds for row in rows for one in row) / len(rows)
            passes = first.images_seen / first.num_train
            accuracies = np.array([[one.top1 for one in row] for row in rows])
            made.append(Condition(name, share, accuracies, len(first.correct), first.num_train, passes, cost))
    return made


def reference(conditions: Sequence[Condition]) -> Condition:
    """The full training."""
    return next(one for one in conditions if (one.name, one.share) == ("full", 1.0))


def ceiling(full: Condition) -> FloatArray:
    """Tau between different seeds of the full training, each pair; none with one seed."""
    seeds = full.accuracies
    pairs = [single_seeds(seeds[i : i + 1], seeds[i + 1 :]) for i in range(len(seeds) - 1)]
    return np.concatenate([np.empty(0), *pairs])


def judge(conditions: Sequence[Condition]) -> list[Verdict]:
    """All but the full training itself, the best first within a share."""
    full = reference(conditions)
    others = sorted((one for one in conditions if one is not full), key=lambda one: (-one.share, one.name))
    draws = {(one.name, one.share): _tau_draws(full, one) for one in others}
    verdicts = [_verdict(full, one, draws) for one in others]
    return sorted(verdicts, key=lambda one: (-one.condition.share, -one.tau.value))


def by_number(conditions: Sequence[Condition]) -> list[tuple[str, str, float, Interval]]:
    """Of random classes at one cost: more of them, fewer, the cost, and how far the first's mean tau is above."""
    full = reference(conditions)
    families: dict[tuple[float, int], list[FloatArray]] = defaultdict(list)
    for one in conditions:
        if one.is_random:
            families[one.share, int(_number(one.name))].append(_tau_draws(full, one))
    mean = {key: np.mean(draws, axis=0) for key, draws in families.items()}
    pairs = [(less, more) for less, more in pairwise(sorted(mean)) if less[0] == more[0]]
    found = []
    for less, more in pairs:
        above = mean[more] - mean[less]
        found.append((f"random-{more[1]}", f"random-{less[1]}", more[0], Interval.of(float(above[0]), above[1:])))
    return found


def _tau_draws(full: Condition, one: Condition, *, band: bool = False) -> FloatArray:
    """(1 + DRAWS,) the networks are the same in all conditions' draws, so that conditions compare pair by pair."""
    near = in_band(full.accuracies.mean(axis=0)) if band else np.ones(full.accuracies.shape[1], bool)
    counts = draw_networks(full.accuracies.shape[1]) * near
    return tau(draw_seeds(full.accuracies, 1), draw_seeds(one.accuracies, 2), counts)


def _verdict(full: Condition, one: Condition, draws: Mapping[tuple[str, float], FloatArray]) -> Verdict:
    own, near = draws[one.name, one.share], _tau_draws(full, one, band=True)
    single = single_seeds(full.accuracies, one.accuracies)
    shares, pairs = by_gap(
        full.accuracies.mean(axis=0), one.accuracies.mean(axis=0), draw_networks(full.accuracies.shape[1])
    )
    of_ceiling = single.mean() / ceiling(full).mean() if len(full.accuracies) > 1 else np.nan
    alike = [
        found
        for (name, share), found in draws.items()
        if share == one.share and name.startswith(f"random-{_number(one.name)}-") and name != one.name
    ]
    return Verdict(
        one,
        Interval.of(own[0], own[1:]),
        Interval.of(near[0], near[1:]),
        single,
        float(of_ceiling),
        [Interval.of(column[0], column[1:]) for column in shares.T],
        pairs.tolist(),
        _above(own, [draws["full", one.share]] if ("full", one.share) in draws and one.name != "full" else []),
        _above(own, alike),
    )


def _number(name: str) -> str:
    return name.split("-")[1] if name.startswith("random-") else name.rsplit("-", 1)[-1]


def _above(own: FloatArray, rivals: Sequence[FloatArray]) -> Interval | None:
    if not rivals:
        return None
    difference = own - np.mean(rivals, axis=0)
    return Interval.of(difference[0], difference[1:])
