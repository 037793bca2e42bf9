"""Arrays of artifacts: what each holds is declared once; .npz and .npy files are read without trusting them.

A member's shape and type are looked at before any of it is unpacked, so that neither a forged header nor a bomb gets
memory; nothing is unpickled.
"""

import math
import os
import zipfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rescale_fast.files.reading import GIVE, DamageError, reading
from rescale_fast.settings import Between

Kind: TypeAlias = Literal["int64", "int32", "float64", "float32", "text"]
AnyArray: TypeAlias = NDArray[Any]
NUMBERS, TEXTS = "iuf", "US"  # dtype kinds
LONGEST_HEADER = 10_000  # bytes, of an array without fields: shape, type and order
MOST_BYTES = 2**36  # of all members together, unpacked
ROUNDING = 2.0**-10  # of half precision: how far a softmax may leave 0 to 1, and is put back
SHARES = {("float32", 0, 1), ("float64", 0, 1)}
EXACT = 2.0**53  # whole numbers up to here are exact as floats


@dataclass(frozen=True)
class Values:
    """An array of an artifact: its name in the file, what it holds and means, and which lengths it has."""

    name: str
    kind: Kind  # as it is stored
    shape: tuple[str, ...]  # a name a dimension; arrays of one artifact that share a name share the length
    limits: Between | None = None
    optional: bool = False  # others' files need not have it
    meaning: str = ""

    def take(self, found: AnyArray) -> AnyArray:
        """The values as int64, as the declared float, or as str objects. Raises: DamageError naming the first wrong."""
        if self.kind == "text":
            return texts(self.name, found)
        if self.kind in ("int64", "int32"):
            return self._checked(whole_numbers(self.name, found))
        if found.dtype.kind not in NUMBERS:
            raise DamageError(f"{self.name} holds {found.dtype}, expected numbers")
        with np.errstate(over="ignore"):  # what becomes infinite is refused next
            return self._checked(found.astype(self.kind, copy=False))

    def _checked(self, array: AnyArray) -> AnyArray:
        low, high = (self.limits.low, self.limits.high) if self.limits else (-math.inf, math.inf)
        if (self.kind, low, high) in SHARES:
            array = np.where((array >= low - ROUNDING) & (array <= high + ROUNDING), np.clip(array, low, high), array)
        with np.errstate(invalid="ignore"):
            fine = np.isfinite(array) & (array >= low) & (array <= high)
        if not fine.all():
            raise DamageError(f"{_first(self.name, array, ~fine)}, expected {self.limits or 'a number'}")
        return array


def _first(name: str, array: AnyArray, is_bad: AnyArray) -> str:
    """Such as `counts[0, 1] is -1 (3 such values)`."""
    at = tuple(np.argwhere(is_bad)[0].tolist())
    others = int(is_bad.sum())
    more = f" ({others:,} such values)" if others > 1 else ""
    return f"{name}[{', '.join(map(str, at))}] is {array[at]}{more}"


def check_lengths(values: Iterable[Values], arrays: dict[str, AnyArray]) -> dict[str, int]:
    """The length of each named dimension. Raises: DamageError for arrays that do not go together."""
    lengths: dict[str, tuple[int, str]] = {}
    for one in values:
        if one.name not in arrays:
            continue
        shape = arrays[one.name].shape
        if len(shape) != len(one.shape):
            raise DamageError(f"{one.name} has the shape {shape}, expected ({', '.join(one.shape)})")
        for dimension, length in zip(one.shape, shape, strict=True):
            known, where = lengths.setdefault(dimension, (length, one.name))
            if known != length:
                raise DamageError(f"{one.name} has the shape {shape}, but {where} says that {dimension} is {known:,}")
    return {dimension: length for dimension, (length, _) in lengths.items()}


def whole_numbers(name: str, found: AnyArray) -> NDArray[np.int64]:
    """As int64; floats that hold whole numbers are taken, too. Raises: DamageError naming the first that is none."""
    if found.dtype.kind == "u" and found.dtype.itemsize == 8:
        fine = found < 2**63
    elif found.dtype.kind in "iu":
        fine = np.ones(found.shape, bool)
    elif found.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            fine = (np.abs(found) <= EXACT) & (np.rint(found) == found)
    else:
        raise DamageError(f"{name} holds {found.dtype}, expected whole numbers")
    if not fine.all():
        raise DamageError(f"{_first(name, found, ~fine)}, expected whole numbers below 2^63")
    return found.astype(np.int64, copy=False)


