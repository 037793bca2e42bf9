"""Pair weights: how strongly two classes are confused, as the graph that searches and bounds work on."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeAlias

import numpy as np

from rescale_fast import _core
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import ArtifactError
from rescale_fast.settings import OneOf, Registry, find_choice
from rescale_fast.types import FloatArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PairWeights: TypeAlias = Annotated[str, OneOf("rescale_fast.class_subset.weights:DIRECTED")]


def pair_graph(confusion: ConfusionMatrix, kind: PairWeights = "counts") -> _core.WeightGraph:
    """The graph of all pairs of classes, weighted by how much they are confused, either way.

    counts: images of one class called the other; whole numbers, so bounds can be rounded down.
    rates: the same as a share of the images of the true class, so that large classes do not count for more.
    soft: probability given to the other class, summed over images (top 5 only).
    Raises: SettingError for another kind; ArtifactError when the matrix holds a number that is negative or not finite,
        naming it.
    """
    directed = find_choice(DIRECTED, kind, "--pair-weights")(confusion)
    weights = directed + directed.T
    np.fill_diagonal(weights, 0)
    try:
        return weight_graph(weights)
    except ValueError as error:
        raise ArtifactError(f"confusion ({kind}): {error}.") from error


def _rates(confusion: ConfusionMatrix) -> FloatArray:
    counts = confusion.counts.astype(np.float64)
    rates: FloatArray = counts / np.maximum(1.0, counts.sum(axis=1, keepdims=True))
    return rates


DIRECTED: Registry[Callable[[ConfusionMatrix], FloatArray]] = Registry(  # how much each class is called each other
    {
        "counts": lambda confusion: confusion.counts.astype(np.float64),
        "rates": _rates,
        "soft": lambda confusion: confusion.soft,
    }
)


def weight_graph(weights: "FloatArray | csr_array") -> _core.WeightGraph:
    """The graph of a (K, K) matrix, dense or sparse: float64, symmetric, finite, not negative, zero diagonal.

    Raises: ValueError naming the first weight that is none of these, or a matrix that is not square.
    """
    if isinstance(weights, np.ndarray):
        return _core.WeightGraph.from_dense(np.ascontiguousarray(weights, np.float64))
    if weights.shape[0] != weights.shape[1]:
        raise ValueError(f"weights is {weights.shape}, expected a square matrix")
    rows = weights.tocsr(copy=not weights.has_canonical_format)
    rows.sum_duplicates()
    return _core.WeightGraph.from_rows(
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int32, copy=False),
        rows.data.astype(np.float64, copy=False),
    )
