"""Bounds from above: what no choice of k classes can exceed, valid in spite of rounding.

`Relaxation` holds the linear relaxation's value (csrc/classes/bound.h), for every k from one computation of
milliseconds. `spectral.py` tightens it for one k, `proof.py` closes what is left.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from rescale_fast import _core
from rescale_fast.types import IntArray

SWEEP_STEPS = 300_000_000  # pairs looked at; a few seconds at most
TOLERANCE = 1e-5  # relative: what bounds and solvers can tell apart where weights are no whole numbers


def is_best(graph: _core.WeightGraph, value: float, bound: float) -> bool:
    """Whether a choice of this value is proven the best: exactly if all weights are whole, else up to TOLERANCE."""
    return value >= bound * (1 - 2 * _margin(graph))


def good_enough(graph: _core.WeightGraph, bound: float) -> float:
    """A value that `is_best` beyond doubt, so that searches that reach it may end."""
    return bound * (1 - _margin(graph))


def better_than(graph: _core.WeightGraph, value: float) -> float:
    """What must be exceeded to be worth finding: as a bound, it proves beyond doubt that the value `is_best`."""
    return value * (1 + _margin(graph))


def _margin(graph: _core.WeightGraph) -> float:
    return 0.0 if graph.is_integral else TOLERANCE / 2  # half, so that no rounding decides


@dataclass(frozen=True)
class Relaxation:
    """The linear relaxation, solved for every k at once: loads as even as they can be."""

    graph: _core.WeightGraph
    loads: IntArray  # (K,) of each class, in units of 2^-fraction_bits
    shares: IntArray  # (entries of the graph's rows) what the row's class carries of each pair's weight
    fraction_bits: int

    def bound(self, k: int) -> float:
        """What the weight among any k classes cannot exceed: a whole number if all weights are, else rounded up."""
        return min(self.bounds(k).values())

    def bounds(self, k: int) -> dict[str, float]:
        """By what it is known: the relaxation, and as many pairs as k classes have, each the heaviest."""
        total = int(np.sort(self.loads)[len(self.loads) - k :].sum())
        heaviest = Fraction(self.graph.value(_core.greedy_class_subset(self.graph, 2)))  # begins with that pair
        return {
            "linear relaxation": round_bound(self.graph, Fraction(total) / Fraction(2) ** self.fraction_bits),
            "heaviest pair": round_bound(self.graph, heaviest * (k * (k - 1) // 2)),
        }

    def over_k(self, k: int) -> dict[str, list[float]]:
        """For `k` and other numbers of classes, close together where few: the bound, the value that greedy finds, and
        what a random choice has on average."""
        num_classes = len(self.loads)
        numbers = np.unique(np.append(np.geomspace(2, num_classes, 64).round(), k)).astype(int).tolist()
        greedy = _core.greedy_class_subset(self.graph, num_classes)  # as picked: of fewer classes, its beginning
        values = [self.graph.value(greedy[:number]) for number in numbers]
        total, pairs = self.graph.value(greedy), num_classes * (num_classes - 1)
        return {
            "k": numbers,
            "upper_bound": [self.bound(number) for number in numbers],
            "greedy": values,
            "random": [total * number * (number - 1) / pairs for number in numbers],
        }

    def order(self) -> IntArray:
        """(K,) int64: the labels by falling load, ties by label."""
        return np.argsort(-self.loads, kind="stable")


def relax(graph: _core.WeightGraph) -> Relaxation:
    """Solve the linear relaxation; Ctrl-C ends it at once."""
    return Relaxation(graph, *_core.even_loads(graph, max_steps=SWEEP_STEPS))


def round_bound(graph: _core.WeightGraph, bound: Fraction | float) -> float:
    """The bound as a float: down to a whole number if all weights are whole, else up to the next float."""
    if graph.is_integral:
        return float(math.floor(bound))
    rounded = float(bound)
    return rounded if Fraction(rounded) >= bound else math.nextafter(rounded, math.inf)
