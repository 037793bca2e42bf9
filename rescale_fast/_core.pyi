"""Types of the C++ core, kept by hand. Arrays must have exactly these dtypes and be C-contiguous."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rescale_fast.types import FloatArray, IntArray

__version__: str

def count_confusion(labels: IntArray, predicted: IntArray, num_classes: int, *, num_threads: int) -> IntArray: ...
def sum_probabilities(
    labels: IntArray, ids: IntArray, probabilities: FloatArray, num_classes: int, *, num_threads: int
) -> FloatArray: ...

class WeightGraph:
    """A symmetric (K, K) matrix of weights >= 0 with a zero diagonal; see csrc/weight_graph.h."""

    @staticmethod
    def from_dense(weights: FloatArray) -> WeightGraph: ...
    @staticmethod
    def from_rows(offsets: IntArray, neighbors: NDArray[np.int32], weights: FloatArray) -> WeightGraph: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def num_pairs(self) -> int:
        """Pairs whose weight is not zero."""
    @property
    def total(self) -> float:
        """Sum over all pairs."""
    @property
    def is_integral(self) -> bool:
        """All weights are whole, and their sums are exact."""
    def value(self, classes: IntArray) -> float:
        """Sum of the weights of the pairs inside."""
    def among(self, classes: IntArray) -> FloatArray:
        """The (m, m) matrix of the weights among m classes."""

def greedy_class_subset(graph: WeightGraph, k: int) -> IntArray: ...
def greedy_from_many_starts(graph: WeightGraph, k: int, *, num_starts: int, num_threads: int) -> IntArray: ...
def peel_class_subset(graph: WeightGraph, k: int) -> IntArray: ...
def search_class_subset(
    graph: WeightGraph,
    k: int,
    *,
    starts: list[IntArray],
    num_chains: int,
    chain_work: int,
    hottest: float,
    seed: int,
    num_threads: int,
    target: float = ...,  # no choice is worth more; the search ends when it is met
    report: Callable[[int, float], bool | None] | None = None,  # work done, best value; False: end now
) -> tuple[IntArray, float]: ...
def even_loads(graph: WeightGraph, *, max_steps: int) -> tuple[IntArray, IntArray, int]: ...
