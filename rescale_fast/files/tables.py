"""Tables of artifacts as parquet: the columns are declared once; any program's integers, floats, texts and lists do.

What we say of a table besides its columns is a JSON text in its metadata, under "rescale_fast"; others' have none.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rescale_fast.artifact import parse_json, to_json, write_whole
from rescale_fast.files.arrays import AnyArray, Values
from rescale_fast.files.reading import GIVE, DamageError, reading, reason

if TYPE_CHECKING:
    import pyarrow as pa

KEY = b"rescale_fast"
ROWS_A_BYTE = 8  # more rows than this a byte of file hold nothing that tells them apart: a bomb
ALONE = 16 << 20  # bytes of a file up to which one thread reads it: Arrow aborts where it may not start its threads


@dataclass(frozen=True)
class Table:
    """A table read, or some rows of it; columns have the declared types, and nulls where the file has them."""

    arrow: "pa.Table"
    columns: Mapping[str, Values]
    meta: dict[str, Any] | None  # ours; None in a table that another program made

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def __contains__(self, name: str) -> bool:
        return name in self.arrow.column_names

    def is_null(self, name: str) -> AnyArray:
        """(N,) bool."""
        return np.asarray(self.arrow[name].is_null().to_numpy(), bool)

    def where(self, is_kept: AnyArray) -> "Table":
        """The rows where `is_kept`, (N,) bool, is true."""
        import pyarrow as pa

        return Table(self.arrow.filter(pa.array(is_kept)), self.columns, self.meta)

    def array(self, name: str) -> AnyArray:
        """(N,) or (N, T) values of a column. Raises: DamageError: it is missing, uneven or out of its limits."""
        column = self.arrow[name]
        if column.null_count:
            raise DamageError(f"{name}[{int(np.flatnonzero(self.is_null(name))[0])}] is missing")
        if len(self.columns[name].shape) == 2:
            return self.columns[name].take(_matrix(name, column))
        if self.columns[name].kind == "text":
            return np.array(column.to_pylist(), object)
        return self.columns[name].take(column.to_numpy())

    def floats_or_nan(self, name: str) -> AnyArray:
        """(N,) or (N, T) of a float column as they are, not a number for nulls. Raises: DamageError: it is uneven."""
        column, is_null = self.arrow[name], self.is_null(name)
        if len(self.columns[name].shape) == 1:
            return np.array(column.to_numpy())
        found = _matrix(name, column.drop_null())
        full = np.full((len(self), max(1, found.shape[1])), np.nan, self.columns[name].kind)
        if len(found):
            full[~is_null] = found
        return full

    def texts(self, name: str) -> tuple[str, ...]:
        """(N,) of a text column. Raises: DamageError: it is missing."""
        return tuple(self.array(name).tolist())

    def texts_or_none(self, name: str) -> tuple[str | None, ...]:
        """(N,) of a text column, None for nulls, empty texts (pandas' fillna) and a column that is not there."""
        return tuple([text or None for text in self.arrow[name].to_pylist()] if name in self else [None] * len(self))


def _matrix(name: str, column: "pa.ChunkedArray") -> AnyArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(column):  # whose type may know the length all the same
        return np.zeros((0, column.type.list_size if pa.types.is_fixed_size_list(column.type) else 1))
    lengths = pc.list_value_length(column).to_numpy()
    if (lengths != lengths[0]).any():
        raise DamageError(f"{name} has lists of {lengths.min()} to {lengths.max()} numbers, expected equal lengths")
    if not lengths[0]:
        raise DamageError(f"{name} has lists of no numbers")
    flat = pc.list_flatten(column)
    if flat.null_count:
        raise DamageError(f"{name} has lists in which a number is missing")
    return np.asarray(flat.to_numpy()).reshape(len(column), -1)


def read_table(path: Path, columns: Sequence[Values], then: str = GIVE) -> Table:
    """Read the declared columns of a parquet file.

    Raises: ArtifactError for a file that is damaged, lacks a column, or has one that cannot be what it should be.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    declared = {one.name: one for one in columns}
    with reading(path, "parquet", then), pq.ParquetFile(path, memory_map=False) as file:
        names = file.schema_arrow.names
        missing = [name for name, one in declared.items() if name not in names and not one.optional]
        if missing:
            raise DamageError(f"has the columns {', '.join(names)[:300]}; {', '.join(missing)} is missing")
        if file.metadata.num_rows > 1000 + ROWS_A_BYTE * path.stat().st_size:
            raise DamageError(f"says that it holds {file.metadata.num_rows:,} rows, in {path.stat().st_size:,} bytes")
        wanted = [name for name in declared if name in names]
        found = file.read(columns=wanted, use_threads=path.stat().st_size > ALONE)
        found.validate(full=True)
        if len(set(found.column_names)) < len(found.column_names):
            raise DamageError("two of its columns have one name")
        stored = (file.schema_arrow.metadata or {}).get(KEY)
        meta = None if stored is None else parse_json(stored)
        if not isinstance(meta, (dict, type(None))):
            raise DamageError("what it says of itself is no object")
        cast = {name: _cast(name, found[name], _arrow_type(declared[name])) for name in declared if name in names}
        return Table(pa.table(cast), declared, meta)


def _arrow_type(values: Values, width: int | None = None) -> "pa.DataType":
    import pyarrow as pa

    kind = {"int64": pa.int64(), "int32": pa.int32(), "float64": pa.float64(), "float32": pa.float32()}
    item = kind.get(values.kind, pa.string())
    if len(values.shape) == 1:
        return item
    return pa.list_(item) if width is None else pa.list_(item, width)


def _cast(name: str, column: "pa.ChunkedArray", wanted: "pa.DataType") -> "pa.ChunkedArray":
    """As the type wanted, whatever width or encoding the numbers or texts were stored in."""
    import pyarrow as pa

    def is_like(found: "pa.DataType", wanted: "pa.DataType") -> bool:
        if pa.types.is_list(wanted) or pa.types.is_fixed_size_list(wanted):
            kinds = (pa.ListType, pa.LargeListType, pa.FixedSizeListType)
            return isinstance(found, kinds) and is_like(found.value_type, wanted.value_type)
        if pa.types.is_dictionary(found):
            return is_like(found.value_type, wanted)
        if pa.types.is_string(wanted):
            return found in (pa.string(), pa.large_string(), pa.string_view())
        return bool(pa.types.is_integer(found) or pa.types.is_floating(found))

    if pa.types.is_fixed_size_list(column.type) and pa.types.is_list(wanted):
        wanted = pa.list_(wanted.value_type, column.type.list_size)
    if column.null_count == len(column):  # of any type: pandas has none for it
        return pa.chunked_array([pa.nulls(len(column), wanted)])
    if not is_like(column.type, wanted):
        raise DamageError(f"{name} holds {column.type}, expected {wanted}")
    try:
        return column.cast(wanted)
    except pa.ArrowException as error:
        raise DamageError(f"{name} holds {column.type} that cannot be {wanted} ({reason(error)})") from error


def write_table(
    path: Path,
    columns: Sequence[Values],
    arrays: Mapping[str, Any],
    meta: Mapping[str, Any],
    nulls: Mapping[str, AnyArray] | None = None,
) -> None:
    """Write columns, in the order in which they are given, whole or not at all.

    Args: arrays: (N,) or (N, T) by name. nulls: (N,) bool by name, true where there is no value.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    declared = {one.name: one for one in columns}

    def stored(name: str, array: Any) -> "pa.Array":
        mask = (nulls or {}).get(name)
        if len(declared[name].shape) == 1:
            return pa.array(array, _arrow_type(declared[name]), mask=mask)
        if not array.size:  # Arrow ends the process by a division by zero where lists have no length
            array = np.zeros((len(array), max(1, array.shape[1])))
        kind = _arrow_type(declared[name], array.shape[1])
        return pa.FixedSizeListArray.from_arrays(
            pa.array(array.ravel(), kind.value_type), type=kind, mask=None if mask is None else pa.array(mask)
        )

    table = pa.table({name: stored(name, array) for name, array in arrays.items()})
    with write_whole(path) as temporary:
        pq.write_table(table.replace_schema_metadata({KEY: json.dumps(to_json(meta))}), temporary, compression="zstd")
