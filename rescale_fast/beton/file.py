"""The .beton format, version 2: its layout; reading and checking its structure.

    header | field descriptors | records, one a sample | zeros | pages with the payloads | allocation table

The format has no magic number and no checksum, and a file whose writer died opens in FFCV without an error. So
everything is compared here: each payload that a record points to has exactly one entry in the allocation table, lies
whole within a page between the records and the table, overlaps no other, and has the size that its record or its field
says. Lengths are compared with the file's before anything of that length is read. Little-endian throughout.
"""

import math
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from rescale_fast.errors import ArtifactError
from rescale_fast.types import IntArray

HEADER = np.dtype(
    [("version", "<u2"), ("num_fields", "<u2"), ("page_size", "<u4"), ("num_samples", "<u8"), ("table", "<u8")]
)
DESCRIPTOR = np.dtype([("type_id", "u1"), ("name", "S16"), ("arguments", "V1024")])
ALLOCATION = np.dtype([("sample", "<u8"), ("pointer", "<u8"), ("size", "<u8")])
IMAGE = np.dtype([("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("pointer", "<u8")])
BYTES = np.dtype([("pointer", "<u8"), ("size", "<u8")])
FLOAT_FIELD, INT_FIELD, IMAGE_FIELD = 0, 1, 2
ARRAY_FIELDS, CUSTOM_FIELD = (4, 6), 255
RECORD_TYPES = {
    FLOAT_FIELD: np.dtype("<f8"),
    INT_FIELD: np.dtype("<i8"),
    IMAGE_FIELD: IMAGE,
    3: BYTES,  # bytes
    4: np.dtype("<u8"),  # array: the pointer alone
    5: BYTES,  # JSON
    6: np.dtype("<u8"),  # tensor: the pointer alone
}
JPEG_MODE, RAW_MODE = 0, 1
PAGE_SIZE = 1 << 23  # bytes; what FFCV takes by default
SMALL_PAGE = 1 << 21  # the least that it takes
FEW_BYTES = 1 << 25  # of payload, up to which padding to whole pages of the default would be much of the file

Records = NDArray[np.void]


@dataclass(frozen=True)
class Field:
    """A field of every sample."""

    name: str
    type_id: int
    arguments: bytes = b""

    @property
    def has_payload(self) -> bool:
        return self.type_id >= IMAGE_FIELD


FIELDS = (Field("image", IMAGE_FIELD), Field("label", INT_FIELD), Field("index", INT_FIELD))  # of ours
USUAL_FIELDS = FIELDS[:2]  # of most betons that FFCV's users have


@dataclass(frozen=True)
class BetonFile:
    """The tables of a beton of n samples, p of whose fields have a payload."""

    path: Path
    fields: tuple[Field, ...]
    page_size: int  # bytes
    records: Records  # (n,) columns f0, f1, ... in the order of fields
    pointers: IntArray  # (n, p) position of each payload in the file
    sizes: IntArray  # (n, p) bytes
    bytes: int

    def __len__(self) -> int:
        return len(self.records)

    def integers(self, name: str) -> IntArray | None:
        """The values of the integer field of this name, (n,), or None."""
        for i, field in enumerate(self.fields):
            if field.name == name and field.type_id == INT_FIELD:
                return self.records[f"f{i}"].astype(np.int64)
        return None


def record_type(fields: tuple[Field, ...]) -> np.dtype[np.void]:
    """The NumPy type of a record: aligned at the outer level only."""
    return np.dtype([(f"f{i}", RECORD_TYPES[field.type_id]) for i, field in enumerate(fields)], align=True)


def pages_start(fields: tuple[Field, ...], num_samples: int, page_size: int) -> int:
    """Where the first page begins in a file of so many samples."""
    tables = HEADER.itemsize + DESCRIPTOR.itemsize * len(fields) + record_type(fields).itemsize * num_samples
    return _up(tables, page_size)


def page_size_for(total: float, largest: int) -> int:
    """The size of pages for samples of `total` bytes, none of them above `largest`: FFCV's, unless few bytes fit
    smaller ones, or one sample needs a larger one.
    """
    page_size = SMALL_PAGE if total <= FEW_BYTES else PAGE_SIZE
    while page_size < largest:
        page_size *= 2
    return page_size


def set_pointers(records: Records, fields: tuple[Field, ...], pointers: IntArray) -> None:
    """Overwrite the pointers in records with `pointers`, (n, p)."""
    payloads = [i for i, field in enumerate(fields) if field.has_payload]
    for column, i in enumerate(payloads):
        values = records[f"f{i}"]
        (values["pointer"] if values.dtype.names else values)[:] = pointers[:, column]


def pages_end(pointers: IntArray, sizes: IntArray, page_size: int) -> int:
    """Where the last page ends in a file with these payloads, and the allocation table begins."""
    return _up(int((pointers + sizes).max()), page_size)


def read_beton(path: Path) -> BetonFile:
    """Read the tables of a beton and check all that can be without its payloads' bytes.

    Raises: ArtifactError, saying what is wrong, for anything but a complete and consistent file.
    """
    try:
        return _read(path)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _read(path: Path) -> BetonFile:
    found = path.stat()
    size = found.st_size
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for somebody to write
        raise _damaged(path, "it is not a file")
    with path.open("rb") as file:
        start = file.read(HEADER.itemsize)
        if len(start) < HEADER.itemsize:
            raise _damaged(path, f"it has {size} bytes, too few for a beton")
        header = np.frombuffer(start, HEADER)[0]
        page_size, count, table_at = int(header["page_size"]), int(header["num_samples"]), int(header["table"])
        _check_header(path, header, size)
        descriptors = np.frombuffer(_read_all(path, file, DESCRIPTOR.itemsize * int(header["num_fields"])), DESCRIPTOR)
        fields = tuple(_field(path, descriptor) for descriptor in descriptors)
        dtype = record_type(fields)
        records_end = HEADER.itemsize + descriptors.nbytes + dtype.itemsize * count
        if records_end > table_at:
            raise _damaged(path, f"{count:,} records do not fit before its allocation table")
        entries, expected = (size - table_at) // ALLOCATION.itemsize, count * sum(field.has_payload for field in fields)
        if entries != expected:
            raise _damaged(path, f"its allocation table has {entries:,} entries, expected {expected:,}")
        records = np.frombuffer(_read_all(path, file, dtype.itemsize * count), dtype)
        file.seek(table_at)
        table = np.frombuffer(_read_all(path, file, size - table_at), ALLOCATION)
    pointers = _pointers(records, fields)
    sizes = _match(path, pointers, table, records_end, table_at, page_size)
    beton = BetonFile(path, fields, page_size, records, pointers, sizes, size)
    payload = 0
    for i, field in enumerate(fields):
        if field.has_payload:
            _check_payloads(beton, i, sizes[:, payload])
            payload += 1
    return beton


def _read_all(path: Path, file: BinaryIO, num_bytes: int) -> bytes:
    content = file.read(num_bytes)
    if len(content) < num_bytes:
        raise _damaged(path, "it became shorter while it was read")
    return content


def _check_header(path: Path, header: np.void, size: int) -> None:
    page_size, table_at, num_fields = int(header["page_size"]), int(header["table"]), int(header["num_fields"])
    if header["version"] != 2:
        raise _damaged(path, f"it is no beton of version 2 (its first number is {header['version']})")
    if page_size < 1 << 16 or page_size & (page_size - 1):
        raise _damaged(path, f"its page size is {page_size}")
    if table_at == 0:
        raise _damaged(path, "its writer never finished: it has no allocation table")
    if table_at > size:
        raise _damaged(path, f"it ends at {size:,} bytes, before its allocation table at {table_at:,}")
    if (size - table_at) % ALLOCATION.itemsize:
        raise _damaged(path, f"its allocation table is cut: {size - table_at:,} bytes, no multiple of 24")
    if not 1 <= num_fields <= 1000 or HEADER.itemsize + DESCRIPTOR.itemsize * num_fields > size:
        raise _damaged(path, f"it claims {num_fields} fields in {size:,} bytes")
    if not 1 <= int(header["num_samples"]) <= size:
        raise _damaged(path, f"it claims {int(header['num_samples']):,} samples in {size:,} bytes")


def _field(path: Path, descriptor: np.void) -> Field:
    type_id, name = int(descriptor["type_id"]), bytes(descriptor["name"]).split(b"\0")[0]
    if not all(0x20 <= byte < 0x7F for byte in name):
        raise _damaged(path, f"a field is called {name!r}, expected printable ASCII")
    if type_id == CUSTOM_FIELD:
        raise ArtifactError(
            f"{path}: the field {name.decode()!r} is of a type of its maker's own, whose layout only the maker's code "
            "knows. Only betons whose fields are of FFCV's types can be read."
        )
    if type_id not in RECORD_TYPES:
        raise _damaged(path, f"the field {name.decode()!r} is of the type {type_id}, which is not one of FFCV's")
    return Field(name.decode(), type_id, bytes(descriptor["arguments"]))


def _pointers(records: Records, fields: tuple[Field, ...]) -> IntArray:
    columns = []
    for i, field in enumerate(fields):
        if field.has_payload:
            values = records[f"f{i}"]
            columns.append(values["pointer"] if values.dtype.names else values)
    if not columns:
        return np.zeros((len(records), 0), np.int64)
    return np.stack(columns, axis=1).astype(np.int64)  # a pointer above 2^63 turns negative, and is refused


def _match(path: Path, pointers: IntArray, table: Records, first: int, end: int, page_size: int) -> IntArray:
    """The size of each payload, from the one entry of the allocation table that has its pointer."""
    order = np.argsort(table["pointer"], kind="stable")
    table = table[order]
    places, lengths = table["pointer"].astype(np.int64), table["size"].astype(np.int64)
    flat = np.argsort(pointers, axis=None, kind="stable")
    wanted = pointers.ravel()[flat]
    if not np.array_equal(wanted, places):
        row = int(flat[np.flatnonzero(wanted != places)[0]]) // max(1, pointers.shape[1])
        raise _damaged(path, f"the payload of sample {row:,} (or of one near it) has no entry in its allocation table")
    if not np.array_equal(flat // max(1, pointers.shape[1]), table["sample"].astype(np.int64)):
        raise _damaged(path, "its allocation table names other samples than its records")
    ends = places + lengths
    if not lengths.all():
        row = int(table["sample"][np.flatnonzero(lengths == 0)[0]])
        raise _damaged(path, f"sample {row:,} has an empty payload, which FFCV confuses with the one that follows")
    bad = (places < first) | (lengths <= 0) | (lengths > end - places)  # a sum of what is forged may overflow
    bad |= places // page_size != (ends - 1) // page_size
    bad[1:] |= places[1:] < ends[:-1]
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise _damaged(
            path,
            f"sample {int(table['sample'][at]):,} has an impossible payload: {lengths[at]:,} bytes at {places[at]:,}",
        )
    sizes = np.empty(pointers.size, np.int64)
    sizes[flat] = lengths
    return sizes.reshape(pointers.shape)


def _check_payloads(beton: BetonFile, i: int, sizes: IntArray) -> None:
    """Compare the sizes of the payloads of one field with what its records, or its arguments, say."""
    field, records = beton.fields[i], beton.records[f"f{i}"]
    if field.type_id == IMAGE_FIELD:
        pixels = records["width"].astype(np.int64) * records["height"] * 3
        bad = (records["mode"] > RAW_MODE) | (pixels == 0) | ((records["mode"] == RAW_MODE) & (sizes != pixels))
    elif field.type_id in ARRAY_FIELDS:
        bad = sizes != _array_bytes(beton.path, field)
    else:
        bad = sizes != records["size"].astype(np.int64)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        what = f"{sizes[row]:,} bytes, for a record that says {records[row]}"
        if field.type_id == IMAGE_FIELD:
            mode, width, height, _ = records[row].item()
            what = f"mode {mode}, {width} x {height} pixels, {sizes[row]:,} bytes"
        raise _damaged(beton.path, f"sample {row:,} has an impossible {field.name!r}: {what}")


def _array_bytes(path: Path, field: Field) -> int:
    """How large every payload of an array field is: FFCV keeps the shape and, as NumPy's descr, the type."""
    shape, (length,) = np.frombuffer(field.arguments, "<u8", 32), np.frombuffer(field.arguments, "<u8", 1, 256)
    described = re.fullmatch(rb'\[\["", "([<>|=]?[A-Za-z]\d+(\[\w+\])?)"\]\]', field.arguments[264 : 264 + int(length)])
    try:
        itemsize = np.dtype(described[1].decode()).itemsize if described else 0
    except (TypeError, ValueError):
        itemsize = 0
    if not itemsize:
        raise _damaged(path, f"the type of the arrays in {field.name!r} cannot be read")
    return itemsize * math.prod(int(side) for side in np.trim_zeros(shape, "b"))


def _damaged(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{path}: is no sound beton: {what}. Make it again, or copy it again from where it came.")


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
