"""Conditions: the zoo's accuracies on each part at each cost, and what the package's `quality` says of them.

A condition is judged beside the full training, the full set for fewer epochs at the same cost, and random draws of as
many classes at the same cost. All are judged on the same draws of networks.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.experiments.rank_fidelity.networks import ZOO
from benchmarks.experiments.rank_fidelity.results import Cell, Training
from rescale_fast.quality.accuracies import Accuracies, SetAccuracies
from rescale_fast.quality.bootstrap import draw_networks
from rescale_fast.quality.judge import judge
from rescale_fast.quality.pairs import taus
from rescale_fast.quality.settings import QualitySettings
from rescale_fast.quality.types import Estimate, JudgedSet, Quality
from rescale_fast.types import FloatArray

DRAWS = 2000


@dataclass(frozen=True)
class Condition:
    """The trainings of the zoo on one part at one cost: those seeds that all networks have."""

    name: str
    share: float  # of the images that a full training loops through
    accuracies: SetAccuracies
    passes: float  # over its images
    cpu_seconds: float  # of a seed of the zoo

    @property
    def is_draw(self) -> bool:
        """Whether it is one of several draws of classes."""
        return self.name.startswith("random-")

    @property
    def is_random(self) -> bool:
        """Whether it is a control: nothing was chosen."""
        return self.is_draw or self.name.startswith("images-random-")

    @property
    def is_full(self) -> bool:
        """Whether it is trained on everything."""
        return self.name == "full"

    @property
    def number(self) -> str:
        """Of classes, or of images of each."""
        return self.name.split("-")[1 if self.is_draw else -1]


@dataclass(frozen=True)
class Verdict:
    """A condition, and how it was judged."""

    condition: Condition
    judged: JudgedSet
    single: FloatArray  # tau of each of its seeds with each of the full training


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
            top1 = np.array([[one.top1 for one in row] for row in rows])  # (S, M)
            accuracies = SetAccuracies(f"{name} {share}", top1.T[:, :, None], (0,), len(first.correct), first.num_train)
            made.append(Condition(name, share, accuracies, first.images_seen / first.num_train, cost))
    return made


def reference(conditions: Sequence[Condition]) -> Condition:
    """The full training."""
    return next(one for one in conditions if one.is_full and one.share == 1)


def verdicts(conditions: Sequence[Condition]) -> list[Verdict]:
    """Of all but the full training itself, by falling cost and, within a cost, tau."""
    full = reference(conditions)
    others = [one for one in conditions if one is not full]
    groups = {(one.share, one.number) for one in others}
    found = [verdict for group in sorted(groups) for verdict in _verdicts(full, others, *group)]
    return sorted(found, key=lambda one: (-one.condition.share, -one.judged.tau.value, one.condition.name))


def judged(conditions: Sequence[Condition]) -> Quality:
    """By the first of them."""
    sets = tuple(one.accuracies for one in conditions)
    settings = QualitySettings(
        reference=sets[0].name,
        random=tuple(one.accuracies.name for one in conditions if one.is_random),
        short=tuple(one.accuracies.name for one in conditions[1:] if one.is_full),
        draws=DRAWS,
    )
    return judge(Accuracies(tuple(map(str, range(len(sets[0].values)))), sets, "share"), settings)


def _verdicts(full: Condition, others: Sequence[Condition], share: float, number: str) -> Iterator[Verdict]:
    """Of conditions of one size and cost, beside the full set's fewer epochs."""
    alike = [one for one in others if one.share == share and one.number == number]
    short = [one for one in others if one.share == share and one.is_full and one not in alike]
    for one, of_set in zip(alike, judged([full, *alike, *short]).sets, strict=False):  # without fewer epochs' own
        yield Verdict(one, of_set, single_seeds(full.accuracies, one.accuracies))


def single_seeds(first: SetAccuracies, second: SetAccuracies) -> FloatArray:
    """(S * T,) tau of each seed of the one with each of the other."""
    pairs = [(a, b) for a in first.final.T for b in second.final.T]
    return taus(np.array([a for a, _ in pairs]), np.array([b for _, b in pairs]))


def ceiling(full: Condition) -> FloatArray:
    """Tau between different seeds of the full training, each pair; none with one seed."""
    seeds = full.accuracies.final.T
    first, second = np.triu_indices(len(seeds), 1)
    return taus(seeds[first], seeds[second])


def by_number(conditions: Sequence[Condition]) -> list[tuple[str, str, float, Estimate]]:
    """Of random classes at one cost: more of them, fewer, the cost, and how far the first's mean tau is above."""
    full = reference(conditions).accuracies.mean
    draws = draw_networks(len(full), DRAWS, np.random.default_rng(0))
    networks = np.concatenate([np.arange(len(full))[None], draws.others])  # first those there are
    families: dict[tuple[float, int], list[FloatArray]] = defaultdict(list)
    for one in conditions:
        if one.is_draw:
            found = taus(full[networks], one.accuracies.mean[networks])
            families[one.share, int(one.number)].append(found)
    mean = {key: np.mean(of_draws, axis=0) for key, of_draws in families.items()}
    pairs = [(less, more) for less, more in pairwise(sorted(mean)) if less[0] == more[0]]
    made = []
    for less, more in pairs:
        above = mean[more] - mean[less]
        estimate = draws.estimate(float(above[0]), above[1:], None, -2, 2)
        if estimate is not None:
            made.append((f"random-{more[1]}", f"random-{less[1]}", more[0], estimate))
    return made
