"""Types of the C++ core, kept by hand. Arrays must have exactly these dtypes and be C-contiguous."""

from rescale_fast.types import FloatArray, IntArray

__version__: str

def count_confusion(labels: IntArray, predicted: IntArray, num_classes: int, *, num_threads: int) -> IntArray: ...
def sum_probabilities(
    labels: IntArray, ids: IntArray, probabilities: FloatArray, num_classes: int, *, num_threads: int
) -> FloatArray: ...
def greedy_class_subset(weights: FloatArray, k: int) -> IntArray: ...
def anneal_class_subset(
    weights: FloatArray, k: int, *, num_chains: int, num_moves: int, seed: int, num_threads: int
) -> tuple[IntArray, float]: ...
