"""Batch files of down-sampled images, as Imagenet32_Scripts writes them (Chrabaszcz et al. 2017), and as .npz.

Files train_data_batch_1 .. _10 and val_data. `data` is (n, d) uint8, a row an image: all R, all G, all B; `labels` are
integers; `mean`, in train files, is the (d,) float64 mean of all training images. The scripts pickle a dict of these;
readers of such sets expect that. Pickles are written opcode by opcode, so that pixels need not be in memory, and
under the names that every version of NumPy reads. They are read by an unpickler that makes arrays and nothing else.
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
from rescale_fast.export.parts import Pixels
from rescale_fast.types import FloatArray, IntArray

NUM_TRAIN_FILES = 10
PROTOCOL = 4  # the first that holds more than 4 GiB
# What pickles of arrays call: by the names of NumPy 1 and 2, and, for pickles of Python 2, of how it wrote bytes.
ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
    ),
}


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


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of an array")
        return super().find_class(module, name)


def read_batch(path: Path) -> Batch:
    """Read a batch file of this or any other maker.

    Raises: ArtifactError, saying what is wrong, for a file that is cut short, holds anything but arrays, lists and
        numbers, or whose data and labels do not belong together.
    """
    try:
        with path.open("rb") as file:
            if path.suffix == ".npz":
                with np.load(file) as arrays:
                    value: Any = {name: arrays[name] for name in ("data", "labels")}
            else:
                value = _ArrayUnpickler(file, encoding="latin1").load()
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file.") from error
    except Exception as error:  # damaged bytes make unpickling and unzipping raise anything
        text = str(error) or "it ends too early"
        raise ArtifactError(f"{path}: is no complete batch file: {text}. Copy or make it again.") from error
    return _checked(path, value)


def _checked(path: Path, value: Any) -> Batch:
    try:
        data, labels = value["data"], np.array(value["labels"])
    except (KeyError, TypeError, IndexError) as error:
        raise ArtifactError(f"{path}: is no batch file: it has no {error}.") from error
    fits = isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.ndim == 2
    if not fits or labels.ndim != 1 or (len(labels) and not np.issubdtype(labels.dtype, np.integer)):
        raise ArtifactError(f"{path}: is no batch file: expected data (n, d) of uint8, and n integer labels.")
    if len(labels) != len(data):
        raise ArtifactError(f"{path}: holds {len(data):,} images and {len(labels):,} labels.")
    return Batch(data, labels.astype(np.int64))


def square_of(path: Path, values: int) -> tuple[int, int]:
    """(side, channels) of images of so many values. Raises: ArtifactError when they are no square images."""
    for channels in (3, 1):
        side = round((values / channels) ** 0.5)
        if channels * side * side == values > 0:
            return side, channels
    raise ArtifactError(f"{path}: has {values:,} values an image, neither 3 x side x side nor side x side.")
