"""Bounds from above: what no choice of k classes can exceed, valid in spite of rounding.

`relaxation_bound` is the linear relaxation's value (csrc/class_subset_bound.h), for every k from one computation of
milliseconds. `spectral.py` tightens it for one k, `proof.py` closes what is left.
"""

import math
from fractions import Fraction

import numpy as np

from rescale_fast import _core
from rescale_fast.types import FloatArray, IntArray

SWEEP_STEPS = 300_000_000  # pairs looked at; a few seconds at most


def relaxation_bounds(graph: _core.WeightGraph) -> FloatArray:
    """Bounds for every k at once.

    Returns: (K + 1,) float64: entry k is not exceeded by the weight among any k classes. Whole numbers if the
    weights are, else rounded up.
    """
    loads, _, bits = _core.even_loads(graph, max_steps=SWEEP_STEPS)
    sums = [0, *np.cumsum(np.sort(loads)[::-1]).tolist()]
    return np.array([round_bound(graph, Fraction(total) / Fraction(2) ** bits) for total in sums])


def relaxation_bound(graph: _core.WeightGraph, k: int) -> float:
    """What `relaxation_bounds` says for one k."""
    loads, _, bits = _core.even_loads(graph, max_steps=SWEEP_STEPS)
    return round_bound(graph, Fraction(int(np.sort(loads)[-k:].sum())) / Fraction(2) ** bits)


def relaxation_order(graph: _core.WeightGraph) -> IntArray:
    """(K,) int64: the labels by falling load in the relaxation, ties by label."""
    loads, _, _ = _core.even_loads(graph, max_steps=SWEEP_STEPS)
    return np.argsort(-loads, kind="stable")


def round_bound(graph: _core.WeightGraph, bound: Fraction | float) -> float:
    """The bound as a float: down to a whole number if all weights are whole, else up to the next float."""
    if graph.is_integral:
        return float(math.floor(bound))
    rounded = float(bound)
    return rounded if Fraction(rounded) >= bound else math.nextafter(rounded, math.inf)
