"""What pickles of arrays name: stand-ins for NumPy's types and functions, which make arrays of numbers alone.

They check what they are given: a dtype is one of numbers, bytes are as many as shape and dtype say.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rescale_fast.files.arrays import AnyArray
from rescale_fast.files.reading import DamageError

MOST_DIMENSIONS = 4
NUMBERS = re.compile(r"[iu][1248]|f[248]")
ARRAY = "numpy.ndarray"


@dataclass(frozen=True)
class Name:
    """Something of NumPy's that the pickle names: only its name."""

    name: str


@dataclass
class Type:
    """A dtype: of numbers, little-endian until its state says otherwise."""

    code: str
    order: str = "<"

    def build(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) >= 3 and state[1] in ("<", ">", "|", "=")):
            raise DamageError("it holds a dtype in a state that no dtype of numbers has")
        if any(part is not None for part in state[2:5]):
            raise DamageError("it holds a dtype with fields, expected one of numbers")
        self.order = "<" if state[1] == "=" else state[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


@dataclass
class Array:
    """An array, empty until its state says otherwise."""

    array: AnyArray

    def build(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise DamageError("it holds an array in a state that no array of numbers has")
        shape, dtype, is_fortran, content = state[-4:]
        self.array = _array_of(content, dtype, shape, "F" if is_fortran is True or is_fortran == 1 else "C")


def _array_of(content: Any, dtype: Any, shape: Any, order: Any) -> AnyArray:
    if isinstance(content, str):  # as Python 2 has it
        content = content.encode("latin-1")
    is_shape = isinstance(shape, tuple) and all(type(length) is int and length >= 0 for length in shape)
    if not is_shape or len(shape) > MOST_DIMENSIONS or not isinstance(content, (bytes, bytearray)):
        raise DamageError("it holds an array that is not a shape, a dtype and bytes")
    if not isinstance(dtype, Type) or order not in ("C", "F"):
        raise DamageError("it holds an array of something else than numbers")
    if math.prod(shape) * dtype.dtype.itemsize != len(content):
        raise DamageError(f"it holds an array of {shape} of {dtype.dtype} in {len(content):,} bytes")
    return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)


class Library:
    """The functions that a pickle may call, by name. Args: size: bytes that all texts may take together as bytes."""

    def __init__(self, size: int) -> None:
        self._left = size
        self.calls: dict[str, Callable[..., Any]] = {
            "numpy.dtype": self._dtype,
            "_codecs.encode": self._encode,
            "__builtin__.bytes": self._nothing,
        }
        for core in ("numpy.core", "numpy._core"):
            self.calls[f"{core}.multiarray._reconstruct"] = self._reconstruct
            self.calls[f"{core}.multiarray.scalar"] = self._scalar
            self.calls[f"{core}.numeric._frombuffer"] = self._frombuffer

    def _dtype(self, code: Any, *_: Any) -> Type:
        text = code.decode("latin-1") if isinstance(code, bytes) else code
        if not isinstance(text, str) or not NUMBERS.fullmatch(text):
            raise DamageError("it holds an array of something else than numbers")
        return Type(text)

    def _reconstruct(self, kind: Any, *_: Any) -> Array:
        if kind != Name(ARRAY):
            raise DamageError("it holds an array of a kind of its own")
        return Array(np.zeros(0, np.uint8))

    def _scalar(self, dtype: Any, content: Any) -> Any:
        return _array_of(content, dtype, (), "C").item()

    def _frombuffer(self, content: Any, dtype: Any, shape: Any, order: Any) -> Array:
        return Array(_array_of(content, dtype, shape, order))

    def _nothing(self) -> bytes:
        return b""

    def _encode(self, text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise DamageError("it encodes what is no text of bytes")
        self._left -= len(text)
        if self._left < 0:  # the same text again and again
            raise DamageError("it would take more memory than a file of its size holds")
        return text.encode("latin-1")
