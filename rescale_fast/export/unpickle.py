"""Reads pickles of plain values and arrays, of any protocol and any NumPy, in which nothing can run.

pickletools takes the bytes apart; opcodes that build plain values are carried out here, all others refused. What
a pickle names is looked up in a table of stand-ins, which know NumPy's ways of storing arrays: no class or function of
Python or NumPy is ever called with what a file says. Memory is bounded by the file's size.
"""

import codecs
import math
import os
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np

from rescale_fast.arrays import AnyArray
from rescale_fast.reading import DamageError

MOST_OPCODES = 2**24
MOST_DIMENSIONS = 4
NUMBERS = re.compile(r"[iu][1248]|f[248]")
PLAIN = {
    *("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
PUT, GET = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}


def _read_string(file: IO[bytes]) -> str:
    """The argument of STRING, the bytes of which pickletools takes for ASCII."""
    quoted = file.readline().rstrip(b"\n")
    if len(quoted) < 2 or quoted[:1] not in (b'"', b"'") or quoted[-1:] != quoted[:1]:
        raise DamageError("it has a text without quotes")
    return codecs.escape_decode(quoted[1:-1])[0].decode("latin-1")


OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
READERS: dict[str, Callable[[IO[bytes]], Any]] = {"STRING": _read_string}


class _Mark:
    """Where a group of values on the stack begins."""


@dataclass(frozen=True)
class _Name:
    """Something of NumPy's that the pickle names: only its name."""

    name: str


@dataclass
class _Type:
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
class _Array:
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
    if not isinstance(dtype, _Type) or order not in ("C", "F"):
        raise DamageError("it holds an array of something else than numbers")
    if math.prod(shape) * dtype.dtype.itemsize != len(content):
        raise DamageError(f"it holds an array of {shape} of {dtype.dtype} in {len(content):,} bytes")
    return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)


