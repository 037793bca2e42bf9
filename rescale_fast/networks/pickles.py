"""Files of torch.save, by any version of torch or Python, read without running what is in them.

torch's restricted unpickler (weights_only) reads them. What else than tensors was saved (settings, NumPy's numbers,
loggers) becomes stand-ins: nothing that a file names is imported or called.
"""

import pickle
import pickletools
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from io import BytesIO
from typing import Any, BinaryIO

Opcode = tuple[pickletools.OpcodeInfo, Any, int]  # with its argument and where it begins

# Of Python 2 for large numbers and long strings; the restricted unpickler lacks them.
OF_PYTHON_2 = ("INT", "BINSTRING")
# Whose objects are restored from states of their own kinds; those of others from attributes, or items.
WITH_STATES = ("numpy.", "torch.", "functools.")


def load_pickled(file: BinaryIO) -> object:
    """Load what was saved, with tensors on the CPU.

    Raises: many kinds of exceptions on bytes that are no such file, or name functions of the operating system.
    """
    import torch

    is_zipped = file.read(2) == b"PK"  # since torch 1.6, which had left Python 2
    file.seek(0)
    try:
        opcodes = _zipped_opcodes(file) if is_zipped else _opcodes(file)
    except (ValueError, zipfile.BadZipFile):
        opcodes = []  # torch says what is wrong
    if not is_zipped and any(opcode.name in OF_PYTHON_2 for opcode, _, _ in opcodes):
        file = _translated(file, opcodes)
    file.seek(0)
    stand_ins: list[Any] = [(_stand_in(name), name) for name in _names_in(opcodes)]
    with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of which one says that `encoding` does nothing, which is not so
        # Python 2 pickled bytes as text. Latin-1 takes any, and is what NumPy's numbers are in.
        return torch.load(file, map_location="cpu", weights_only=True, encoding="latin1")


def _opcodes(file: BinaryIO) -> list[Opcode]:
    """Of the pickles that a file begins with, which is then at their end."""
    found: list[Opcode] = []
    for _ in ("magic number", "version", "byte order", "what was saved"):  # a pickle each; then come the tensors' bytes
        found += ((opcode, argument, position or 0) for opcode, argument, position in pickletools.genops(file))
    return found


def _zipped_opcodes(file: BinaryIO) -> list[Opcode]:
    with zipfile.ZipFile(file) as archive:
        pickles = [archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")]
    return [(opcode, argument, 0) for one in pickles for opcode, argument, _ in pickletools.genops(one)]


def _names_in(opcodes: list[Opcode]) -> set[str]:
    """The classes and functions that are named, as "module.name" of Python 3."""
    names: set[str] = set()
    for opcode, argument, _ in opcodes:
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
            names.add(f"{module}.{name}")
    return names


def _translated(file: BinaryIO, opcodes: list[Opcode]) -> BinaryIO:
    """A copy in memory, with other opcodes of the same meaning for those of Python 2. The file is at the last's end."""
    end, tensors = file.tell(), file.read()
    file.seek(0)
    old, new = file.read(end), []
    for (opcode, argument, start), stop in zip(opcodes, [*(start for _, _, start in opcodes[1:]), end], strict=True):
        if opcode.name == "INT":
            number = pickle.encode_long(int(argument))
            new.append(pickle.LONG1 + bytes([len(number)]) + number)
        elif opcode.name == "BINSTRING":
            text = argument.encode()
            new.append(pickle.BINUNICODE + len(text).to_bytes(4, "little") + text)
        else:
            new.append(old[start:stop])
    return BytesIO(b"".join([*new, tensors]))


def _stand_in(name: str) -> type:
    """A class to be taken for `name`: its objects take what was stored of one, and do nothing."""
    if name.startswith(WITH_STATES):
        return type(name, (), {"__init__": _ignore, "__setstate__": _ignore, "stands_for": name})

    def new(cls: type, *args: object) -> "OrderedDict[str, object]":
        # The one kind of object to which torch's unpickler adds items and attributes.
        made: OrderedDict[str, object] = OrderedDict()
        made.__dict__["stands_for"] = name
        return made

    return type(name, (), {"__new__": new})


def _ignore(*_: object) -> None:
    pass
