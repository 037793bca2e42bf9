"""Labels of ImageNet's validation images when they lie side by side: from whichever list is at hand.

- the wnid inside the name: ILSVRC2012_val_00033334_n02106550.JPEG
- LOC_val_solution.csv (Kaggle): ImageId,PredictionString; the string begins with the wnid
- val.txt (Caffe, mmpretrain), val_map.txt (Swin Transformer), val_list.txt (PaddleClas): name and rank of the class
  among the sorted wnids; where Caffe's synsets.txt lies beside it, among those
- meta.bin (torchvision): a list of the wnids of images 1..50,000
- the devkit: ILSVRC2012_validation_ground_truth.txt, ids in the devkit's own order, which its meta.mat explains (we
  know that order, too); unpacked or still in its tar
"""

import csv
import io
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rescale_fast.datasets.layout import ambiguous, read_list
from rescale_fast.datasets.published import devkit_order
from rescale_fast.errors import DatasetError

DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
FOLDERS = (
    *("", "devkit", "devkit/data", DEVKIT, f"{DEVKIT}/data", "data", "ILSVRC"),
    *("meta", "caffe_ilsvrc12", "ilsvrc12", "data/ilsvrc12"),  # mmpretrain's, Caffe's
)
KAGGLE = ("ILSVRC", "Data", "CLS-LOC")  # its lists lie beside the first
RANKS = ("val.txt", "val_map.txt", "val_list.txt")
KNOWN_IMAGES = {  # devkit ids 490 and 361
    "ILSVRC2012_val_00000001": "n01751748",
    "ILSVRC2012_val_00000002": "n09193705",
}
Labels = dict[str, str]  # name of an image without its suffix -> wnid


def find_labels(
    root: Path, folder: Path, names: Sequence[str], wnids: Sequence[str]
) -> tuple[Path, dict[str, str], int]:
    """Find labels for images called `names` that lie in `folder`. wnids: of all 1,000 classes, sorted.

    Returns: what they were read from; file name -> wnid, for those that are listed; how many more are listed.
    Raises: DatasetError when no list is found, one cannot be read, or two disagree, naming both.
    """
    places = [root / place for place in FOLDERS] + [folder.parent]
    if root.name in KAGGLE:
        places += root.parents[: KAGGLE.index(root.name) + 1]
    places = list(dict.fromkeys(places))
    sources = [source for source in _sources(places, folder, names, wnids) if source[1]]
    if not sources:
        raise DatasetError(
            f"{folder}: its images lie side by side, and no list says which class each is. Looked in {root} "
            f"for LOC_val_solution.csv, {', '.join(RANKS)}, meta.bin, {DEVKIT}.tar.gz "
            f"and {DEVKIT}/data/{GROUND_TRUTH}. "
            "Put one of them there, or sort the images into one folder a wnid "
            "(val/n01440764/ILSVRC2012_val_00000293.JPEG)."
        )
    path, labels = sources[0]
    for other, others in sources[1:]:
        for name in labels:
            if others.get(name, labels[name]) != labels[name]:
                raise ambiguous(root, str(path), str(other), f", which disagree about {name}")
    known = set(wnids)
    found = {name: labels[stem(name)] for name in names if labels.get(stem(name)) in known}
    return path, found, len(labels) - len(set(map(stem, found)))


def stem(name: str) -> str:
    """A file name without its suffix, and without a wnid behind it."""
    return re.sub(r"_n\d{8}$", "", name.rpartition(".")[0])


def _sources(
    places: Sequence[Path], folder: Path, names: Sequence[str], wnids: Sequence[str]
) -> Iterator[tuple[Path, Labels]]:
    inside = {stem(name): found[1] for name in names if (found := re.search(r"_(n\d{8})\.\w+$", name))}
    yield folder / "their names", inside
    readers = ((_kaggle, "LOC_val_solution.csv"), *((_ranks, name) for name in RANKS), (_torchvision, "meta.bin"))
    for read, name in readers:
        for path in _existing(places, name):
            yield path, _readable(path, lambda path, read=read: read(path, wnids))  # type: ignore[misc]
    for path in _existing(places, GROUND_TRUTH):
        meta = next(_existing([path.parent, *places], "meta.mat"), None)
        yield path, _readable(path, lambda path, meta=meta: _devkit(meta and meta.read_bytes(), path.read_text()))  # type: ignore[misc]
    for path in _existing(places, f"{DEVKIT}.tar.gz"):
        yield path, _readable(path, _devkit_tar)


def _existing(places: Sequence[Path], name: str) -> Iterator[Path]:
    return (place / name for place in places if (place / name).is_file())


def _readable(path: Path, read: Callable[[Path], Labels]) -> Labels:
    try:
        return read(path)
    except Exception as error:  # each format has its own kinds, and their number has no end
        raise DatasetError(f"{path}: not readable as what its name says ({error}). Fetch it again.") from error


def _kaggle(path: Path, _: Sequence[str]) -> Labels:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(file)}


def _ranks(path: Path, wnids: Sequence[str]) -> Labels:
    order = wnids
    if (path.parent / "synsets.txt").is_file():
        order = read_list(path.parent / "synsets.txt")
    rows = [line.split() for line in read_list(path)]
    of_label = {str(label): wnid for label, wnid in enumerate(order)}
    return {stem(name.rpartition("/")[2]): of_label[label] for name, label in rows}


def _torchvision(path: Path, _: Sequence[str]) -> Labels:
    import torch

    _, val_wnids = torch.load(path, weights_only=True)
    return _numbered(val_wnids)


def _devkit_tar(path: Path) -> Labels:
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            name = member.name.rpartition("/")[2]
            file = tar.extractfile(member) if name in ("meta.mat", GROUND_TRUTH) else None
            if file is not None:
                found[name] = file.read()
    return _devkit(found.get("meta.mat"), found[GROUND_TRUTH].decode())


def _devkit(meta: bytes | None, ground_truth: str) -> Labels:
    wnid_of = dict(enumerate(devkit_order(), start=1))
    if meta is not None:
        from scipy.io import loadmat

        synsets = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
        wnid_of = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}
    return _numbered([wnid_of[int(line)] for line in ground_truth.split()])


def _numbered(wnids: Sequence[str]) -> Labels:
    return {f"ILSVRC2012_val_{i:08d}": wnid for i, wnid in enumerate(wnids, start=1)}