class Unpickler:
    """Carries out one pickle."""

    def __init__(self, file: IO[bytes]) -> None:
        self._size = os.fstat(file.fileno()).st_size
        self._file = cast(IO[bytes], _Bounded(file, self._size))
        self._encoded = 0  # bytes made of texts so far
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._calls: dict[str, Callable[..., Any]] = {
            "numpy.dtype": self._dtype,
            "_codecs.encode": self._encode,
            "__builtin__.bytes": self._nothing,
        }
        for core in ("numpy.core", "numpy._core"):
            self._calls[f"{core}.multiarray._reconstruct"] = self._reconstruct
            self._calls[f"{core}.multiarray.scalar"] = self._scalar
            self._calls[f"{core}.numeric._frombuffer"] = self._frombuffer

    def load(self) -> Any:
        """The value, in which arrays are arrays. Raises: DamageError, and what pickletools raises on damaged bytes."""
        for _ in range(MOST_OPCODES):
            opcode = OPCODES.get(self._file.read(1))
            if opcode is None:
                raise DamageError("it ends too early, or is no pickle")
            value: Any = None if opcode.arg is None else READERS.get(opcode.name, opcode.arg.reader)(self._file)
            if opcode.name == "STOP":
                return _plain(self._pop())
            if opcode.name in PLAIN:
                self._stack.append(CONSTANTS.get(opcode.name, value))
            elif opcode.name in PUT:
                self._memo[value] = self._top()
            elif opcode.name in GET:
                self._stack.append(self._memo[value])
            else:
                action = getattr(self, f"_do_{opcode.name.lower()}", None)
                if action is None:
                    raise DamageError(f"it uses {opcode.name}, which no array needs")
                action(value)
        raise DamageError(f"it has more than {MOST_OPCODES:,} parts")

    # What opcodes do, under their names.

    def _do_proto(self, _: int) -> None: ...

    def _do_frame(self, _: int) -> None: ...

    def _do_mark(self, _: None) -> None:
        self._stack.append(_Mark())

    def _do_pop(self, _: None) -> None:
        self._pop()

    def _do_memoize(self, _: None) -> None:
        self._memo[len(self._memo)] = self._top()

    def _do_empty_list(self, _: None) -> None:
        self._stack.append([])

    def _do_empty_tuple(self, _: None) -> None:
        self._stack.append(())

    def _do_empty_dict(self, _: None) -> None:
        self._stack.append({})

    def _do_list(self, _: None) -> None:
        self._stack.append(self._group())

    def _do_tuple(self, _: None) -> None:
        self._stack.append(tuple(self._group()))

    def _do_tuple1(self, _: None) -> None:
        self._stack.append((self._pop(),))

    def _do_tuple2(self, _: None) -> None:
        second = self._pop()
        self._stack.append((self._pop(), second))

    def _do_tuple3(self, _: None) -> None:
        third, second = self._pop(), self._pop()
        self._stack.append((self._pop(), second, third))

    def _do_dict(self, _: None) -> None:
        items = self._group()
        self._stack.append({})
        self._set(items)

    def _do_append(self, _: None) -> None:
        value = self._pop()
        self._list().append(value)

    def _do_appends(self, _: None) -> None:
        values = self._group()
        self._list().extend(values)

    def _do_setitem(self, _: None) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _do_setitems(self, _: None) -> None:
        self._set(self._group())

    def _do_global(self, names: str) -> None:
        self._name(*names.rsplit(" ", 1))

    def _do_stack_global(self, _: None) -> None:
        name, module = self._pop(), self._pop()
        if type(module) is not str or type(name) is not str:
            raise DamageError("it names something by what is no text")
        self._name(module, name)

    def _do_reduce(self, _: None) -> None:
        arguments, named = self._pop(), self._pop()
        call = self._calls.get(named.name) if isinstance(named, _Name) else None
        if call is None or type(arguments) is not tuple:
            raise DamageError("it calls what is no part of an array")
        self._stack.append(call(*arguments))

    def _do_build(self, _: None) -> None:
        state, built = self._pop(), self._top()
        if not isinstance(built, (_Type, _Array)):
            raise DamageError("it gives a state to what is no array")
        built.build(state)

    # What pickles of arrays call.

    def _name(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        if full not in self._calls and full != "numpy.ndarray":
            raise DamageError(f"it asks for {full[:80]}, which is no part of an array")
        self._stack.append(_Name(full))

    def _dtype(self, code: Any, *_: Any) -> _Type:
        text = code.decode("latin-1") if isinstance(code, bytes) else code
        if not isinstance(text, str) or not NUMBERS.fullmatch(text):
            raise DamageError("it holds an array of something else than numbers")
        return _Type(text)

    def _reconstruct(self, kind: Any, *_: Any) -> _Array:
        if kind != _Name("numpy.ndarray"):
            raise DamageError("it holds an array of a kind of its own")
        return _Array(np.zeros(0, np.uint8))

    def _scalar(self, dtype: Any, content: Any) -> Any:
        return _array_of(content, dtype, (), "C").item()

    def _frombuffer(self, content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
        return _Array(_array_of(content, dtype, shape, order))

    def _nothing(self) -> bytes:
        return b""

    def _encode(self, text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise DamageError("it encodes what is no text of bytes")
        self._encoded += len(text)
        if self._encoded > self._size:  # the same text again and again
            raise DamageError("it would take more memory than a file of its size holds")
        return text.encode("latin-1")

    # The stack.

    def _pop(self) -> Any:
        value = self._top()
        self._stack.pop()
        return value

    def _top(self) -> Any:
        if not self._stack or isinstance(self._stack[-1], _Mark):
            raise DamageError("it takes a value where there is none")
        return self._stack[-1]

    def _group(self) -> list[Any]:
        """The values since the last mark."""
        for place in range(len(self._stack) - 1, -1, -1):
            if isinstance(self._stack[place], _Mark):
                values = self._stack[place + 1 :]
                del self._stack[place:]
                return values
        raise DamageError("it takes values where there are none")

    def _list(self) -> list[Any]:
        found = self._top()
        if type(found) is not list:
            raise DamageError("it appends to what is no list")
        return found

    def _set(self, items: list[Any]) -> None:
        found = self._top()
        if type(found) is not dict or len(items) % 2:
            raise DamageError("it sets an item of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, bytes, int):  # of nested tuples, the hash alone could end the process
                raise DamageError("a key in it is neither a text nor a number")
            found[key] = value


def _plain(value: Any) -> Any:
    """An array for what stood in for it, at the top and in a dict."""
    if isinstance(value, _Array):
        return value.array
    if type(value) is dict:
        return {key: one.array if isinstance(one, _Array) else one for key, one in value.items()}
    return value


class _Bounded:
    """A file that says how much it has before any memory is taken for more than that."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        if not 0 <= size <= max(1, self._left):
            raise DamageError("it ends too early")
        content = self._file.read(size)
        self._left -= len(content)
        return content

    def readline(self) -> bytes:
        line = self._file.readline(self._left)
        self._left -= len(line)
        return line