def texts(name: str, found: AnyArray) -> NDArray[np.object_]:
    """As str objects; bytes are taken for UTF-8, whole numbers for their digits. Raises: DamageError."""
    if found.dtype.kind == "S":
        try:
            return np.array([one.decode("utf-8") for one in found.ravel().tolist()], object).reshape(found.shape)
        except UnicodeDecodeError as error:
            raise DamageError(f"{name} holds bytes that are no UTF-8 ({error})") from error
    if found.dtype.kind not in "Uiu":
        raise DamageError(f"{name} holds {found.dtype}, expected texts")
    return np.array([str(one) for one in found.ravel().tolist()], object).reshape(found.shape)


def read_npz(
    path: Path, names: Collection[str] = (), then: str = GIVE, *, one_of: Collection[str] = ()
) -> dict[str, AnyArray]:
    """Read an .npz of numbers and texts, or those members of it that are named, as far as they are there.

    Args: one_of: names of which it must hold one.
    Raises: ArtifactError for a file that is damaged, holds anything else, or would take more than 64 GiB.
    """
    with reading(path, "an .npz of plain arrays", then), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise DamageError("two of its members have one name")
        if one_of and not members.keys() & set(one_of):
            raise DamageError(f"it holds the arrays {', '.join(sorted(members))[:300]}, expected {' or '.join(one_of)}")
        wanted = {name: info for name, info in members.items() if not names or name in names}
        headers = {name: _header(archive, name, info) for name, info in wanted.items()}
        if sum(header.num_bytes for header in headers.values()) > MOST_BYTES:
            raise DamageError(f"its arrays would take more than {MOST_BYTES >> 30} GiB")
        arrays = {}
        for name, info in wanted.items():
            with archive.open(info) as member:
                member.read(headers[name].begin)
                arrays[name] = headers[name].array(name, member)
        return arrays


def read_npy(path: Path, then: str = GIVE) -> AnyArray:
    """Read an .npy of numbers or texts. Raises: ArtifactError."""
    with reading(path, "an .npy of a plain array", then), path.open("rb") as file:
        header = _Header.read("it", file)
        if header.begin + header.num_bytes != os.fstat(file.fileno()).st_size:
            raise DamageError(f"its header says {header.shape} of {header.dtype}, and the file has another length")
        return header.array("it", file)


@dataclass(frozen=True)
class _Header:
    """What stands before an array's bytes."""

    begin: int  # of these
    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]

    @classmethod
    def read(cls, name: str, file: IO[bytes]) -> "_Header":
        """Raises: ValueError for what is no header; DamageError for one of anything but numbers and texts."""
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise DamageError(f"{name} is in version {version} of the .npy format, expected (1, 0) or (2, 0)")
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = reader(file, max_header_size=LONGEST_HEADER)
        if any(not 0 <= length <= MOST_BYTES for length in shape):
            raise DamageError(f"{name} has a shape that no array has")
        if dtype.kind not in NUMBERS + TEXTS or dtype.itemsize == 0:
            raise DamageError(f"{name} is {shape} of {dtype}, expected an array of numbers or texts")
        return cls(file.tell(), tuple(int(length) for length in shape), bool(is_fortran), dtype)

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self, name: str, file: IO[bytes]) -> AnyArray:
        content = bytearray()
        while len(content) < self.num_bytes and (more := file.read(min(2**24, self.num_bytes - len(content)))):
            content += more
        if len(content) < self.num_bytes or file.read(1):  # to the very end, where the checksum is compared
            raise DamageError(f"{name} has another length than its header says")
        return np.frombuffer(content, self.dtype).reshape(self.shape, order="F" if self.is_fortran else "C")


def _header(archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> _Header:
    with archive.open(info) as member:
        header = _Header.read(name, member)
    if header.begin + header.num_bytes != info.file_size:
        raise DamageError(f"{name} is {header.shape} of {header.dtype}, and takes {info.file_size:,} bytes")
    return header
