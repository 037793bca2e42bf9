"""Batch files of down-sampled images, as Imagenet32_Scripts writes them (Chrabaszcz et al. 2017), and as .npz.

Files train_data_batch_1 .. _10 and val_data. `data` is (n, d) uint8, a row an image: all R, all G, all B; `labels` are
integers; `mean`, in train files, is the (d,) float64 mean of all training images. The scripts pickle a dict of these;
readers of such sets expect that. Pickles are written opcode by opcode, so that pixels need not be in memory, and
under the names that every version of NumPy reads. They are read by rescale_fast/small/unpickle.py.
"""

import pickle
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from rescale_fast.errors import ArtifactError
from rescale_fast.files.arrays import read_npz, whole_numbers
from rescale_fast.files.reading import DamageError, reading
from rescale_fast.small.parts import Pixels
from rescale_fast.small.unpickle import Unpickler
from rescale_fast.types import FloatArray, IntArray

NUM_TRAIN_FILES = 10
PROTOCOL = 4  # the first that holds more than 4 GiB
THEN = "Copy or make it again."
LABELS = ("labels", "fine_labels")  # the latter in CIFAR-100


@dataclass(frozen=True)
class Batch:
    """The content of a batch file."""

    data: Pixels  # (n, d)
    labels: IntArray  # (n,)


def batch_names(split: str, suffix: str = "") -> list[str]:
    """The files of a split: suffix is "" or ".npz"."""
    if split == "val":
        return [f"val_data{suffix}"]
    return [f"train_data_batch_{number}{suffix}" for number in range(1, NUM_TRAIN_FILES + 1)]


def batch_ends(num_images: int, num_files: int) -> list[int]:
    """Where each file's images end: all have num_images // num_files, and the last takes the rest."""
    return [num_images // num_files * number for number in range(1, num_files)] + [num_images]


def write_pickle(
    file: IO[bytes], shape: tuple[int, int], blocks: Iterable[Pixels], labels: IntArray, mean: FloatArray | None
) -> None:
    """Write a pickled dict of `data` (whose rows come in blocks), `labels` (a list) and, if given, `mean`."""
    file.write(pickle.PROTO + bytes([PROTOCOL]) + pickle.EMPTY_DICT)
    file.write(_fragment("data"))
    _write_array(file, np.dtype(np.uint8), shape, blocks)
    file.write(pickle.SETITEM + _fragment("labels") + _fragment(labels.tolist()) + pickle.SETITEM)
    if mean is not None:
        file.write(_fragment("mean"))
        _write_array(file, mean.dtype, mean.shape, [mean])
        file.write(pickle.SETITEM)
    file.write(pickle.STOP)


def _fragment(value: object) -> bytes:
    """The opcodes that push a value: a pickle of a protocol that has no frames, without its head and tail."""
    return pickle.dumps(value, 3)[2:-1]


def _write_array(file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], blocks: Iterable[Any]) -> None:
    # As ndarray.__reduce__ has it: an empty array, then its state, the last item of which is the bytes.
    file.write(pickle.GLOBAL + b"numpy.core.multiarray\n_reconstruct\n" + pickle.GLOBAL + b"numpy\nndarray\n")
    file.write(_fragment((0,)) + _fragment(b"b") + pickle.TUPLE3 + pickle.REDUCE)
    file.write(pickle.MARK + _fragment(1) + _fragment(shape) + _fragment(dtype) + _fragment(False))
    file.write(pickle.BINBYTES8 + struct.pack("<Q", int(np.prod(shape)) * dtype.itemsize))
    for block in blocks:
        file.write(np.ascontiguousarray(block).data if block.size else b"")
    file.write(pickle.TUPLE + pickle.BUILD)


def write_npz(
    file: IO[bytes], shape: tuple[int, int], blocks: Iterable[Pixels], labels: IntArray, mean: FloatArray | None
) -> None:
    """Write the same as .npz, for np.load: nothing in it is a pickle."""
    arrays = {"labels": labels} | ({} if mean is None else {"mean": mean})
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open(_member("data"), "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            for block in blocks:
                member.write(np.ascontiguousarray(block).tobytes())
        for name, array in arrays.items():
            with archive.open(_member(name), "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"{name}.npy")  # of no date: the same bytes every time


def read_batch(path: Path) -> Batch:
    """Read a batch file of this or any other maker, CIFAR's own included. Nothing in it is ever called.

    Raises: ArtifactError, saying what is wrong, for a file that is cut short, holds anything but arrays, lists and
        numbers, or whose data and labels do not belong together.
    """
    if path.suffix == ".npz":
        value: Any = read_npz(path, ("data", *LABELS), THEN)
    else:
        with reading(path, "a batch file", THEN), path.open("rb") as file:
            value = Unpickler(file).load()
    with reading(path, "a batch file", THEN):
        return _checked(value)


def _checked(value: Any) -> Batch:
    if type(value) is not dict:
        raise DamageError("it is no batch file: expected a dict of data and labels")
    by_name = {key.decode("latin-1") if isinstance(key, bytes) else key: one for key, one in value.items()}
    data = by_name.get("data")
    labels = next((by_name[name] for name in LABELS if name in by_name), None)
    if data is None or labels is None:
        raise DamageError(f"it is no batch file: it has no {'data' if data is None else 'labels'!r}")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2:
        raise DamageError("it is no batch file: expected data (n, d) of uint8")
    if type(labels) is list and all(type(label) is int and abs(label) < 2**63 for label in labels):
        labels = np.array(labels, np.int64)
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DamageError("it is no batch file: expected n integer labels")
    if len(labels) != len(data):
        raise DamageError(f"it holds {len(data):,} images and {len(labels):,} labels")
    return Batch(data, whole_numbers("labels", labels))


def square_of(path: Path, values: int) -> tuple[int, int]:
    """(side, channels) of images of so many values. Raises: ArtifactError when they are no square images."""
    for channels in (3, 1):
        side = round((values / channels) ** 0.5)
        if channels * side * side == values > 0:
            return side, channels
    raise ArtifactError(f"{path}: has {values:,} values an image, neither 3 x side x side nor side x side.")


# By the form of a set: the ending of its files, and what writes one. `read_batch` reads both.
BATCHES = {"batches": ("", write_pickle), "npz": (".npz", write_npz)}
