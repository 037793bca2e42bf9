"""Types of the C++ core, kept by hand. Arrays must have exactly these dtypes and be C-contiguous."""

from collections.abc import Callable, Sequence
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from rescale_fast.types import Advance, BoolArray, FloatArray, IntArray

__version__: str
DIGEST_BLOCK: int  # bytes
HOW: tuple[str, ...]  # how images were stored, by the number in WrittenImages

def count_confusion(labels: IntArray, predicted: IntArray, num_classes: int, *, num_threads: int) -> IntArray: ...
def sum_probabilities(
    labels: IntArray, ids: IntArray, probabilities: FloatArray, num_classes: int, *, num_threads: int
) -> FloatArray: ...

class WeightGraph:
    """A symmetric (K, K) matrix of weights >= 0 with a zero diagonal; see csrc/classes/weight_graph.h."""

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

class FidelityModel:
    """How well networks' accuracies on sets of classes follow those on all; see csrc/classes/fidelity.h."""

    def __init__(self, loadings: FloatArray, specific: FloatArray, residuals: FloatArray) -> None: ...
    @property
    def num_classes(self) -> int: ...
    def fidelity(self, classes: IntArray) -> float: ...

def search_fidelity(
    model: FidelityModel,
    graph: WeightGraph,
    k: int,
    *,
    fidelity: float,
    confusion: float,
    starts: list[IntArray],
    num_chains: int,
    chain_moves: int,
    seed: int,
    num_threads: int,
    report: Callable[[int], None] | None = None,  # moves done
) -> tuple[IntArray, float]: ...
def count_pairs(
    full: FloatArray, part: FloatArray, in_band: BoolArray, gaps: FloatArray, *, tied: float, num_threads: int
) -> IntArray: ...
def extract_groups(graph: WeightGraph, sizes: IntArray) -> IntArray: ...
def anneal_groups(graph: WeightGraph, start: IntArray, *, num_moves: int, seed: int) -> IntArray: ...
def weight_inside(graph: WeightGraph, group_of: IntArray) -> float: ...
def even_loads(graph: WeightGraph, *, max_steps: int) -> tuple[IntArray, IntArray, int]: ...

class WrittenImages(TypedDict):
    """One entry an image, in order; size 0 = not stored, for the reason in `reasons`."""

    pointer: NDArray[np.uint64]
    size: NDArray[np.uint64]
    width: NDArray[np.uint16]
    height: NDArray[np.uint16]
    mode: NDArray[np.uint8]
    how: NDArray[np.uint8]
    reasons: dict[int, str]
    blocks: NDArray[np.uint8]  # (m, 16) digests of the blocks of all pages

def write_images(
    *,
    fd: int,
    root: bytes,
    names: bytes,
    count: int,
    start: int,
    page_size: int,
    mode: Literal["passthrough", "resize", "raw"],
    resize_by: Literal["short-side", "long-side", "cap"],
    resize_side: int,
    eighths: int,
    max_side: int,
    quality: int,
    apply_exif: bool,
    max_pixels: int,
    stop_at_bad: bool,
    num_threads: int,
    waits: Sequence[float],
    load: Callable[[int, bytes], NDArray[np.uint8] | str],
    advance: Advance,
) -> WrittenImages: ...
def place_payloads(sizes: IntArray, *, start: int, page_size: int) -> IntArray: ...
def copy_payloads(
    *,
    target: int,
    sources: IntArray,
    origins: IntArray,
    targets: IntArray,
    sizes: IntArray,
    start: int,
    end: int,
    num_threads: int,
    advance: Advance,
) -> NDArray[np.uint8]: ...
def digest_file(*, fd: int, size: int, num_threads: int, advance: Advance) -> NDArray[np.uint8]: ...
def check_payloads(
    *,
    fd: int,
    pointers: IntArray,
    sizes: IntArray,
    widths: IntArray,
    heights: IntArray,
    max_pixels: int,
    num_threads: int,
    advance: Advance,
) -> tuple[dict[int, str], dict[int, str]]:
    """Errors (readers get no image, or another one) and warnings, by position."""

def downsample_images(
    *,
    root: bytes,
    names: bytes,
    count: int,
    side: int,
    fit: Literal["stretch", "letterbox", "fill"],
    filter: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"],
    grey: bool,
    fast: bool,
    max_pixels: int,
    num_threads: int,
    waits: Sequence[float],
    load: Callable[[int, bytes], NDArray[np.uint8] | str],
    advance: Advance,
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """(count, channels, side, side) pixels, zero for those images that the reasons name."""

def read_encoded_images(names: bytes, *, count: int) -> list[tuple[NDArray[np.uint8], int, str, bool, int, int]]:
    """Of each file: its bytes, errno or fault where there are none, whether it is plain, width and height if so."""
