"""The words and array types that all stages share.

N            images; K classes; k classes chosen out of K.
labels       (N,) int64, true class of each image, 0..K-1 in dataset order.
predicted    (N,) int64, the class a network ranked first.
counts       (K, K) int64, images; row = true class, column = predicted class.
class id     the key of a class: its folder name (a wnid for ImageNet). Unique, unlike display names.
split        "train" or "val".
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
Float32Array: TypeAlias = NDArray[np.float32]
JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"


class Advance(Protocol):
    """Called with the number of items just finished, and what else there is to say of the work so far."""

    def __call__(self, count: int, note: str = "", /) -> None: ...


class Track(Protocol):
    """How a maker reports progress without knowing about terminals.

    `with track("Validating", total=N) as advance: ... advance(64)`.
    """

    def __call__(self, what: str, *, total: int, unit: str = "images") -> AbstractContextManager[Advance]: ...


@contextmanager
def silent(what: str, *, total: int, unit: str = "images") -> Iterator[Advance]:
    """A Track that says nothing: the default of every maker."""
    del what, total, unit
    yield lambda _, __="": None
