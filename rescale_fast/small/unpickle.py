"""Reads pickles of plain values and arrays, of any protocol and any NumPy, in which nothing can run.

pickletools takes the bytes apart; opcodes that build plain values are carried out here, all others refused. What
a pickle names is looked up in a table of stand-ins, which know NumPy's ways of storing arrays: no class or function of
Python or NumPy is ever called with what a file says. Memory is bounded by the file's size.
"""

import codecs
import os
import pickletools
from collections.abc import Callable
from typing import IO, Any, cast

from rescale_fast.files.reading import DamageError
from rescale_fast.small.pickled_arrays import ARRAY, Array, Library, Name, Type

MOST_OPCODES = 2**24
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


class Unpickler:
    """Carries out one pickle."""

    def __init__(self, file: IO[bytes]) -> None:
        self._size = os.fstat(file.fileno()).st_size
        self._file = cast(IO[bytes], _Bounded(file, self._size))
        self._library = Library(self._size)
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

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
                if value not in self._memo:
                    raise DamageError(f"it refers to its part {value}, which is not there")
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
        call = self._library.calls.get(named.name) if isinstance(named, Name) else None
        if call is None or type(arguments) is not tuple:
            raise DamageError("it calls what is no part of an array")
        self._stack.append(call(*arguments))

    def _do_build(self, _: None) -> None:
        state, built = self._pop(), self._top()
        if not isinstance(built, (Type, Array)):
            raise DamageError("it gives a state to what is no array")
        built.build(state)

    def _name(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        if full not in self._library.calls and full != ARRAY:
            raise DamageError(f"it asks for {full[:80]}, which is no part of an array")
        self._stack.append(Name(full))

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
    if isinstance(value, Array):
        return value.array
    if type(value) is dict:
        return {key: one.array if isinstance(one, Array) else one for key, one in value.items()}
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
