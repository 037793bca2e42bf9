"""Damaged and strange variants of files, drawn from a seed: of bytes, of JSON, of parquet tables, of .npz archives."""

import io
import json
import warnings
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DEEP = 3000
STRANGE = (
    *(None, True, -1, 0, 3, 2**31, 2**63, 10**400, 0.5, -0.0, 1e300, float("nan"), float("inf")),
    *("", "n01", "a\nb", "\x1b[31m", "\ud800", "ä" * 300, [], {}, [[]], {"": None}, [1, "a"], "\u2028", "=1+1"),
)


def bytes_of(rng, content):
    """A few bits flipped, bytes set, a stretch lost, doubled or emptied, or the end cut off."""
    damaged = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        if not damaged:
            break
        way, at = rng.integers(0, 6), int(rng.integers(0, len(damaged)))
        size = int(rng.integers(1, 1 + min(40, len(damaged) - at)))
        if way == 0:
            damaged[at] ^= 1 << int(rng.integers(0, 8))
        elif way == 1:
            damaged[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, 10, 34, 44]))
        elif way == 2:
            del damaged[at : at + size]
        elif way == 3:
            damaged[at:at] = damaged[at : at + size]
        elif way == 4:
            damaged[at : at + size] = bytes(size)
        else:
            del damaged[at:]
    return bytes(damaged)


def _swapped(rng, tree):
    """The tree with one value of it replaced, taken out or doubled."""
    places = [((), tree)]
    for path, value in places:
        if isinstance(value, dict):
            places.extend(((*path, key), one) for key, one in value.items())
        elif isinstance(value, list):
            places.extend(((*path, i), one) for i, one in enumerate(value))
    path, _ = places[int(rng.integers(0, len(places)))]
    value = STRANGE[int(rng.integers(0, len(STRANGE)))]
    if not path:
        return value
    holder = tree
    for step in path[:-1]:
        holder = holder[step]
    way = rng.integers(0, 4)
    if way == 0:
        del holder[path[-1]]
    elif way == 1 and isinstance(holder, list):
        holder.insert(path[-1], holder[path[-1]])
    else:
        holder[path[-1]] = value
    return tree


def json_of(rng, text):
    """A field swapped for something strange, nested without end, or there twice."""
    tree = json.loads(text)
    way = rng.integers(0, 12)
    if way == 0:
        return "[" * DEEP + "]" * DEEP
    if way == 1:
        key = list(tree)[int(rng.integers(0, len(tree)))]
        return text.replace(f'"{key}":', f'"{key}": 7, "{key}":', 1)
    if way == 2:
        key = list(tree)[int(rng.integers(0, len(tree)))]
        return json.dumps(tree | {key: None}).replace("null", '{"a":' * DEEP + "1" + "}" * DEEP)
    for _ in range(int(rng.integers(1, 3))):
        tree = _swapped(rng, tree) if isinstance(tree, (dict, list)) else tree
    return json.dumps(tree)


def _column(rng, column):
    """A column of another kind, or with other values."""
    n = len(column)
    ways = (
        lambda: pa.nulls(n),
        lambda: pa.array([str(i) for i in range(n)]),
        lambda: pa.array(np.full(n, 2**64 - 1, np.uint64)),
        lambda: pa.array(rng.integers(-3, 300, n)),
        lambda: pa.array(rng.choice([0.0, 0.5, 1.5, -1.0, np.nan, np.inf], n)),
        lambda: pa.array([[0.25] * int(rng.integers(0, 4)) for _ in range(n)]),
        lambda: pa.array([[int(rng.integers(-1, 4)), None] for _ in range(n)]),
        lambda: pa.array([b"\xff\xfe"] * n),
        lambda: pa.array([True] * n),
        lambda: pa.array([{"a": 1}] * n),
        lambda: pa.array(["same"] * n),
        lambda: pa.array([None if rng.random() < 0.5 else one for one in column.to_pylist()], column.type),
        lambda: column.take(pa.array(rng.integers(0, n, n))),
        lambda: pa.array(["train"] * n).dictionary_encode(),
        lambda: pa.array([1] * n, pa.timestamp("s")),
    )
    return ways[int(rng.integers(0, len(ways)))]()


def parquet_of(rng, content):
    """A column of another kind, taken away, doubled or renamed, no rows, or metadata with a field swapped."""
    table = pq.read_table(io.BytesIO(content))
    name = table.column_names[int(rng.integers(0, table.num_columns))]
    at, way = table.column_names.index(name), rng.integers(0, 8)
    stored = table.schema.metadata
    if way == 0:
        table = table.drop_columns([name])
    elif way == 1:
        table = table.append_column(name, table[name])
    elif way == 2:
        table = table.slice(0, 0)
    elif way in (3, 4):
        text = json_of(rng, stored[b"rescale_fast"].decode())
        stored = None if way == 3 and rng.random() < 0.3 else {b"rescale_fast": text.encode()}
    else:
        table = table.set_column(at, name, _column(rng, table[name]))
    made = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(stored), made)
    return made.getvalue()


def npz_of(rng, content):
    """An array of another shape or kind, taken away, doubled, forged, or JSON in it with a field swapped."""
    with np.load(io.BytesIO(content)) as stored:
        arrays = dict(stored)
    name = list(arrays)[int(rng.integers(0, len(arrays)))]
    one = arrays[name]
    ways = (
        lambda: one[None],
        lambda: one.ravel()[:-1],
        lambda: np.full(one.shape, -1),
        lambda: np.full(one.shape, 2**64 - 1, np.uint64),
        lambda: np.full(one.shape, np.nan),
        lambda: np.full(one.shape, np.inf),
        lambda: np.full(one.shape, 0.5),
        lambda: np.full(one.shape, b"\xff\xfe"),
        lambda: np.full(one.shape, "a\nb"),
        lambda: np.full(one.shape, "same"),
        lambda: np.full(one.shape, 1j),
        lambda: np.full(one.shape, None, object),
        lambda: np.zeros(one.shape, "M8[s]"),
        lambda: np.zeros(one.shape, [("a", "i4")]),
        lambda: np.array(json_of(rng, str(one))) if name == "meta" else np.zeros((0, 0)),
    )
    way = rng.integers(0, len(ways) + 3)
    made = io.BytesIO()
    if way < len(ways):
        np.savez(made, **arrays | {name: ways[way]()})
        return made.getvalue()
    if way == len(ways):
        del arrays[name]
    np.savez_compressed(made, **arrays)
    if way > len(ways):
        header = io.BytesIO()
        shape = [(2**40,), (-1, 3), (2**31, 2**31), (3, 3, 3)][int(rng.integers(0, 4))]
        kind = ["<i8", "|O", "<U9", "|V0"][int(rng.integers(0, 4))]
        np.lib.format.write_array_header_1_0(header, {"descr": kind, "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(made, "w" if rng.random() < 0.5 else "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that is there already
            archive.writestr(f"{name if rng.random() < 0.7 else 'counts'}.npy", header.getvalue() + bytes(72))
    return made.getvalue()
